//! What the content of a group needs (sheet 5.17).

use sidecar_core::objects::{GroupContent, GroupSnapshot};
use snapshot_api::names::finalizers::GROUP_CONTENT_BOUND;

use crate::events::group as events;
use crate::policy::content::Needs;
use crate::policy::lookup::is_bound_to;
use crate::policy::{GroupStores, status};

/// What a content needs.
pub fn needs(content: &GroupContent, stores: &GroupStores) -> Needs {
    if content.handles.is_some() != content.volume_handles.is_empty() {
        return Needs { problem: Some(events::CONTENT_VALIDATION_MESSAGE), ..Needs::default() };
    }
    if content.snapshot.uid.is_empty() {
        return Needs::default();
    }
    let finalizer = !content.meta.deleting && !content.meta.finalizers.has(GROUP_CONTENT_BOUND);
    let group = stores.snapshots.get(&content.snapshot.namespace, &content.snapshot.name);
    let behind = |group: &GroupSnapshot| {
        is_bound_to(&content.snapshot, &group.meta) && (group.meta.deleting || is_behind(group, content))
    };
    Needs { problem: None, finalizer, snapshot: group.is_some_and(|group| behind(&group)) }
}

fn is_behind(group: &GroupSnapshot, content: &GroupContent) -> bool {
    let unready = !(group.is_ready() && group.bound_content().is_some());
    unready && status::copy_group(group, content).is_some()
}
