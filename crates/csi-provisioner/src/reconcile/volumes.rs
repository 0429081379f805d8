//! A look at one volume: does it need its finalizer, and is it time for it to go?

use std::collections::BTreeMap;
use std::sync::Arc;

use csi_client::{CallOptions, status_text};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use sidecar_core::events::EventKind;
use sidecar_core::objects::{AttachmentIndex, Interned, Volume};
use sidecar_core::reconciler::Outcome;
use tracing::{info, warn};

use super::Shared;
use super::api::{finalizer_patch, has_our_finalizer, is_gone, text, volume_ref};
use super::locks::Waiter;
use super::memory::Deletion;
use crate::driver::request;
use crate::events;
use crate::policy::deletion::{self, FinalizerChange, SecretChoice};

/// How a try to delete a volume ended.
enum End {
    /// Everything is gone.
    Deleted,
    /// It is still attached; its detachment brings it back.
    Attached,
    /// It failed, and the user should know.
    Failed(String),
    /// It failed, and the log is enough: the driver has done its part.
    ApiFailed(String),
}

impl Shared {
    /// Looks at the volume of this name.
    pub(super) async fn sync_volume(&self, name: &Interned) -> Outcome {
        let Some(mut volume) = self.volume(name) else {
            self.memory.volume_gone(name);
            return Outcome::Done;
        };
        if !deletion::is_owned(&self.driver.names, &volume)
            || self.memory.deletion(name, &volume.meta.uid) == Some(Deletion::Finished)
        {
            return Outcome::Done;
        }
        if let Some(change) = deletion::finalizer_change(&volume) {
            match self.change_finalizer(&volume, change).await {
                Ok(Some(changed)) => volume = changed,
                Ok(None) => return Outcome::Done,
                Err(problem) => return Outcome::RetryBackoff(problem),
            }
        }
        if !deletion::should_delete(&volume) {
            return Outcome::Done;
        }
        let Some(_guard) = self.locks.try_lock(name, Waiter::Volume) else {
            return Outcome::Drop;
        };
        self.delete(&volume).await
    }

    async fn delete(&self, volume: &Volume) -> Outcome {
        let started = self.clock.monotonic();
        let class = volume.spec_class.as_deref().unwrap_or_default();
        match self.try_delete(volume).await {
            End::Deleted => {
                let took = self.clock.monotonic().saturating_duration_since(started);
                self.metrics.deleted(class, took);
                Outcome::Done
            }
            End::Attached => Outcome::Done,
            End::Failed(problem) => {
                self.metrics.delete_failed(class);
                let (kind, reason) = (EventKind::Warning, events::VOLUME_FAILED_DELETE);
                self.recorder.event(&volume_ref(volume), kind, reason, &problem);
                Outcome::RetryBackoff(problem)
            }
            End::ApiFailed(problem) => {
                self.metrics.delete_failed(class);
                Outcome::RetryBackoff(problem)
            }
        }
    }

    /// Goes on where the last try ended: volume, object, finalizer. Each is done once.
    async fn try_delete(&self, volume: &Volume) -> End {
        let (name, uid) = (&volume.meta.name, &volume.meta.uid);
        let mut progress = self.memory.deletion(name, uid);
        if progress.is_none() {
            match self.delete_in_driver(volume).await {
                Ok(true) => self.memory.deleted(name, uid, Deletion::InDriver),
                Ok(false) => return End::Attached,
                Err(problem) => return End::Failed(problem),
            }
            progress = Some(Deletion::InDriver);
        }
        if progress == Some(Deletion::InDriver) {
            match self.delete_object(volume).await {
                Ok(next) => {
                    self.memory.deleted(name, uid, next);
                    progress = Some(next);
                }
                Err(problem) => return End::ApiFailed(problem),
            }
        }
        if progress == Some(Deletion::Finalizing) {
            match self.change_finalizer(volume, FinalizerChange::Remove).await {
                Ok(_) => self.memory.deleted(name, uid, Deletion::Finished),
                Err(problem) => return End::ApiFailed(problem),
            }
        }
        info!(v = 2, volume = %name, "Deleted volume");
        End::Deleted
    }

