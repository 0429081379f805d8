//! What users are told: events, and errors in statuses.

use std::sync::Arc;

use sidecar_core::cache::Store;
use sidecar_core::events::{EventKind, ObjectRef};
use sidecar_core::objects::{GroupSnapshot, Kind, Meta, Resource, Snapshot, SnapshotError};
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::{self, PatchType, Stop};
use crate::policy::{Problem, patch};

/// A kind whose status says what is wrong.
pub(super) trait Reported: Kind + Clone {
    /// What it says.
    fn error(&self) -> Option<&SnapshotError>;

    /// Whether it says this.
    fn says(&self, message: &str) -> bool {
        self.error().is_some_and(|error| *error.message == *message)
    }
}

impl Reported for Snapshot {
    fn error(&self) -> Option<&SnapshotError> {
        self.status.as_ref()?.error.as_deref()
    }
}

impl Reported for GroupSnapshot {
    fn error(&self) -> Option<&SnapshotError> {
        self.status.as_ref()?.error.as_deref()
    }
}

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
        Stop::Stale(problem) | Stop::Failed(problem) => Outcome::RetryBackoff(problem),
    }
}

impl Shared {
    /// Reports an event about an object.
    pub(super) fn event<T: Kind>(&self, meta: &Meta, kind: EventKind, reason: &str, message: &str) {
        self.recorder.event(&object_ref(&T::RESOURCE, meta), kind, reason, message);
    }

    /// Writes a problem into the object's status and reports it, unless the status says it already.
    pub(super) async fn report<T: Reported>(
        &self,
        store: &Store<T>,
        object: &T,
        problem: Problem,
    ) -> Result<Outcome, Stop> {
        let outcome = match problem.error {
            Some(error) => Outcome::RetryBackoff(error),
            None => Outcome::Done,
        };
        if object.says(&problem.message) {
            return Ok(outcome);
        }
        let fields = patch::error_fields(&problem.message, &self.now(), problem.unready);
        let patch = patch::status(object.meta(), &fields);
        let written = self.patch_status(store, object, &patch).await;
        // Upstream says nothing if the write fails.
        self.event::<T>(object.meta(), EventKind::Warning, problem.reason, &problem.message);
        written.map(|_| outcome)
    }

    /// Patches an object's status.
    pub(super) async fn patch_status<T: Reported>(
        &self,
        store: &Store<T>,
        object: &T,
        patch: &serde_json::Value,
    ) -> Result<Arc<T>, Stop> {
        let meta = object.meta();
        let written = api::patch(&self.client, store, meta, "/status", PatchType::Merge, patch).await;
        written.map_err(|error| stopped(meta, &error))
    }

    /// Says on a content that what it belongs to is being deleted.
    pub(super) async fn mark<T: Kind + Clone>(
        &self,
        store: &Store<T>,
        content: &Meta,
        annotation: &str,
    ) -> Result<(), Stop> {
        let patch = patch::annotate(content, annotation);
        match api::patch(&self.client, store, content, "", PatchType::Merge, &patch).await {
            Ok(_) => Ok(()),
            Err(error) if api::is_gone(&error) => {
                store.removed("", &content.name, &content.uid);
                Ok(())
            }
            Err(error) => Err(stopped(content, &error)),
        }
    }

    /// Deletes a content, in exactly this version: who has seen that it may be deleted has seen its policy.
    ///
    /// An error is one to be told to the user.
    pub(super) async fn delete<T: Kind + Clone>(
        &self,
        store: &Store<T>,
        content: &Meta,
    ) -> Result<(), Result<String, Stop>> {
        let options = patch::delete_options(content);
        match api::delete(&self.client, store, content, &options).await {
            Ok(()) => Ok(()),
            Err(error) if api::is_gone(&error) => {
                store.removed("", &content.name, &content.uid);
                Ok(())
            }
            Err(error) if api::is_stale(&error) => Err(Err(Stop::Stale(api::text(&error)))),
            Err(error) => Err(Ok(api::text(&error))),
        }
    }

    /// The watch of contents may be behind the one of snapshots, above all after a restart: a content that is not looked for now
    /// would be nobody's for ever. True if there is one.
    pub(super) async fn search<T: Kind + Clone>(&self, store: &Store<T>, name: &str) -> Result<bool, Stop> {
        let found = api::get(&self.client, store, "", name).await;
        found.map(|found| found.is_some()).map_err(|error| Stop::Failed(api::text(&error)))
    }
}

/// What a failed write of an object means.
pub(super) fn stopped(meta: &Meta, error: &kube::Error) -> Stop {
    if api::is_gone(error) {
        Stop::Gone
    } else {
        let (key, error_text) = (meta.key(), api::text(error));
        let problem = format!("snapshot controller failed to update {key} on API server: {error_text}");
        if api::is_stale(error) { Stop::Stale(problem) } else { Stop::Failed(problem) }
    }
}
