//! Which content is a snapshot's own (sheet 5.6).

use std::sync::Arc;

use sidecar_core::objects::{ContentIndex, Snapshot, SnapshotContent, SnapshotRef};
use snapshot_api::names::content_name;

use super::{Problem, Stores};
use crate::events;

/// Whether the reference of a content means this snapshot and no other.
pub fn is_bound_to(reference: &SnapshotRef, snapshot: &sidecar_core::objects::Meta) -> bool {
    is_for(reference, snapshot) && reference.uid == snapshot.uid
}

/// Whether it means this snapshot, or would once it is bound.
pub fn is_for(reference: &SnapshotRef, snapshot: &sidecar_core::objects::Meta) -> bool {
    *reference.namespace == *snapshot.namespace()
        && *reference.name == *snapshot.name
        && (reference.uid.is_empty() || reference.uid == snapshot.uid)
}

/// The content that the snapshot names or that was made for it, if it is there.
///
/// An error is about a content that has the name but is not the snapshot's. The content of a group's member has a name of
/// its own; it is found through what the member is bound to ([`of_member`]).
pub fn own(snapshot: &Snapshot, stores: &Stores) -> Result<Option<Arc<SnapshotContent>>, Problem> {
    match &snapshot.content {
        Some(name) => by_hand(snapshot, name, stores),
        None => made(snapshot, stores),
    }
}

/// The name of the content that is made for a snapshot.
pub fn made_name(snapshot: &Snapshot) -> String {
    content_name(&snapshot.meta.uid.to_string())
}

fn by_hand(
    snapshot: &Snapshot,
    name: &str,
    stores: &Stores,
) -> Result<Option<Arc<SnapshotContent>>, Problem> {
    let key = snapshot.meta.key();
    if name.is_empty() {
        let error = format!("empty VolumeSnapshotContentName for snapshot {key}");
        return Err(Problem::unready(events::CONTENT_MISSING, error.clone(), error));
    }
    let Some(content) = stores.contents.get("", name) else { return Ok(None) };
    if content.snapshot_handle.is_none() {
        return Err(Problem::unready(
            events::CONTENT_MISMATCH,
            "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one",
            format!(
                "snapshot {key} expects a pre-provisioned VolumeSnapshotContent {name} but gets a dynamically provisioned one"
            ),
        ));
    }
    if is_for(&content.snapshot, &snapshot.meta) { Ok(Some(content)) } else { Err(misbound(name)) }
}

fn made(snapshot: &Snapshot, stores: &Stores) -> Result<Option<Arc<SnapshotContent>>, Problem> {
    let (key, name) = (snapshot.meta.key(), made_name(snapshot));
    let Some(content) = stores.contents.get("", &name) else { return Ok(None) };
    if content.volume_handle.is_none() {
        return Err(Problem::unready(
            events::CONTENT_MISMATCH,
            format!(
                "VolumeSnapshotContent {name} is pre-provisioned while expecting a dynamically provisioned one"
            ),
            format!(
                "snapshot {key} expects a dynamically provisioned VolumeSnapshotContent {name} but gets a pre-provisioned one"
            ),
        ));
    }
    if is_bound_to(&content.snapshot, &snapshot.meta) { Ok(Some(content)) } else { Err(misbound(&name)) }
}

fn misbound(name: &str) -> Problem {
    let message = format!("VolumeSnapshotContent [{name}] is bound to a different snapshot");
    Problem::unready(events::CONTENT_MISBOUND, message.clone(), message)
}

/// The content of a group's member: the one it is bound to, or the one that names it.
pub fn of_member(snapshot: &Snapshot, stores: &Stores) -> Option<Arc<SnapshotContent>> {
    let bound = snapshot.bound_content().and_then(|name| stores.contents.get("", name));
    bound.filter(|content| is_for(&content.snapshot, &snapshot.meta)).or_else(|| naming(snapshot, stores))
}

/// The content that names exactly this snapshot.
pub fn naming(snapshot: &Snapshot, stores: &Stores) -> Option<Arc<SnapshotContent>> {
    let contents = stores.contents.by(ContentIndex::Snapshot, &snapshot.meta.key().to_string());
    contents.into_iter().find(|content| is_bound_to(&content.snapshot, &snapshot.meta))
}