    /// Deletes the volume in the driver, unless it is attached (false).
    async fn delete_in_driver(&self, volume: &Volume) -> Result<bool, String> {
        let doomed = deletion::doomed(&self.driver, volume)?;
        let class = volume.class.as_deref().and_then(|class| self.class(class));
        let choice = deletion::secret(&self.driver.names, volume, class.as_deref())
            .map_err(|error| error.to_string())?;
        if self.waits_for_detachment(volume) {
            return Ok(false);
        }
        let secrets = self.deletion_secrets(volume, choice).await;
        let request = request::delete(&doomed.handle, &secrets);
        let options = CallOptions::timeout(self.timeout).migrated(doomed.migrated);
        match self.connection.delete_volume(request, options).await {
            Ok(_) => Ok(true),
            Err(status) => Err(status_text(&status)),
        }
    }

    /// Whether the volume is attached somewhere; says so once.
    fn waits_for_detachment(&self, volume: &Volume) -> bool {
        let Some(attachments) = &self.stores.attachments else {
            return false;
        };
        let name = &volume.meta.name;
        let Some(attachment) = attachments.by(AttachmentIndex::Volume, name).into_iter().next() else {
            return false;
        };
        let is_new = self.memory.waits_for_detach(name, &volume.meta.uid);
        // The watch may have shown the detachment before it could know that somebody waits for it.
        if attachments.by(AttachmentIndex::Volume, name).is_empty() {
            return false;
        }
        if is_new {
            let message = deletion::still_attached(volume, &attachment);
            info!(volume = %name, "{message}");
            self.recorder.event(&volume_ref(volume), EventKind::Normal, events::VOLUME_DELETE, &message);
        }
        true
    }

    /// The secrets for deletion. Without them is better than not at all: many drivers need none.
    async fn deletion_secrets(&self, volume: &Volume, choice: SecretChoice) -> BTreeMap<String, String> {
        match choice {
            SecretChoice::Without => BTreeMap::new(),
            SecretChoice::Unknown(reason) => {
                warn!(volume = %volume.meta.name, reason, "Deleting volume without secrets");
                BTreeMap::new()
            }
            SecretChoice::Fetch(reference) => self.secret(&reference).await.unwrap_or_else(|problem| {
                warn!(volume = %volume.meta.name, err = problem, "Deleting volume without secrets");
                BTreeMap::new()
            }),
        }
    }

    /// Deletes the object and says what is left to do. One that is being deleted already is not deleted again.
    async fn delete_object(&self, volume: &Volume) -> Result<Deletion, String> {
        let left = |has_finalizer| if has_finalizer { Deletion::Finalizing } else { Deletion::Finished };
        if volume.meta.deleting {
            return Ok(left(deletion::has_finalizer(volume)));
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let preconditions = Preconditions { uid: Some(volume.meta.uid.to_string()), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match volumes.delete(&volume.meta.name, &params).await {
            Ok(answer) => Ok(match answer.left() {
                Some(object) => {
                    self.wrote_volume(&object);
                    left(has_our_finalizer(&object))
                }
                None => Deletion::Finished,
            }),
            Err(error) if is_gone(&error) => Ok(Deletion::Finished),
            Err(error) => Err(text(&error)),
        }
    }

    /// Adds or removes our finalizer; returns the volume as it is then, `None` if it is gone.
    async fn change_finalizer(
        &self,
        volume: &Volume,
        change: FinalizerChange,
    ) -> Result<Option<Arc<Volume>>, String> {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let patch = Patch::Strategic(finalizer_patch(volume, change));
        match volumes.patch(&volume.meta.name, &PatchParams::default(), &patch).await {
            Ok(object) => Ok(self.wrote_volume(&object)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => {
                let name = &volume.meta.name;
                let wanted = deletion::finalizers_after(volume, change);
                Err(format!(
                    "failed to modify finalizers to [{}] on volume {name} err: {}",
                    wanted.join(" "),
                    text(&error)
                ))
            }
        }
    }
}
