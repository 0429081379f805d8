//! What a snapshot has to do with its group (sheet 5.4 step 5, 5.10, 13.1).

use std::sync::Arc;

use serde_json::Value;
use sidecar_core::cache::Store;
use sidecar_core::objects::{GroupContent, GroupContentIndex, Snapshot, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::kinds::{GROUP_SNAPSHOT_API_VERSION, is_group_owner};

use super::Shared;
use super::api::{self, PatchType, Stop, is_stale, text};
use super::group::Groups;
use super::report::stopped;
use super::snapshot::After;
use crate::policy::group::members;
use crate::policy::lookup::is_for;
use crate::policy::patch;

/// The contents of groups that the snapshot of a content is a part of.
fn holding(groups: &Groups, content: &SnapshotContent) -> Vec<Arc<GroupContent>> {
    let handle = content.status.as_ref().and_then(|status| status.group_handle.as_deref());
    let contents = handle.map(|handle| groups.stores.contents.by(GroupContentIndex::Handle, handle));
    contents.into_iter().flatten().filter(|group| group.driver == content.driver).collect()
}

impl Shared {
    /// The group that a content says it is a part of. Nobody knows while groups are not worked on. A group of another namespace is
    /// none of the snapshot's: what has its name in the snapshot's namespace is something else.
    pub(super) fn group_of(
        &self,
        snapshot: &Snapshot,
        content: &SnapshotContent,
    ) -> Result<Option<String>, String> {
        let handle = content.status.as_ref().and_then(|status| status.group_handle.as_deref());
        let (Some(_), Some(groups)) = (handle, self.groups.get()) else { return Ok(None) };
        if let Some(owner) = &snapshot.group {
            return Ok(Some(owner.name.to_string()));
        }
        let contents = holding(groups, content);
        if contents.is_empty() {
            let key = snapshot.meta.key();
            return Err(format!(
                "updateSnapshotStatus: cannot find the group snapshot for VolumeSnapshot [{key}], will not update snapshot \
                 status"
            ));
        }
        let namespace = snapshot.meta.namespace();
        let own = contents.into_iter().find(|group| *group.snapshot.namespace == *namespace);
        Ok(own.map(|group| group.snapshot.name.to_string()))
    }

    /// Makes a group the owner of a snapshot that was made by hand.
    pub(super) async fn adopt(&self, snapshot: &Arc<Snapshot>, name: &str) -> Result<After, Stop> {
        let Some(groups) = self.groups.get() else { return Ok(After::End(Outcome::Done)) };
        let namespace = snapshot.meta.namespace();
        let Some(group) = groups.stores.snapshots.get(namespace, name) else {
            let problem = format!("volumegroupsnapshot.groupsnapshot.storage.k8s.io {name:?} not found");
            return Ok(After::End(Outcome::RetryBackoff(problem)));
        };
        // The name stands in the status, where upstream may have written that of a group in another namespace.
        let content = self.stores.contents.get("", snapshot.bound_content().unwrap_or_default());
        let contents = content.map(|content| holding(groups, &content)).unwrap_or_default();
        if !contents.iter().any(|content| is_for(&content.snapshot, &group.meta)) {
            let (key, group) = (snapshot.meta.key(), group.meta.key());
            let problem =
                format!("VolumeSnapshot {key} is not of group snapshot {group}, whose name its status has");
            return Ok(After::End(Outcome::RetryBackoff(problem)));
        }
        let owner = members::owner(name, &group.meta.uid);
        let [first, further] = patch::adopt(&snapshot.meta, &owner);
        let written = match self.patch_metadata(snapshot, &first).await {
            // It has owners already, or it has changed.
            Err(error) if is_stale(&error) => self.patch_metadata(snapshot, &further).await,
            written => written,
        };
        written.map(After::Step).map_err(|error| stopped(&snapshot.meta, &error))
    }

    /// Writes the present version of the API into a member's owner reference.
    pub(super) async fn modernise(&self, snapshot: &Arc<Snapshot>) -> Result<After, Stop> {
        let meta = &snapshot.meta;
        let live = api::get_whole::<Snapshot>(&self.client, meta.namespace(), &meta.name).await;
        let live = live.map_err(|error| Stop::Failed(text(&error)))?.ok_or(Stop::Gone)?;
        let at = |pointer: &str| live.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if at("/metadata/resourceVersion") != meta.resource_version.to_string() {
            return Err(Stop::Stale(format!("snapshot {} has been modified meanwhile", meta.key())));
        }
        let owners = live.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let field =
            |owner: &Value, name: &str| owner.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let old = owners.into_iter().flatten().position(|owner| {
            let (version, kind) = (field(owner, "apiVersion"), field(owner, "kind"));
            let (version, kind) = (version.unwrap_or_default(), kind.unwrap_or_default());
            is_group_owner(&version, &kind) && version != GROUP_SNAPSHOT_API_VERSION
        });
        let Some(index) = old else { return Ok(After::End(Outcome::Done)) };
        let patch = patch::modernise(meta, index, GROUP_SNAPSHOT_API_VERSION);
        let written = self.patch_metadata(snapshot, &patch).await;
        written.map(After::Step).map_err(|error| stopped(meta, &error))
    }

    async fn patch_metadata(&self, snapshot: &Snapshot, patch: &Value) -> Result<Arc<Snapshot>, kube::Error> {
        let store: &Store<Snapshot> = &self.stores.snapshots;
        api::patch(&self.client, store, &snapshot.meta, "", PatchType::Json, patch).await
    }
}
