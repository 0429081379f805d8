//! A snapshot that is being deleted (sheet 5.8).

use std::sync::Arc;

use sidecar_core::events::EventKind;
use sidecar_core::objects::{GroupSnapshot, Snapshot, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::annotations::BEING_DELETED;

use super::Shared;
use super::api::{self, PatchType, Stop, text};
use super::report::stopped;
use super::snapshot::origin;
use crate::events;
use crate::metrics::Operation;
use crate::policy::deletion::{Group, Next, group_name, next};
use crate::policy::patch;

/// How many steps one look may take.
const STEPS: usize = 8;

impl Shared {
    pub(super) async fn sync_deleted(&self, snapshot: &Arc<Snapshot>) -> Result<Outcome, Stop> {
        let uid = &snapshot.meta.uid;
        self.metrics.begin(Operation::Delete, uid, origin(snapshot), || self.driver_of(snapshot));
        let group = self.group_state(snapshot).await?;
        let mut searched = false;
        for _ in 0..STEPS {
            match next(snapshot, &self.stores, &group) {
                Next::Settled | Next::AwaitContent => return Ok(Outcome::Done),
                Next::Pending { message, error } => {
                    let reason = events::DELETE_PENDING;
                    self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, reason, &message);
                    return Ok(Outcome::RetryBackoff(error));
                }
                Next::Mark(content) => self.mark(&self.stores.contents, &content.meta, BEING_DELETED).await?,
                Next::Delete(content) => self.delete_content(snapshot, &content).await?,
                Next::Release { content: Some(name), .. } if !searched && !self.memory.is_without(uid) => {
                    searched = true;
                    self.search(&self.stores.contents, &name).await?;
                }
                Next::Release { finalizers, .. } => return self.release(snapshot, &finalizers).await,
            }
        }
        Err(Stop::Failed(format!("snapshot {} changes all the time", snapshot.meta.key())))
    }

    async fn delete_content(&self, snapshot: &Snapshot, content: &SnapshotContent) -> Result<(), Stop> {
        let Err(failed) = self.delete(&self.stores.contents, &content.meta).await else { return Ok(()) };
        let error = failed.map_or_else(Err, Ok)?;
        let (reason, message) = (events::CONTENT_DELETE_ERROR, events::CONTENT_DELETE_MESSAGE);
        self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, reason, message);
        let name = &content.meta.name;
        Err(Stop::Failed(format!("failed to delete VolumeSnapshotContent {name} from API server: {error:?}")))
    }

    /// The last step: claim first, then the finalizers.
    async fn release(&self, snapshot: &Snapshot, finalizers: &[&str]) -> Result<Outcome, Stop> {
        let (name, key) = (&snapshot.meta.name, snapshot.meta.key());
        self.release_source(snapshot, Some(name)).await.map_err(|problem| {
            Stop::Failed(format!("snapshot controller failed to update {key} on API server: {problem}"))
        })?;
        let (store, patch) = (&self.stores.snapshots, patch::release(&snapshot.meta, finalizers));
        match api::patch(&self.client, store, &snapshot.meta, "", PatchType::Json, &patch).await {
            Ok(_) => Ok(Outcome::Done),
            Err(error) => Err(stopped(&snapshot.meta, &error)),
        }
    }

    /// What has become of the group that a snapshot is a member of.
    async fn group_state(&self, snapshot: &Snapshot) -> Result<Group, Stop> {
        let Some(name) = group_name(snapshot) else { return Ok(Group::None) };
        let namespace = snapshot.meta.namespace();
        let owner = snapshot.group.as_ref().map(|owner| &owner.uid);
        let key = || format!("{namespace}/{name}");
        let there = match self.groups.get() {
            Some(groups) => groups
                .stores
                .snapshots
                .get(namespace, name)
                .is_some_and(|group| owner.is_none_or(|uid| *uid == group.meta.uid)),
            // Groups are not worked on, or not yet: upstream crashes here.
            None => match api::is_there::<GroupSnapshot>(&self.client, namespace, name).await {
                Ok(Some(there)) => there,
                Ok(None) => return Ok(Group::Unseen(key())),
                Err(error) => return Err(Stop::Failed(text(&error))),
            },
        };
        Ok(if there { Group::There(key()) } else { Group::Gone })
    }
}
