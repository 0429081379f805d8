//! Snapshots that volumes were restored from lose their protection: when the volume is saved, and, for what a crash or a
//! deleted claim left behind, from time to time (sheet 5.9, 13.10).

use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams, PostParams};
use sidecar_core::api::ErrorKind;
use sidecar_core::cache::Caches;
use sidecar_core::objects::{Interest, Snapshot, Uid};
use snapshot_api::v1::{VolumeSnapshot, VolumeSnapshotContent};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::Shared;
use super::api::{is_gone, text};
use super::filling::snapshot_kind;
use crate::policy::data_source::{Place, SNAPSHOT_GROUP, Source, restore};
use crate::policy::protection::{is_ours, orphans};

/// How protection of a snapshot ended, or did not.
enum Ended {
    Yes,
    /// It is gone, or has no protection.
    NothingToDo,
    /// The rules of the cluster do not let us.
    Forbidden(String),
}

impl Shared {
    /// The claim of this UID needs the snapshot no longer.
    pub(super) async fn release_snapshot(&self, place: &Place, uid: &Uid) -> Result<(), String> {
        let _held = self.sources.lock_source(&Source::Snapshot(place.clone())).await;
        // The last one to leave does it.
        if !self.is_restored_from(place, Some(uid)) {
            let problem = |problem| format!("failed to remove finalizer from snapshot {place}: {problem}");
            match self.end_protection(place).await.map_err(problem)? {
                Ended::Yes => info!(v = 4, snapshot = %place, "Snapshot may be deleted again"),
                Ended::NothingToDo => {}
                Ended::Forbidden(problem) => {
                    info!(snapshot = %place, err = problem, "Not allowed to remove finalizer from snapshot");
                }
            }
        }
        self.sources.end(uid);
        Ok(())
    }

    /// Removes our finalizer from a live snapshot. Its lock is held.
    async fn end_protection(&self, place: &Place) -> Result<Ended, String> {
        let snapshots: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &place.namespace, &snapshot_kind());
        let Some(live) = snapshots.get_opt(&place.name).await.map_err(|error| text(&error))? else {
            return Ok(Ended::NothingToDo);
        };
        self.remove_finalizer(&snapshots, place, live).await
    }

    async fn remove_finalizer(
        &self,
        snapshots: &Api<DynamicObject>,
        place: &Place,
        mut live: DynamicObject,
    ) -> Result<Ended, String> {
        if !restore::is_protected(&live.metadata) {
            return Ok(Ended::NothingToDo);
        }
        live.metadata.finalizers.get_or_insert_default().retain(|name| name != restore::FINALIZER);
        match snapshots.replace(&place.name, &PostParams::default(), &live).await {
            Ok(_) => Ok(Ended::Yes),
            Err(error) if is_gone(&error) => Ok(Ended::NothingToDo),
            Err(error) if ErrorKind::of(&error) == ErrorKind::Forbidden => Ok(Ended::Forbidden(text(&error))),
            Err(error) => Err(text(&error)),
        }
    }

    /// Removes protection that serves nothing, now and every `interval`, for as long as it is polled.
    ///
    /// Snapshots are optional in a cluster: where there are none, or where we may not see them, nothing is watched.
    pub(super) async fn sweep_snapshots(&self, caches: Caches, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.sees_snapshots().await {
                Ok(true) => break,
                Ok(false) => info!(v = 5, "The API server has no VolumeSnapshots"),
                Err(error) if ErrorKind::of(&error) == ErrorKind::Forbidden => {
                    info!(
                        err = text(&error),
                        "Not allowed to list VolumeSnapshots, unused protection is left on them"
                    );
                    return;
                }
                Err(error) => warn!(err = text(&error), "Cannot list VolumeSnapshots, will try again"),
            }
        }
        let watched = caches.borrow::<Snapshot>(Interest::all(), &self.client);
        watched.store().synced().await;
        ticks.reset_immediately();
        loop {
            ticks.tick().await;
            let (snapshots, claims) = (watched.store().list(), self.stores.claims.list());
            let unused = orphans(
                snapshots.iter().map(|snapshot| &**snapshot),
                claims.iter().map(|claim| &**claim),
                |place| self.sources.is_used(&Source::Snapshot(place.clone()), None),
            );
            for place in unused {
                match self.sweep(&place).await {
                    Ok(Ended::Yes) => {
                        info!(v = 2, snapshot = %place, "Removed orphaned finalizer from snapshot");
                    }
                    Ok(Ended::NothingToDo) => {}
                    Ok(Ended::Forbidden(problem)) | Err(problem) => {
                        warn!(snapshot = %place, err = problem, "Cannot remove orphaned finalizer from snapshot");
                    }
                }
            }
        }
    }

    /// Whether there can be snapshots, and we may list them. The question is put so that "no" is no error: the API server's
    /// list of groups is there for everybody.
    async fn sees_snapshots(&self) -> Result<bool, kube::Error> {
        let groups = self.client.list_api_groups().await?.groups;
        if !groups.iter().any(|group| group.name == SNAPSHOT_GROUP) {
            return Ok(false);
        }
        let snapshots: Api<DynamicObject> = Api::all_with(self.client.clone(), &snapshot_kind());
        match snapshots.list(&ListParams::default().limit(1)).await {
            Ok(_) => Ok(true),
            Err(error) if is_gone(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn sweep(&self, place: &Place) -> Result<Ended, String> {
        let _held = self.sources.lock_source(&Source::Snapshot(place.clone())).await;
        let snapshots: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &place.namespace, &snapshot_kind());
        let Some(live) = snapshots.get_opt(&place.name).await.map_err(|error| text(&error))? else {
            return Ok(Ended::NothingToDo);
        };
        // A claim may have come since the list was made.
        if self.is_restored_from(place, None)
            || !is_ours(self.content_of(&live).await?.as_ref(), self.driver.names.name())
        {
            return Ok(Ended::NothingToDo);
        }
        self.remove_finalizer(&snapshots, place, live).await
    }

    /// What a snapshot is bound to, if that is there.
    async fn content_of(&self, live: &DynamicObject) -> Result<Option<VolumeSnapshotContent>, String> {
        let snapshot: VolumeSnapshot =
            serde_json::to_value(live).and_then(serde_json::from_value).map_err(|error| error.to_string())?;
        let bound = snapshot.status.and_then(|status| status.bound_volume_snapshot_content_name);
        let Some(name) = bound.filter(|name| !name.is_empty()) else { return Ok(None) };
        let contents: Api<VolumeSnapshotContent> = Api::all(self.client.clone());
        contents.get_opt(&name).await.map_err(|error| text(&error))
    }
}
