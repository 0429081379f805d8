//! Every decision of the controller: pure functions from what the caches show to what is to be done next.
//!
//! | Question | Answered by |
//! |---|---|
//! | What does a snapshot need next? | [`snapshot`] |
//! | Which content is its own? | [`lookup`] |
//! | Which class does it get? | [`class`] |
//! | Of which volume is it taken? | [`source`] |
//! | What is the content that is made for it? | [`create`] |
//! | What of a content's status does the snapshot not know yet? | [`status`] |
//! | What has to happen before a deleted snapshot may go? | [`deletion`] |
//! | What does a content need? | [`content`] |
//! | May a claim lose its finalizer? | [`claim`] |
//! | Which node is in charge? | [`node`] |
//! | Which Secret does its content name? | [`secrets`] |
//! | The same for groups | [`group`] |
//!
//! [`patch`] has the bodies of all writes.

pub mod claim;
pub mod class;
pub mod content;
pub mod create;
pub mod deletion;
pub mod group;
pub mod lookup;
pub mod node;
pub mod patch;
pub mod secrets;
pub mod snapshot;
pub mod source;
pub mod status;

use sidecar_core::cache::Store;
use sidecar_core::objects::{
    Claim, GroupContent, GroupSnapshot, GroupSnapshotClass, Node, Snapshot, SnapshotClass, SnapshotContent,
    Volume,
};

/// What is known about snapshots. Decisions only read it.
#[derive(Clone, Debug, Default)]
pub struct Stores {
    /// Snapshots.
    pub snapshots: Store<Snapshot>,
    /// Their contents.
    pub contents: Store<SnapshotContent>,
    /// Their classes.
    pub classes: Store<SnapshotClass>,
    /// Claims of all drivers.
    pub claims: Store<Claim>,
    /// Volumes of all drivers.
    pub volumes: Store<Volume>,
    /// Nodes, where one of them is to be chosen.
    pub nodes: Option<Store<Node>>,
}

/// What is known about groups.
#[derive(Clone, Debug, Default)]
pub struct GroupStores {
    /// Group snapshots.
    pub snapshots: Store<GroupSnapshot>,
    /// Their contents.
    pub contents: Store<GroupContent>,
    /// Their classes.
    pub classes: Store<GroupSnapshotClass>,
}

/// Something that is wrong with an object: an event, and usually an error in its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Reason of the event.
    pub reason: &'static str,
    /// Message of the event and in the status.
    pub message: String,
    /// Whether the status says that it is not ready. If not, what it says about that is left alone.
    pub unready: bool,
    /// What is retried, as the log has it; `None` if trying again would not help.
    pub error: Option<String>,
}

impl Problem {
    /// It is not ready, and will be tried again with `error`.
    pub fn unready(reason: &'static str, message: impl Into<String>, error: impl Into<String>) -> Self {
        Self { reason, message: message.into(), unready: true, error: Some(error.into()) }
    }

    /// It may be ready for all that; it will be tried again.
    pub fn keeping_readiness(
        reason: &'static str,
        message: impl Into<String>,
        error: impl Into<String>,
    ) -> Self {
        Self { reason, message: message.into(), unready: false, error: Some(error.into()) }
    }
}
