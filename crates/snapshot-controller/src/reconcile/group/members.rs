//! Members of a group that has been cut (sheet 5.15, 13.5).

use std::sync::Arc;

use futures::StreamExt;
use sidecar_core::api::ErrorKind;
use sidecar_core::cache::Store;
use sidecar_core::objects::{GroupContent, GroupSnapshot, Kind, Snapshot, SnapshotContent};

use super::super::Shared;
use super::super::api::{self, PatchType, text};
use crate::policy::group::members::{self, Member};
use crate::policy::patch;

/// How many members are made at a time.
const AT_A_TIME: usize = 10;

impl Shared {
    /// Makes the members that are not there yet. The first that fails says why; the others are made all the same.
    pub(super) async fn make_members(
        &self,
        group: &GroupSnapshot,
        content: &GroupContent,
    ) -> Result<(), String> {
        let plans = members::plan(group, content, &self.stores);
        let made = futures::stream::iter(plans).map(|member| self.make_member(group, member));
        let made: Vec<_> = made.buffered(AT_A_TIME).collect().await;
        made.into_iter()
            .collect::<Result<Vec<()>, String>>()
            .map(drop)
            .map_err(|error| format!("createIndividualSnapshotForGroupSnapshot: {error}"))
    }

    async fn make_member(&self, group: &GroupSnapshot, member: Member) -> Result<(), String> {
        let namespace = group.meta.namespace();
        let snapshots = &self.stores.snapshots;
        let snapshot =
            self.get_or_create(snapshots, namespace, member.snapshot_name(), &member.snapshot).await?;
        if snapshot.meta.uid.is_empty() {
            return Err(format!("the snapshot {} has no UID", snapshot.meta.key()));
        }
        if snapshot.meta.deleting {
            return Ok(());
        }
        let contents = &self.stores.contents;
        let bound = member.bound(&snapshot.meta);
        let content = self.get_or_create(contents, "", member.content_name(), &bound).await?;
        let content = self.bind_member(&content, &snapshot).await?;
        if !members::needs_status(&content) {
            return Ok(());
        }
        let patch = patch::status(&content.meta, &member.status);
        let written =
            api::patch(&self.client, contents, &content.meta, "/status", PatchType::Merge, &patch).await;
        written.map(drop).map_err(|error| failed("update", &content.meta.name, &error))
    }

    /// A content that upstream's controller made may not know its snapshot yet.
    async fn bind_member(
        &self,
        content: &Arc<SnapshotContent>,
        snapshot: &Snapshot,
    ) -> Result<Arc<SnapshotContent>, String> {
        if !content.snapshot.uid.is_empty() {
            return Ok(content.clone());
        }
        let patch = patch::bind_member(&content.meta, &snapshot.meta);
        let store = &self.stores.contents;
        let written = api::patch(&self.client, store, &content.meta, "", PatchType::Merge, &patch).await;
        written.map_err(|error| failed("bind", &content.meta.name, &error))
    }

    async fn get_or_create<T: Kind + Clone>(
        &self,
        store: &Store<T>,
        namespace: &str,
        name: &str,
        object: &impl serde::Serialize,
    ) -> Result<Arc<T>, String> {
        if let Some(known) = store.get(namespace, name) {
            return Ok(known);
        }
        let error = match api::create(&self.client, store, namespace, object).await {
            Ok(created) => return Ok(created),
            Err(error) => error,
        };
        if ErrorKind::of(&error) == ErrorKind::AlreadyExists {
            let there = api::get(&self.client, store, namespace, name).await;
            if let Some(there) = there.map_err(|error| failed("get", name, &error))? {
                return Ok(there);
            }
        }
        Err(failed("create", name, &error))
    }
}

fn failed(what: &str, name: &str, error: &kube::Error) -> String {
    format!("failed to {what} {name}: {}", text(error))
}
