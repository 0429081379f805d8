//! What a content needs (sheet 5.11).

use std::sync::Arc;

use sidecar_core::objects::{Interned, Snapshot, SnapshotContent, Volume, VolumeIndex};
use snapshot_api::names::finalizers::CONTENT_BOUND;

use super::{Stores, lookup, node, status};
use crate::events;

/// What there is to do about a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Message of the event about what is wrong with it; nothing else is done then.
    pub problem: Option<&'static str>,
    /// Our finalizer.
    pub finalizer: bool,
    /// Its snapshot is to be looked at.
    pub snapshot: bool,
}

/// What a content needs. One that is not bound needs nothing, and neither does one whose snapshot is not there: it may be a
/// copy from another cluster, and is never deleted.
pub fn needs(content: &SnapshotContent, stores: &Stores) -> Needs {
    if content.volume_handle.is_some() == content.snapshot_handle.is_some() {
        return Needs { problem: Some(events::CONTENT_VALIDATION_MESSAGE), ..Needs::default() };
    }
    if content.snapshot.uid.is_empty() {
        return Needs::default();
    }
    let finalizer = !content.meta.deleting && !content.meta.finalizers.has(CONTENT_BOUND);
    let snapshot = stores.snapshots.get(&content.snapshot.namespace, &content.snapshot.name);
    let behind = |snapshot: &Snapshot| {
        lookup::is_bound_to(&content.snapshot, &snapshot.meta)
            && (snapshot.meta.deleting || is_behind(snapshot, content))
    };
    Needs { problem: None, finalizer, snapshot: snapshot.is_some_and(|snapshot| behind(&snapshot)) }
}

/// Whether an unready snapshot does not say what its content says. What a ready one says does not change any more.
fn is_behind(snapshot: &Snapshot, content: &SnapshotContent) -> bool {
    let unready = !(snapshot.is_ready() && snapshot.bound_content().is_some());
    unready && status::copy(snapshot, content, None).is_some()
}

/// Whether nobody is in charge of a content, although somebody might be.
pub fn is_unmanaged(content: &SnapshotContent) -> bool {
    let taken = content.volume_handle.is_some() && !content.snapshot.uid.is_empty();
    taken && content.managed_by.is_none() && !content.is_member
}

/// The node to be put in charge of a content that nobody is in charge of, while there are nodes to choose from. Upstream chooses when
/// the content is made, or never (13.6).
pub fn unmanaged_node(content: &SnapshotContent, stores: &Stores) -> Option<Interned> {
    let nodes = stores.nodes.as_ref().filter(|_| is_unmanaged(content))?;
    let volumes = stores.volumes.by(VolumeIndex::Handle, content.volume_handle.as_deref()?);
    let ours = |volume: &Arc<Volume>| volume.driver.as_ref() == Some(&content.driver);
    let volume = volumes.into_iter().find(ours).filter(|volume| volume.affinity.is_some())?;
    node::of(&volume, nodes.list().iter().map(AsRef::as_ref))
}
