//! What has to happen before a deleted snapshot may go (sheet 5.8).
//!
//! Nothing is kept in memory: each step leaves a mark in the API (the annotation, the content's deletion, the finalizers), so that
//! whoever looks next, be it after a restart, goes on from there.

use std::sync::Arc;

use sidecar_core::objects::{
    ClaimIndex, ClaimPhase, DeletionPolicy, Meta, ObjectKey, Snapshot, SnapshotContent,
};
use snapshot_api::names::finalizers::{
    PROVISIONER_SOURCE, SNAPSHOT_BOUND, SNAPSHOT_IN_GROUP, SNAPSHOT_SOURCE,
};
use snapshot_api::names::kinds::GROUP_SNAPSHOT_API_VERSION;

use super::{Stores, lookup};
use crate::events;

/// What is known about the group that a snapshot is a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// It is a member of none.
    None,
    /// It is there: `namespace/name`.
    There(String),
    /// Nobody can say: the API server does not serve groups in the version that is known here. `namespace/name`.
    Unseen(String),
    /// It is gone.
    Gone,
}

/// The next thing to do about a snapshot that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing: others hold it.
    Settled,
    /// It is still needed: report this, and try again.
    Pending {
        /// For the event.
        message: String,
        /// For the log.
        error: String,
    },
    /// Say on the content that its snapshot is being deleted.
    Mark(Arc<SnapshotContent>),
    /// Delete the content.
    Delete(Arc<SnapshotContent>),
    /// The content is on its way; its end comes back here.
    AwaitContent,
    /// Nothing is left to be done: take off these finalizers. `content` is the name under which there may be a content that the caches
    /// do not show.
    Release {
        /// Which.
        finalizers: Vec<&'static str>,
        /// To be looked for before.
        content: Option<Box<str>>,
    },
}

/// The name of the group that a snapshot says it is a member of.
pub fn group_name(snapshot: &Snapshot) -> Option<&str> {
    let stated = snapshot.status.as_ref().and_then(|status| status.group.as_deref());
    snapshot.group.as_ref().map(|owner| &*owner.name).or(stated.filter(|name| !name.is_empty()))
}

/// What to do next.
pub fn next(snapshot: &Snapshot, stores: &Stores, group: &Group) -> Next {
    let ours = [SNAPSHOT_SOURCE, SNAPSHOT_BOUND, SNAPSHOT_IN_GROUP];
    let finalizers: Vec<_> = ours.into_iter().filter(|name| snapshot.meta.finalizers.has(name)).collect();
    if finalizers.is_empty() {
        return Next::Settled;
    }
    let key = snapshot.meta.key();
    let content = content(snapshot, stores);
    if content.is_some() && is_being_restored(&snapshot.meta, stores) {
        return Next::Pending {
            message: events::IN_USE_MESSAGE.to_owned(),
            error: format!("snapshot {key} is in use (being used to restore a PVC), will retry deletion"),
        };
    }
    if let Some(message) = kept_by(group, &key) {
        return Next::Pending { error: message.clone(), message };
    }
    let Some(content) = content else {
        return Next::Release { finalizers, content: Some(content_name(snapshot)) };
    };
    let delete = content.policy == DeletionPolicy::Delete;
    if !content.being_deleted {
        Next::Mark(content)
    } else if delete && !content.meta.deleting {
        Next::Delete(content)
    } else if delete {
        // Upstream takes off its first finalizer now and the second when the content is gone. A reader sees an object that is being
        // deleted either way.
        Next::AwaitContent
    } else {
        Next::Release { finalizers, content: None }
    }
}

/// Why a member of this group cannot go now.
fn kept_by(group: &Group, key: &ObjectKey) -> Option<String> {
    match group {
        Group::There(group) => Some(format!(
            "deletion of the individual volume snapshot {key} is not allowed as it belongs to group snapshot {group}. \
             Deleting the group snapshot will trigger the deletion of all the individual volume snapshots that are part of the \
             group."
        )),
        Group::Unseen(group) => Some(format!(
            "deletion of the volume snapshot {key} waits, as it belongs to group snapshot {group} and the API server does not \
             say whether that is still there: it does not serve {GROUP_SNAPSHOT_API_VERSION} VolumeGroupSnapshot"
        )),
        Group::None | Group::Gone => None,
    }
}

/// Where the content would be.
fn content_name(snapshot: &Snapshot) -> Box<str> {
    let named = snapshot.bound_content().or(snapshot.content.as_deref().filter(|name| !name.is_empty()));
    named.map_or_else(|| lookup::made_name(snapshot).into(), Into::into)
}

/// The content, if it is this snapshot's and no other's.
pub fn content(snapshot: &Snapshot, stores: &Stores) -> Option<Arc<SnapshotContent>> {
    let by_name = stores.contents.get("", &content_name(snapshot));
    let ours = |content: &Arc<SnapshotContent>| lookup::is_bound_to(&content.snapshot, &snapshot.meta);
    by_name.filter(ours).or_else(|| lookup::naming(snapshot, stores))
}

/// Whether a claim is being filled from the snapshot, or the provisioner says so.
///
/// Upstream looks at `dataSource` only; the index has `dataSourceRef`, too, also from other namespaces.
pub fn is_being_restored(snapshot: &Meta, stores: &Stores) -> bool {
    let claims = stores.claims.by(ClaimIndex::SourceSnapshot, &snapshot.key().to_string());
    claims.iter().any(|claim| claim.phase == ClaimPhase::Pending)
        || snapshot.finalizers.has(PROVISIONER_SOURCE)
}
