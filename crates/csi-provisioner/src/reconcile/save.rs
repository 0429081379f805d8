//! Volumes that exist in the driver and not yet in the API.
//!
//! Losing one of them leaks a volume, so they are kept until the API server has taken them, whatever it takes: a failed
//! save is tried again at once and then ever more slowly. So is one that is forbidden, since rules come and go with
//! roll-outs and caches of authorizers; who waits for it is told when it lasts. A save that is rejected for good (invalid,
//! name taken) is tried at the longest interval only, and the user is told each time (sheet 5.5, 13.5, 13.16).
//!
//! A stop waits for all that can still be saved, as long as the grace period lasts, and names what is left (sheet 13.6).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::PostParams;
use sidecar_core::api::ErrorKind;
use sidecar_core::events::{EventKind, ObjectRef};
use sidecar_core::objects::{Claim, Interned, Uid};
use sidecar_core::queue::Queue;
use sidecar_core::reconciler::Outcome;
use tokio::sync::Notify;
use tracing::{error, info};

use super::Shared;
use super::api::{claim_ref, is_rejection, text};
use super::guard::is_guarded;
use crate::events;
use crate::policy::volume::{Occupant, occupant};

/// From this failure in a row on, a forbidden save is told to the user: it is more than a second old by then.
const TOLD_FROM: u32 = 8;

/// A volume that is to be saved.
#[derive(Clone, Debug)]
struct Unsaved {
    volume: Arc<PersistentVolume>,
    claim: ObjectRef,
    claim_uid: Uid,
}

/// The volumes to be saved. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct UnsavedVolumes {
    entries: Arc<Mutex<BTreeMap<Interned, Unsaved>>>,
    /// Names of those whose save failed.
    pub(super) queue: Queue<Interned>,
    changed: Arc<Notify>,
}

/// What came of a try to save a volume.
enum Save {
    Done,
    /// Worth another try soon.
    Failed(String),
    /// Worth another try soon, and the user may be able to help.
    Forbidden(String),
    /// Rejected for a reason that will not go away by itself.
    Rejected(String),
}

impl UnsavedVolumes {
    pub(super) fn new(queue: Queue<Interned>) -> Self {
        Self { entries: Arc::default(), queue, changed: Arc::default() }
    }

    /// Whose volume waits to be saved under this name.
    pub(super) fn owner(&self, name: &Interned) -> Option<Uid> {
        self.lock().get(name).map(|entry| entry.claim_uid.clone())
    }

