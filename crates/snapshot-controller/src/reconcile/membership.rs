//! What a snapshot has to do with its group (sheet 5.4 step 5, 5.10, 13.1).

use std::sync::Arc;

use serde_json::Value;
use sidecar_core::cache::Store;
use sidecar_core::objects::{GroupContentIndex, Snapshot, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::kinds::{GROUP_SNAPSHOT_API_VERSION, is_group_owner};

use super::Shared;
use super::api::{self, PatchType, Stop, is_stale, text};
use super::report::stopped;
use super::snapshot::After;
use crate::policy::group::members;
use crate::policy::patch;

impl Shared {
    /// The group that a content says it is a part of. Nobody knows while groups are not worked on.
    pub(super) fn group_of(
        &self,
        snapshot: &Snapshot,
        content: &SnapshotContent,
    ) -> Result<Option<String>, String> {
        let handle = content.status.as_ref().and_then(|status| status.group_handle.as_deref());
        let (Some(handle), Some(groups)) = (handle, self.groups.get()) else { return Ok(None) };
        if let Some(owner) = &snapshot.group {
            return Ok(Some(owner.name.to_string()));
        }
        let contents = groups.stores.contents.by(GroupContentIndex::Handle, handle);
        let group = contents.into_iter().find(|group| group.driver == content.driver);
        group.map(|group| Some(group.snapshot.name.to_string())).ok_or_else(|| {
            let key = snapshot.meta.key();
            format!(
                "updateSnapshotStatus: cannot find the group snapshot for VolumeSnapshot [{key}], will not update snapshot \
                 status"
            )
        })
    }

    /// Makes a group the owner of a snapshot that was made by hand.
    pub(super) async fn adopt(&self, snapshot: &Arc<Snapshot>, name: &str) -> Result<After, Stop> {
        let Some(groups) = self.groups.get() else { return Ok(After::End(Outcome::Done)) };
        let namespace = snapshot.meta.namespace();
        let Some(group) = groups.stores.snapshots.get(namespace, name) else {
            let problem = format!("volumegroupsnapshot.groupsnapshot.storage.k8s.io {name:?} not found");
            return Ok(After::End(Outcome::RetryBackoff(problem)));
        };
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
