//! A snapshot: what it needs is done step by step (sheet 5.2 to 5.7, 5.10).

use std::sync::Arc;

use sidecar_core::api::ErrorKind;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{Interned, ObjectKey, Snapshot, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use tracing::info;

use super::Shared;
use super::api::{self, PatchType, Stop, text};
use super::report::{Reported, outcome, stopped};
use crate::events;
use crate::metrics::{Operation, Origin};
use crate::policy::snapshot::{Next, next};
use crate::policy::{Problem, class, create, deletion, patch, status};

/// How many steps one look may take. The longest way is shorter.
const STEPS: usize = 16;

/// What is to be done after a step.
pub(super) enum After {
    /// The next step, of the object as it is now.
    Step(Arc<Snapshot>),
    /// Nothing more now.
    End(Outcome),
}

/// Where a snapshot comes from.
pub(super) fn origin(snapshot: &Snapshot) -> Origin {
    if snapshot.content.is_some() { Origin::PreProvisioned } else { Origin::Dynamic }
}

impl Shared {
    /// Looks at the snapshot of this name.
    pub(super) async fn sync_snapshot(&self, key: &ObjectKey) -> Outcome {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let Some(snapshot) = self.stores.snapshots.get(namespace, &key.name) else { return Outcome::Done };
        info!(v = 5, snapshot = %key, "Started snapshot processing");
        self.memory.set_classless(key, false);
        let done = if snapshot.meta.deleting {
            self.sync_deleted(&snapshot).await
        } else {
            self.sync_wanted(&snapshot).await
        };
        done.unwrap_or_else(outcome)
    }

    async fn sync_wanted(&self, snapshot: &Arc<Snapshot>) -> Result<Outcome, Stop> {
        let mut snapshot = snapshot.clone();
        let done = self.steps(&mut snapshot).await;
        // Upstream looks at the claim first, and tries again only when something happens.
        match (self.release_source(&snapshot, None).await, done) {
            (Err(problem), Ok(Outcome::Done)) => Ok(Outcome::RetryBackoff(problem)),
            (_, done) => done,
        }
    }

    async fn steps(&self, snapshot: &mut Arc<Snapshot>) -> Result<Outcome, Stop> {
        for _ in 0..STEPS {
            match self.step(snapshot).await? {
                After::Step(now) if now.meta.deleting => return Ok(Outcome::Done),
                After::Step(now) => *snapshot = now,
                After::End(outcome) => return Ok(outcome),
            }
        }
        Err(Stop::Failed(format!("snapshot {} changes all the time", snapshot.meta.key())))
    }

    async fn step(&self, snapshot: &Arc<Snapshot>) -> Result<After, Stop> {
        let next = next(snapshot, &self.stores);
        if !(snapshot.is_ready() && snapshot.bound_content().is_some()) {
            self.begin(snapshot);
        }
        match next {
            Next::Prepare { class, finalizers } => self.prepare(snapshot, class, &finalizers).await,
            Next::Create => self.create_content(snapshot).await,
            Next::Bind(content) => self.bind(snapshot, &content).await,
            Next::Copy(content) => self.copy(snapshot, &content).await,
            Next::ClearError => self.clear_error(snapshot).await,
            Next::Adopt(group) => self.adopt(snapshot, &group).await,
            Next::Modernise => self.modernise(snapshot).await,
            Next::Report(problem) => {
                let key = snapshot.meta.key();
                self.memory.set_classless(&key, class::is_class_error(&problem.message));
                self.report(&self.stores.snapshots, &**snapshot, problem).await.map(After::End)
            }
            Next::ReportUnlessThere(name, problem) => {
                self.report_unless_there(snapshot, &name, problem).await
            }
            Next::ReportUnprotected(problem) => self.report_unprotected(snapshot, problem).await,
            Next::Wait(problem) => Ok(After::End(Outcome::RetryBackoff(problem))),
            Next::Settled => Ok(After::End(Outcome::Done)),
        }
    }

    /// Takes our finalizer off the snapshot's claim if no snapshot needs it any more.
    pub(super) async fn release_source(
        &self,
        snapshot: &Snapshot,
        besides: Option<&str>,
    ) -> Result<(), String> {
        let claim = match (&snapshot.claim, &snapshot.content) {
            (Some(name), None) => self.stores.claims.get(snapshot.meta.namespace(), name),
            _ => None,
        };
        let Some(claim) = claim else { return Ok(()) };
        let released = self.release_claim(&claim, besides).await;
        if released.is_err() {
            let (reason, message) = (events::CLAIM_FINALIZER_ERROR, events::CLAIM_FINALIZER_MESSAGE);
            self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, reason, message);
        }
        released
    }

    async fn prepare(
        &self,
        snapshot: &Arc<Snapshot>,
        class: Option<Interned>,
        finalizers: &[&str],
    ) -> Result<After, Stop> {
        let class = class.as_ref().map(|class| ("volumeSnapshotClassName", class));
        let patch = patch::prepare(&snapshot.meta, finalizers, class);
        let store = &self.stores.snapshots;
        let written = api::patch(&self.client, store, &snapshot.meta, "", PatchType::Json, &patch).await;
        written.map(After::Step).map_err(|error| {
            let stop = stopped(&snapshot.meta, &error);
            if let Stop::Failed(_) = &stop {
                self.finalizer_error(snapshot, &text(&error));
            }
            stop
        })
    }

    fn finalizer_error(&self, snapshot: &Snapshot, error: &str) {
        let message = format!("Failed to check and update snapshot: {error}");
        self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, events::FINALIZER_ERROR, &message);
    }

    async fn report_unprotected(&self, snapshot: &Arc<Snapshot>, problem: Problem) -> Result<After, Stop> {
        let error = problem.error.clone().unwrap_or_default();
        let outcome = self.report(&self.stores.snapshots, &**snapshot, problem).await?;
        self.finalizer_error(snapshot, &error);
        Ok(After::End(outcome))
    }

    /// The watch of contents may be behind the one of snapshots.
    async fn report_unless_there(
        &self,
        snapshot: &Arc<Snapshot>,
        name: &str,
        problem: Problem,
    ) -> Result<After, Stop> {
        let told = snapshot.says(&problem.message) || self.memory.is_without(&snapshot.meta.uid);
        if !told && self.search(&self.stores.contents, name).await? {
            return Ok(After::Step(snapshot.clone()));
        }
        self.report(&self.stores.snapshots, &**snapshot, problem).await.map(After::End)
    }

    async fn create_content(&self, snapshot: &Arc<Snapshot>) -> Result<After, Stop> {
        match self.try_create_content(snapshot).await {
            Ok(()) => {
                let message = events::creating(&snapshot.meta.key().to_string());
                self.event::<Snapshot>(
                    &snapshot.meta,
                    EventKind::Normal,
                    events::CREATING_SNAPSHOT,
                    &message,
                );
                Ok(After::Step(self.latest(snapshot)?))
            }
            Err(error) => {
                let message = format!("Failed to create snapshot content with error {error}");
                let problem = Problem::unready(events::CONTENT_CREATION_FAILED, message, error);
                self.report(&self.stores.snapshots, &**snapshot, problem).await.map(After::End)
            }
        }
    }

    async fn try_create_content(&self, snapshot: &Snapshot) -> Result<(), String> {
        let plan = create::plan(snapshot, &self.stores, self.settings.note_volume_mode)?;
        let _taking = self.protect_claim(&plan.claim).await?;
        let name = plan.content.metadata.name.clone().unwrap_or_default();
        let store = &self.stores.contents;
        self.memory.content_seen(&snapshot.meta.uid, false);
        let Err(error) = api::create(&self.client, store, "", &plan.content).await else {
            self.memory.made(&snapshot.meta.uid);
            return Ok(());
        };
        if ErrorKind::of(&error) == ErrorKind::AlreadyExists
            && let Ok(Some(_)) = api::get(&self.client, store, "", &name).await
        {
            return Ok(());
        }
        let (key, error) = (snapshot.meta.key(), text(&error));
        let message = format!("Error creating volume snapshot content object for snapshot {key}: {error}.");
        self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, events::CREATE_CONTENT_FAILED, &message);
        Err(format!("snapshot controller failed to update {key} on API server: {error}"))
    }

    /// The snapshot as it is now, if it is still the same.
    fn latest(&self, snapshot: &Snapshot) -> Result<Arc<Snapshot>, Stop> {
        let now = self.stores.snapshots.get(snapshot.meta.namespace(), &snapshot.meta.name);
        now.filter(|now| now.meta.uid == snapshot.meta.uid).ok_or(Stop::Gone)
    }

    async fn bind(&self, snapshot: &Arc<Snapshot>, content: &SnapshotContent) -> Result<After, Stop> {
        let (store, patch) = (&self.stores.contents, patch::bind(content, snapshot));
        let bound = api::patch(&self.client, store, &content.meta, "", PatchType::Merge, &patch).await;
        let error = match bound {
            Ok(_) => return Ok(After::Step(snapshot.clone())),
            Err(error) if ErrorKind::of(&error) == ErrorKind::Conflict => {
                return Err(Stop::Stale(text(&error)));
            }
            Err(error) => text(&error),
        };
        let (key, name) = (snapshot.meta.key(), &content.meta.name);
        let problem = Problem::unready(
            events::BIND_FAILED,
            format!("Snapshot failed to bind VolumeSnapshotContent, {error}"),
            format!(
                "snapshot {key} is bound, but VolumeSnapshotContent {name} is not bound to the VolumeSnapshot correctly, {error}"
            ),
        );
        self.report(&self.stores.snapshots, &**snapshot, problem).await.map(After::End)
    }

    async fn copy(&self, snapshot: &Arc<Snapshot>, content: &SnapshotContent) -> Result<After, Stop> {
        let group = match self.group_of(snapshot, content) {
            Ok(group) => group,
            Err(error) => return self.copy_failed(snapshot, error).await,
        };
        let Some(copy) = status::copy(snapshot, content, group.as_deref()) else {
            return Ok(After::End(Outcome::Done));
        };
        if content.status.is_none()
            && snapshot.bound_content().is_none()
            && let Some(patience) = self.memory.patience(&snapshot.meta.uid)
        {
            return Ok(After::End(Outcome::DoneUntil(patience)));
        }
        let patch = patch::status(&snapshot.meta, &copy.fields);
        let written = match self.patch_status(&self.stores.snapshots, &**snapshot, &patch).await {
            Ok(written) => written,
            Err(Stop::Failed(error)) => return self.copy_failed(snapshot, error).await,
            Err(stop) => return Err(stop),
        };
        let (key, uid) = (snapshot.meta.key().to_string(), &snapshot.meta.uid);
        let driver = Some(&*content.driver);
        if copy.created {
            self.metrics.end(Operation::Create, uid, driver);
            let message = events::created(&key);
            self.event::<Snapshot>(&written.meta, EventKind::Normal, events::SNAPSHOT_CREATED, &message);
        }
        if copy.ready {
            self.metrics.end(Operation::CreateAndReady, uid, driver);
            let message = events::ready(&key);
            self.event::<Snapshot>(&written.meta, EventKind::Normal, events::SNAPSHOT_READY, &message);
        }
        Ok(After::Step(written))
    }

    async fn copy_failed(&self, snapshot: &Arc<Snapshot>, error: String) -> Result<After, Stop> {
        let message = format!("Snapshot status update failed, {error}");
        let problem = Problem::keeping_readiness(events::STATUS_UPDATE_FAILED, message, error);
        self.report(&self.stores.snapshots, &**snapshot, problem).await.map(After::End)
    }

    async fn clear_error(&self, snapshot: &Arc<Snapshot>) -> Result<After, Stop> {
        let mut fields = serde_json::Map::new();
        fields.insert("error".to_owned(), serde_json::Value::Null);
        self.patch_status(&self.stores.snapshots, &**snapshot, &patch::status(&snapshot.meta, &fields))
            .await
            .map(After::Step)
    }

    fn begin(&self, snapshot: &Snapshot) {
        let (uid, origin) = (&snapshot.meta.uid, origin(snapshot));
        if snapshot.status.as_ref().is_none_or(|status| status.creation_time.is_none()) {
            self.metrics.begin(Operation::Create, uid, origin, || self.driver_of(snapshot));
        }
        self.metrics.begin(Operation::CreateAndReady, uid, origin, || self.driver_of(snapshot));
    }

    /// The driver of a snapshot, as far as it is known.
    pub(super) fn driver_of(&self, snapshot: &Snapshot) -> Option<String> {
        let stores = &self.stores;
        let content = match &snapshot.content {
            Some(name) => stores.contents.get("", name),
            None => deletion::content(snapshot, stores).filter(|_| snapshot.class.is_none()),
        };
        let of_class = || {
            let class = stores.classes.get("", snapshot.class.as_deref()?)?;
            Some(class.driver.to_string())
        };
        content.map(|content| content.driver.to_string()).or_else(of_class)
    }
}
