//! What the content of one snapshot and the content of a group of them have in common, and the words in which they differ.
//!
//! Everything but the calls to the driver ([`driver`](crate::driver)) and the fields of a status is decided and done on a
//! [`View`], once for both.

mod group;
mod single;
pub(crate) mod words;

use sidecar_core::cache::Cached;
use sidecar_core::objects::{DeletionPolicy, Interned, Meta, SecretAnnotations, SnapshotClass, SnapshotRef};

pub use words::{GROUP, SINGLE, Words};

/// A content, of whichever kind.
pub trait Content: Cached + Clone {
    /// The kind of its class.
    type Class: Class;
    /// How it is called in texts, and its names in the API.
    const WORDS: &'static Words;
    /// Its lookup by class.
    const BY_CLASS: Self::Index;

    /// What all contents have.
    fn view(&self) -> View<'_>;

    /// The same content as if only what others write had changed: without version, finalizers, status and our annotation.
    #[must_use]
    fn of_others(&self) -> Self;
}

/// A class, of whichever kind.
pub trait Class: Cached {
    /// What all classes have.
    fn class(&self) -> &SnapshotClass;
}

/// What all contents have.
#[allow(clippy::struct_excessive_bools, reason = "most say whether an annotation is there")]
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Metadata.
    pub meta: &'a Meta,
    /// The driver.
    pub driver: &'a str,
    /// The class, if it has one.
    pub class: Option<&'a Interned>,
    /// What happens to the snapshot when the content goes.
    pub policy: DeletionPolicy,
    /// The user's object.
    pub snapshot: &'a SnapshotRef,
    /// Its secret, for everything but looking.
    pub secret: &'a SecretAnnotations,
    /// The node whose snapshotter is in charge.
    pub managed_by: Option<&'a Interned>,
    /// Annotation: a call to take it may be under way.
    pub being_created: bool,
    /// Annotation: it is not wanted any more.
    pub being_deleted: bool,
    /// Annotation: it was taken with its group.
    pub is_member: bool,
    /// To be taken of existing volumes.
    pub is_dynamic: bool,
    /// The handle of a snapshot that was there before the content.
    pub given: Option<&'a str>,
    /// The status, if there is one.
    pub status: Option<Status<'a>>,
}

/// What all statuses have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status<'a> {
    /// What the driver calls it.
    pub handle: Option<&'a str>,
    /// Whether it can be used.
    pub ready: Option<bool>,
    /// What went wrong last.
    pub error: Option<&'a str>,
    /// It belongs to a group, with which it is deleted.
    pub in_group: bool,
}

impl<'a> View<'a> {
    /// What the driver calls the snapshot, as far as the status says so.
    pub fn handle(&self) -> Option<&'a str> {
        self.status?.handle
    }

    /// What the driver calls the snapshot, by status or spec.
    pub fn any_handle(&self) -> Option<&'a str> {
        self.handle().or(self.given)
    }

    /// Whether the snapshot can be used; nothing is looked at any more then.
    pub fn is_ready(&self) -> bool {
        self.status.is_some_and(|status| status.ready == Some(true))
    }

    /// Whether the status says that the snapshot belongs to a group.
    pub fn in_group(&self) -> bool {
        self.status.is_some_and(|status| status.in_group)
    }

    /// What went wrong last, by the status.
    pub fn error(&self) -> Option<&'a str> {
        self.status?.error
    }

    /// Whether this is a content that was made by hand and never found its snapshot.
    pub fn is_unbound(&self) -> bool {
        self.given.is_some() && self.snapshot.uid.is_empty()
    }

    /// The name.
    pub fn name(&self) -> &'a Interned {
        &self.meta.name
    }
}
