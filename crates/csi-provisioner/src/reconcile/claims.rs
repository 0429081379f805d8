//! A look at one claim: shall it get a volume, and what came of it?

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{Claim, Class, Interned, Uid};
use sidecar_core::reconciler::Outcome;
use tracing::{error, info};

use super::Shared;
use super::api::{self, claim_ref, text};
use super::guard::is_guarded;
use super::locks::Waiter;
use super::memory::InProgress;
use crate::events;
use crate::policy::claim::{Existing, Live, Reason, Verdict, existing, live, should_provision};
use crate::policy::state::{Failure, Memory, Next};

impl Shared {
    /// Looks at the claim of this UID.
    pub(super) async fn sync_claim(&self, uid: &Uid) -> Outcome {
        let remembered = self.memory.in_progress(uid);
        let Some(claim) = self.claim(uid).or_else(|| remembered.map(|entry| entry.claim)) else {
            self.memory.settle(uid);
            self.slow.remove(uid);
            return self.release_source(uid).await;
        };
        if is_guarded(&claim) && self.memory.was_refused(uid) {
            // It should have been let go after the driver's answer.
            match self.release(&claim).await {
                Outcome::Done if claim.meta.deleting => return Outcome::Done,
                Outcome::Done => {}
                failed => return failed,
            }
        }
        let class = self.class(claim.class.as_deref().unwrap_or_default());
        // A claim that is kept by us and is to go must not wait for its time to come.
        if !(claim.meta.deleting && is_guarded(&claim))
            && let Some(outcome) = self.postponed(uid, class.as_deref())
        {
            return outcome;
        }
        match should_provision(&self.driver.names, &claim, class.as_deref()) {
            Verdict::Leave(reason) => {
                self.slow.remove(uid);
                match reason {
                    Reason::NotOurs => {
                        self.memory.settle(uid);
                        self.release_source(uid).await
                    }
                    // It was given back by the driver, or never asked for.
                    Reason::WaitsForFirstConsumer => {
                        self.memory.forget(uid);
                        self.release(&claim).await
                    }
                    Reason::Bound => match self.spare(&claim) {
                        Some(name) => Box::pin(self.remove_spare(&claim, class.as_deref(), &name)).await,
                        None => self.let_go(&claim).await,
                    },
                }
            }
            Verdict::ClassMissing => {
                self.count_failure(&claim);
                Outcome::retry(format!(
                    "storageClass {:?} not found",
                    claim.class.as_deref().unwrap_or_default()
                ))
            }
            Verdict::Provision => match class {
                Some(class) => self.provision(&claim, &class).await,
                None => Outcome::Done,
            },
        }
    }

    /// What to do with a claim whose request the driver calls invalid, until its time has come or its class is another.
    fn postponed(&self, uid: &Uid, class: Option<&Class>) -> Option<Outcome> {
        let entry = self.slow.get(uid)?;
        let class = class?;
        let left = self.slow.time_remaining(uid);
        if left.is_zero() || entry.value != class.meta.uid {
            self.slow.remove(uid);
            return None;
        }
        info!(
            v = 4,
            "skipping volume provisioning for pvc {uid}, because provisioning previously failed with infeasible error"
        );
        Some(Outcome::RequeueAfter(left))
    }

