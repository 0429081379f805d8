//! Which content is a group's own (sheet 5.13).

use std::sync::Arc;

use sidecar_core::objects::{GroupContent, GroupSnapshot};
use snapshot_api::names::group_content_name;

use crate::events::group as events;
use crate::policy::lookup::{is_bound_to, is_for};
use crate::policy::{GroupStores, Problem};

/// The content that the group names or that was made for it, if it is there. An error is about a content that has the name but
/// is not the group's.
pub fn own(group: &GroupSnapshot, stores: &GroupStores) -> Result<Option<Arc<GroupContent>>, Problem> {
    match &group.content {
        Some(name) => by_hand(group, name, stores),
        None => made(group, stores),
    }
}

/// The name of the content that is made for a group.
pub fn made_name(group: &GroupSnapshot) -> String {
    group_content_name(&group.meta.uid.to_string())
}

fn by_hand(
    group: &GroupSnapshot,
    name: &str,
    stores: &GroupStores,
) -> Result<Option<Arc<GroupContent>>, Problem> {
    let key = group.meta.key();
    if name.is_empty() {
        let error = format!("empty VolumeGroupSnapshotContentName for group snapshot {key}");
        return Err(Problem::unready(events::CONTENT_MISSING, error.clone(), error));
    }
    let Some(content) = stores.contents.get("", name) else { return Ok(None) };
    if content.handles.is_none() {
        return Err(Problem::unready(
            events::CONTENT_MISMATCH,
            "VolumeGroupSnapshotContent is dynamically provisioned while expecting a pre-provisioned one",
            format!(
                "group snapshot {key} expects a pre-provisioned VolumeGroupSnapshotContent {name} but gets a dynamically \
                 provisioned one"
            ),
        ));
    }
    if is_for(&content.snapshot, &group.meta) { Ok(Some(content)) } else { Err(misbound(name)) }
}

fn made(group: &GroupSnapshot, stores: &GroupStores) -> Result<Option<Arc<GroupContent>>, Problem> {
    let (key, name) = (group.meta.key(), made_name(group));
    let Some(content) = stores.contents.get("", &name) else { return Ok(None) };
    if content.handles.is_some() {
        return Err(Problem::unready(
            events::CONTENT_MISMATCH,
            format!(
                "VolumeGroupSnapshotContent {name} is pre-provisioned while expecting a dynamically provisioned one"
            ),
            format!(
                "group snapshot {key} expects a dynamically provisioned VolumeGroupSnapshotContent {name} but gets a \
                 pre-provisioned one"
            ),
        ));
    }
    if is_bound_to(&content.snapshot, &group.meta) { Ok(Some(content)) } else { Err(misbound(&name)) }
}

fn misbound(name: &str) -> Problem {
    let message = format!("VolumeGroupSnapshotContent [{name}] is bound to a different group snapshot");
    Problem::unready(events::CONTENT_MISBOUND, message.clone(), message)
}