    /// Tries all that are left at once and then as if they had never failed, and completes when none is.
    pub(super) async fn drain(&self) {
        let left: Vec<_> = self.lock().keys().cloned().collect();
        for name in left {
            self.queue.forget(&name);
            self.queue.add(name);
        }
        loop {
            let changed = self.changed.notified();
            if self.lock().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Says on drop what could not be saved: the provisioner that comes next is given the same volume if it asks for the
    /// same claim; if that is gone, somebody has to delete the volume by hand.
    pub(super) fn report_left(&self) -> impl Drop {
        ReportLeft(self.clone())
    }

    fn remove(&self, name: &Interned) {
        self.lock().remove(name);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Interned, Unsaved>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct ReportLeft(UnsavedVolumes);

impl Drop for ReportLeft {
    fn drop(&mut self) {
        for (name, entry) in self.0.lock().iter() {
            warn_left(name, entry);
        }
    }
}

fn warn_left(name: &Interned, entry: &Unsaved) {
    let source = entry.volume.spec.as_ref().and_then(|spec| spec.csi.as_ref());
    error!(
        volume = %name,
        handle = source.map(|source| &*source.volume_handle),
        claim = format!("{}/{}", entry.claim.namespace, entry.claim.name),
        "Stopping with a volume that could not be saved; the next provisioner gets it again if its claim still exists"
    );
}

impl Shared {
    /// Saves the volume that was just made for `claim`, or sees to it that it will be.
    pub(super) async fn save_new(&self, claim: &Claim, name: &Interned, volume: PersistentVolume) {
        let entry =
            Unsaved { volume: Arc::new(volume), claim: claim_ref(claim), claim_uid: claim.meta.uid.clone() };
        self.unsaved.lock().insert(name.clone(), entry);
        match self.save(name).await {
            Outcome::Done => {}
            Outcome::RequeueAfter(delay) => self.unsaved.queue.add_after(name.clone(), delay),
            // The second try is made at once, the ones after it wait.
            _ => self.unsaved.queue.add(name.clone()),
        }
    }

    /// Tries to save the volume of this name.
    pub(super) async fn save(&self, name: &Interned) -> Outcome {
        let Some(entry) = self.unsaved.lock().get(name).cloned() else {
            return Outcome::Done;
        };
        match self.try_save(name, &entry).await {
            Save::Done => {
                self.memory.saved(&entry.claim_uid, self.clock.monotonic());
                self.unsaved.remove(name);
                let has_source = self.sources.of(&entry.claim_uid).is_some();
                if let Some(claim) = self.claim(&entry.claim_uid) {
                    if is_guarded(&claim) || has_source {
                        self.claims.add(entry.claim_uid.clone());
                    }
                    let (kind, reason) = (EventKind::Normal, events::PROVISIONING_SUCCEEDED);
                    self.recorder.event(&entry.claim, kind, reason, &events::succeeded(name));
                } else {
                    // No watch will bring up a claim that is gone, so this is the last chance to forget it.
                    self.memory.settle(&entry.claim_uid);
                    if has_source {
                        self.claims.add(entry.claim_uid.clone());
                    }
                }
                Outcome::Done
            }
            Save::Failed(problem) => {
                error!(volume = %name, err = problem, "Failed to save volume, will try again");
                Outcome::RetryBackoff(problem)
            }
            Save::Forbidden(problem) => {
                if self.unsaved.queue.failures(name) >= TOLD_FROM {
                    self.tell_rejected(name, &entry, &problem);
                } else {
                    error!(volume = %name, err = problem, "Saving volume was rejected, will try again");
                }
                Outcome::RetryBackoff(problem)
            }
            Save::Rejected(problem) => {
                self.tell_rejected(name, &entry, &problem);
                if self.is_stopping() {
                    warn_left(name, &entry);
                    self.unsaved.remove(name);
                    return Outcome::Done;
                }
                Outcome::RequeueAfter(self.retry_max)
            }
        }
    }

    fn tell_rejected(&self, name: &Interned, entry: &Unsaved, problem: &str) {
        error!(volume = %name, err = problem, "Saving volume was rejected, will try again later");
        let message = events::save_rejected(name, problem);
        self.recorder.event(&entry.claim, EventKind::Warning, events::PROVISIONING_FAILED, &message);
    }

    async fn try_save(&self, name: &Interned, entry: &Unsaved) -> Save {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match volumes.create(&PostParams::default(), &entry.volume).await {
            Ok(saved) => {
                self.wrote_volume(&saved);
                info!(v = 2, volume = %name, "Saved volume");
                Save::Done
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => self.compare(name, entry).await,
            Err(error) if is_rejection(&error) => Save::Rejected(text(&error)),
            Err(error) if ErrorKind::of(&error) == ErrorKind::Forbidden => Save::Forbidden(text(&error)),
            Err(error) => Save::Failed(text(&error)),
        }
    }

    /// The name is taken: by an earlier try of ours whose answer was lost, or by someone else.
    async fn compare(&self, name: &Interned, entry: &Unsaved) -> Save {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        match volumes.get_opt(name).await {
            Ok(Some(found)) if occupant(&found, &entry.volume) == Occupant::Ours => {
                self.wrote_volume(&found);
                Save::Done
            }
            Ok(Some(_)) => Save::Rejected(events::name_taken(name)),
            Ok(None) => Save::Failed(format!("persistentvolume {name} existed and is gone again")),
            Err(error) => Save::Failed(text(&error)),
        }
    }
}