    async fn provision(&self, claim: &Arc<Claim>, class: &Arc<Class>) -> Outcome {
        let uid = &claim.meta.uid;
        let name = match self.settings.naming.volume_name(&uid.to_string()) {
            Ok(name) => Interned::new(&name),
            Err(problem) => return self.failed(claim, class, &Failure::no_change(problem), None).await,
        };
        if let Some(outcome) = self.settled(claim, class, &name).await {
            return outcome;
        }
        let Some(_guard) = self.locks.try_lock(&name, Waiter::Claim(uid.clone())) else {
            return Outcome::Drop;
        };
        let mut entry = self.memory.in_progress(uid).unwrap_or_else(|| InProgress::new(claim.clone()));
        if self.memory.was_asked(uid) {
            match self.look_again(claim, &name).await {
                Ok((Live::Unbound, annotations)) => entry.annotations = Some(annotations),
                Ok((Live::Gone, _)) if self.memory.in_progress(uid).is_some() => {}
                // The watch will say so, too, and then what was asked for is seen through.
                Ok((Live::BoundElsewhere, _)) => return Outcome::Done,
                Ok((Live::Bound | Live::Gone, _)) => {
                    self.memory.forget(uid);
                    return Outcome::Done;
                }
                Err(problem) => return Outcome::RetryBackoff(problem),
            }
        }
        let namespace = claim.meta.namespace();
        let message = events::provisioning(namespace, &claim.meta.name);
        self.recorder.event(&claim_ref(claim), EventKind::Normal, events::PROVISIONING, &message);
        let started = self.clock.monotonic();
        // If the claim goes now, what was asked for last has to be asked for again, not what was asked for first.
        entry.claim = claim.clone();
        match self.attempt(claim, class, &mut entry).await {
            Ok(volume) => {
                let took = self.clock.monotonic().saturating_duration_since(started);
                self.metrics.provisioned(class_label(claim), source_label(claim), took);
                self.save_new(claim, &name, volume).await;
                self.memory.forget(uid);
                Outcome::Done
            }
            Err(failure) => self.failed(claim, class, &failure, Some(entry)).await,
        }
    }

    /// A claim is bound: nothing has to be kept for it any more, neither itself nor what its volume was made from.
    pub(super) async fn let_go(&self, claim: &Claim) -> Outcome {
        match self.give_back(claim).await {
            Outcome::Done => {
                self.memory.settle(&claim.meta.uid);
                Outcome::Done
            }
            failed => failed,
        }
    }

    /// The same for a claim that has its volume and does not know it yet.
    async fn give_back(&self, claim: &Claim) -> Outcome {
        match self.release(claim).await {
            Outcome::Done => self.release_source(&claim.meta.uid).await,
            failed => failed,
        }
    }

    /// Whether there is nothing to ask the driver for.
    async fn settled(&self, claim: &Arc<Claim>, class: &Class, name: &Interned) -> Option<Outcome> {
        let uid = &claim.meta.uid;
        match self.volume(name).map(|volume| existing(claim, &volume)) {
            Some(Existing::Ours) => {
                info!(v = 4, volume = %name, "PersistentVolume already exists, skipping");
                self.memory.forget(uid);
                if is_guarded(claim) || self.sources.of(uid).is_some() {
                    return Some(self.give_back(claim).await);
                }
                self.count_failure(claim);
                return Some(Outcome::Done);
            }
            Some(Existing::Foreign) => return Some(self.name_taken(claim, class, name).await),
            // Volumes of other drivers are not kept, but known by name.
            None if self.stores.volumes.exists("", name) => {
                return Some(self.name_taken(claim, class, name).await);
            }
            None => {}
        }
        match self.unsaved.owner(name) {
            Some(owner) if owner == *uid => return Some(Outcome::Done),
            // Cut-off names can be those of several claims.
            Some(_) => return Some(self.name_taken(claim, class, name).await),
            None => {}
        }
        if let Some(left) = self.memory.just_saved(uid, self.clock.monotonic()) {
            return Some(Outcome::RequeueAfter(left));
        }
        if !self.driver.names.knows(&class.provisioner) {
            error!(
                claim = %claim.meta.key(), class = %class.meta.name, provisioner = %class.provisioner,
                "Unknown provisioner requested in the claim's StorageClass"
            );
            self.count_failure(claim);
            self.memory.forget(uid);
            return Some(Outcome::Done);
        }
        None
    }

    async fn name_taken(&self, claim: &Arc<Claim>, class: &Class, name: &Interned) -> Outcome {
        let failure = Failure::no_change(events::name_taken(name));
        self.failed(claim, class, &failure, None).await
    }

