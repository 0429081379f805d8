//! What has to happen before a deleted group may go (sheet 5.16, 13.12).

use std::sync::Arc;

use sidecar_core::objects::{DeletionPolicy, GroupContent, GroupSnapshot, Snapshot, SnapshotIndex};
use snapshot_api::names::finalizers::GROUP_BOUND;

use super::lookup;
use crate::policy::deletion::is_being_restored;
use crate::policy::lookup::is_bound_to;
use crate::policy::{GroupStores, Stores};

/// The next thing to do about a group that is being deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing: others hold it.
    Settled,
    /// A member is still needed: report this, and try again.
    Pending(String),
    /// Say on the content that its group is being deleted.
    Mark(Arc<GroupContent>),
    /// Delete the content.
    Delete(Arc<GroupContent>),
    /// Delete the members.
    DeleteMembers(Vec<Arc<Snapshot>>),
    /// The content is on its way; its end comes back here.
    AwaitContent,
    /// Nothing is left to be done: take off the finalizer. The name is one under which there may be a content that the caches do
    /// not show.
    Release(Option<Box<str>>),
}

/// What to do next.
pub fn next(group: &GroupSnapshot, stores: &Stores, groups: &GroupStores) -> Next {
    if !group.meta.finalizers.has(GROUP_BOUND) {
        return Next::Settled;
    }
    let members = members(group, stores);
    if let Some(member) = members.iter().find(|member| is_being_restored(&member.meta, stores)) {
        let (member, group) = (member.meta.key(), group.meta.key());
        return Next::Pending(format!(
            "Snapshot {member} belonging to VolumeGroupSnapshot {group} is being used to restore a PVC"
        ));
    }
    let content = content(group, groups);
    if let Some(content) = &content {
        if !content.being_deleted {
            return Next::Mark(content.clone());
        }
        if content.policy == DeletionPolicy::Delete && !content.meta.deleting {
            return Next::Delete(content.clone());
        }
    }
    let left: Vec<_> = members.into_iter().filter(|member| !member.meta.deleting).collect();
    if !left.is_empty() {
        return Next::DeleteMembers(left);
    }
    match content {
        Some(content) if content.policy == DeletionPolicy::Delete => Next::AwaitContent,
        Some(_) => Next::Release(None),
        None => Next::Release(Some(content_name(group))),
    }
}

/// The members that are there.
pub fn members(group: &GroupSnapshot, stores: &Stores) -> Vec<Arc<Snapshot>> {
    let mut members = stores.snapshots.by(SnapshotIndex::Group, &group.meta.key().to_string());
    members.retain(|member| member.group.as_ref().is_some_and(|owner| owner.uid == group.meta.uid));
    members
}

/// Where the content would be. Upstream means to look for the one that is made, too, and does not.
fn content_name(group: &GroupSnapshot) -> Box<str> {
    let named = group.bound_content().or(group.content.as_deref().filter(|name| !name.is_empty()));
    named.map_or_else(|| lookup::made_name(group).into(), Into::into)
}

/// The content, if it is this group's and no other's.
pub fn content(group: &GroupSnapshot, groups: &GroupStores) -> Option<Arc<GroupContent>> {
    let content = groups.contents.get("", &content_name(group))?;
    is_bound_to(&content.snapshot, &group.meta).then_some(content)
}
