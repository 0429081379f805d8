//! What users are told: events, and errors in statuses.

use std::sync::Arc;

use sidecar_core::events::{EventKind, ObjectRef};
use sidecar_core::objects::{Kind, Meta, Resource, Snapshot};
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::{self, PatchType, Stop};
use crate::policy::{Problem, patch};

/// An object, for an event.
pub(super) fn object_ref(resource: &Resource, meta: &Meta) -> ObjectRef {
    ObjectRef {
        api_version: format!("{}/{}", resource.group, resource.version).into(),
        kind: resource.kind.into(),
        namespace: meta.namespace().to_owned(),
        name: meta.name.to_string(),
        uid: meta.uid.to_string(),
        resource_version: meta.resource_version.to_string(),
    }
}

/// What follows from an early end.
pub(super) fn outcome(stop: Stop) -> Outcome {
    match stop {
        Stop::Gone => Outcome::Done,
        Stop::Stale => Outcome::RetryBackoff("the object has been modified meanwhile".to_owned()),
        Stop::Failed(problem) => Outcome::RetryBackoff(problem),
    }
}

impl Shared {
    /// Reports an event about an object.
    pub(super) fn event<T: Kind>(&self, meta: &Meta, kind: EventKind, reason: &str, message: &str) {
        self.recorder.event(&object_ref(&T::RESOURCE, meta), kind, reason, message);
    }

    /// Writes a problem into the snapshot's status and reports it, unless the status says it already.
    pub(super) async fn report(&self, snapshot: &Arc<Snapshot>, problem: Problem) -> Result<Outcome, Stop> {
        let outcome = match problem.error {
            Some(error) => Outcome::RetryBackoff(error),
            None => Outcome::Done,
        };
        let status = snapshot.status.as_ref();
        let known = status.and_then(|status| status.error.as_ref()).map(|error| &*error.message);
        if known == Some(&*problem.message) {
            return Ok(outcome);
        }
        let fields = patch::error_fields(&problem.message, &self.now(), problem.unready);
        let patch = patch::status(&snapshot.meta, fields);
        let written = self.patch_status(snapshot, &patch).await;
        // Upstream says nothing if the write fails.
        self.event::<Snapshot>(&snapshot.meta, EventKind::Warning, problem.reason, &problem.message);
        written.map_err(|error| match error {
            Stop::Failed(text) => Stop::Failed(text),
            stop => stop,
        })?;
        Ok(outcome)
    }

    /// Patches a snapshot's status.
    pub(super) async fn patch_status(
        &self,
        snapshot: &Snapshot,
        patch: &serde_json::Value,
    ) -> Result<Arc<Snapshot>, Stop> {
        let store = &self.stores.snapshots;
        let written =
            api::patch(&self.client, store, &snapshot.meta, "/status", PatchType::Merge, patch).await;
        written.map_err(|error| self.stopped(&snapshot.meta, &error))
    }

    /// What a failed write of a snapshot means.
    pub(super) fn stopped(&self, meta: &Meta, error: &kube::Error) -> Stop {
        if api::is_gone(error) {
            Stop::Gone
        } else if api::is_stale(error) {
            Stop::Stale
        } else {
            let key = meta.key();
            Stop::Failed(format!(
                "snapshot controller failed to update {key} on API server: {}",
                api::text(error)
            ))
        }
    }
}