    /// A live look at the claim, before the driver is asked once more (upstream issue 1469), and the annotations it has now:
    /// they may name another secret than at the last try.
    async fn look_again(
        &self,
        claim: &Claim,
        own: &Interned,
    ) -> Result<(Live, BTreeMap<String, String>), String> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), claim.meta.namespace());
        let found = claims.get_opt(&claim.meta.name).await.map_err(|error| text(&error))?;
        let spec = found.as_ref().and_then(|found| found.spec.as_ref());
        let volume = spec.and_then(|spec| spec.volume_name.as_deref());
        let uid = found.as_ref().map(|found| found.metadata.uid.as_deref().unwrap_or_default());
        let verdict = live(claim, own, uid.map(|uid| (uid, volume)));
        Ok((verdict, found.and_then(|found| found.metadata.annotations).unwrap_or_default()))
    }

    /// An attempt failed: remember, report, and say when to come back.
    async fn failed(
        &self,
        claim: &Arc<Claim>,
        class: &Class,
        failure: &Failure,
        entry: Option<InProgress>,
    ) -> Outcome {
        let uid = &claim.meta.uid;
        self.count_failure(claim);
        match (failure.state.memory(), entry) {
            (Memory::Forget, _) => self.memory.forget(uid),
            (Memory::Remember, Some(entry)) => self.memory.remember(entry),
            (Memory::Remember | Memory::Keep, _) => {}
        }
        let warn = |message: &str| {
            self.recorder.event(&claim_ref(claim), EventKind::Warning, events::PROVISIONING_FAILED, message);
        };
        if failure.state.memory() == Memory::Forget {
            self.memory.refuse(uid);
            let current = self.claim(uid).filter(|claim| is_guarded(claim));
            if let Some(current) = current {
                match self.release(&current).await {
                    Outcome::Done if current.meta.deleting => {
                        info!(v = 2, claim = %claim.meta.key(), reason = failure.message, "No volume will come for the deleted claim");
                        return Outcome::Done;
                    }
                    Outcome::Done => {}
                    failed => return failed,
                }
            }
        }
        match failure.next(claim.selected_node.is_some()) {
            Next::Stop => {
                info!(v = 4, claim = %claim.meta.key(), reason = failure.message, "Ignored claim");
                Outcome::Done
            }
            Next::LeaveToPopulator => {
                let object = claim_ref(claim);
                let message = events::POPULATOR_MESSAGE;
                self.own_recorder.event(&object, EventKind::Normal, events::PROVISIONING, message);
                Outcome::Done
            }
            Next::Retry => {
                warn(&failure.message);
                Outcome::RetryBackoff(failure.message.clone())
            }
            Next::RetrySlowly => {
                self.slow.add(uid.clone(), class.meta.uid.clone());
                warn(&events::infeasible(&failure.message));
                error!(claim = %claim.meta.key(), err = failure.message, "Volume provisioning is infeasible");
                Outcome::RequeueAfter(self.slow.time_remaining(uid))
            }
            Next::Reschedule => {
                warn(&failure.message);
                match self.unselect_node(claim).await {
                    Ok(()) => Outcome::Done,
                    Err(problem) => Outcome::RetryBackoff(problem),
                }
            }
        }
    }

    /// Gives the choice of a node back to the scheduler (sheet 5.7).
    ///
    /// The claim is fetched and written whole, because the service account may update claims but not patch them.
    async fn unselect_node(&self, claim: &Claim) -> Result<(), String> {
        let live = api::unselect_node(&self.client, claim).await.map_err(|error| {
            format!("failed to remove selected node from claim {}: {}", claim.meta.key(), text(&error))
        })?;
        if let Some(live) = live {
            self.wrote_claim(&live);
        }
        Ok(())
    }

    fn count_failure(&self, claim: &Claim) {
        self.metrics.provision_failed(class_label(claim), source_label(claim));
    }
}

/// Label `class` of the metrics: the class as the claim's spec has it.
fn class_label(claim: &Claim) -> &str {
    claim.spec_class.as_deref().unwrap_or_default()
}

/// Label `source` of the metrics.
fn source_label(claim: &Claim) -> &str {
    claim.data_source.as_ref().map_or("", |source| &source.kind)
}
