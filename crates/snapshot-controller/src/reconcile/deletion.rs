//! A snapshot that is being deleted (sheet 5.8).

use std::sync::Arc;

use sidecar_core::events::EventKind;
use sidecar_core::objects::{Snapshot, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::annotations::BEING_DELETED;

use super::Shared;
use super::api::{self, PatchType, Stop, is_gone, is_stale, text};
use super::snapshot::origin;
use crate::events;
use crate::metrics::Operation;
use crate::policy::deletion::{Group, Next, next};
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
                Next::Mark(content) => self.mark(&content).await?,
                Next::Delete(content) => self.delete_content(snapshot, &content).await?,
                Next::Release { content: Some(name), .. } if !searched && !self.memory.is_without(uid) => {
                    searched = true;
                    self.search_content(&name).await?;
                }
                Next::Release { finalizers, .. } => return self.release(snapshot, &finalizers).await,
            }
        }
        Err(Stop::Failed(format!("snapshot {} changes all the time", snapshot.meta.key())))
    }

    /// The watch of contents may be behind the one of snapshots, above all after a restart: a content that is not looked for now would
    /// be nobody's for ever.
    async fn search_content(&self, name: &str) -> Result<(), Stop> {
        let found = api::get(&self.client, &self.stores.contents, "", name).await;
        found.map(drop).map_err(|error| Stop::Failed(text(&error)))
    }

    async fn mark(&self, content: &SnapshotContent) -> Result<(), Stop> {
        let (store, patch) = (&self.stores.contents, patch::annotate(&content.meta, BEING_DELETED));
        match api::patch(&self.client, store, &content.meta, "", PatchType::Merge, &patch).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => {
                store.removed("", &content.meta.name, &content.meta.uid);
                Ok(())
            }
            Err(error) if is_stale(&error) => Err(Stop::Stale),
            Err(error) => {
                let (name, error) = (&content.meta.name, text(&error));
                Err(Stop::Failed(format!(
                    "snapshot controller failed to update {name} on API server: {error}"
                )))
            }
        }
    }

    async fn delete_content(&self, snapshot: &Snapshot, content: &SnapshotContent) -> Result<(), Stop> {
        let (store, options) = (&self.stores.contents, patch::delete_options(&content.meta));
        match api::delete(&self.client, store, &content.meta, &options).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => {
                store.removed("", &content.meta.name, &content.meta.uid);
                Ok(())
            }
            Err(error) if is_stale(&error) => Err(Stop::Stale),
            Err(error) => {
                let (reason, message) = (events::CONTENT_DELETE_ERROR, events::CONTENT_DELETE_MESSAGE);
                self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, reason, message);
                let (name, error) = (&content.meta.name, text(&error));
                Err(Stop::Failed(format!(
                    "failed to delete VolumeSnapshotContent {name} from API server: {error:?}"
                )))
            }
        }
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
            Err(error) => Err(self.stopped(&snapshot.meta, &error)),
        }
    }

    async fn group_state(&self, _snapshot: &Snapshot) -> Result<Group, Stop> {
        std::future::ready(Ok(Group::None)).await
    }
}
