//! A look at the attributes class of one claim: has another one to be applied, and how did that go (sheet 5.10)?

use std::sync::Arc;

use csi_client::{CallOptions, code_name};
use sidecar_core::events::EventKind;
use sidecar_core::objects::{AttributesClass, Claim, ClaimPhase, ObjectKey, Volume};
use sidecar_core::reconciler::Outcome;
use tracing::{info, warn};

use super::Shared;
use super::api::Stop;
use crate::driver::{CallFailed, request};
use crate::events;
use crate::metrics::Operation;
use crate::policy::claim_patch::{self, ModifyError};
use crate::policy::errors::ModifyFailure;
use crate::policy::modify::{self, Decision};
use crate::policy::source::{SourceError, modify_secret};
use crate::policy::{ownership, volume_patch};

/// How often a claim that changes meanwhile is read again.
const READS: usize = 4;

impl Shared {
    /// Nobody knows how what was in progress before the start has ended.
    pub(super) fn remember_modifications(&self) {
        if self.settings.modify {
            for claim in self.stores.claims.list().iter().filter(|claim| modify::is_in_progress(claim)) {
                self.memory.set_uncertain(&claim.meta.uid, true);
            }
        }
    }

    /// Looks at the attributes class of the claim with this key.
    pub(super) async fn sync_modification(&self, key: &ObjectKey) -> Outcome {
        let Some(_guard) = self.locks.try_lock(key, Operation::Modify) else { return Outcome::Drop };
        let namespace = key.namespace.as_deref().unwrap_or_default();
        match self.stores.claims.get(namespace, &key.name) {
            Some(claim) => self.look(claim, |claim| self.modify(claim)).await,
            None => Outcome::Done,
        }
    }

    async fn modify(&self, claim: Arc<Claim>) -> Result<Outcome, Stop> {
        let uid = &claim.meta.uid;
        let Some(volume) = self.volume_of(&claim)? else { return Ok(Outcome::Done) };
        if !ownership::modifies(&self.driver.name, &volume) || claim.phase != ClaimPhase::Bound {
            return Ok(Outcome::Done);
        }
        if modify::is_on_target(&claim) {
            let was_slow = self.slow_modifications.contains(uid);
            if modify::is_infeasible(&claim) {
                self.slow_modifications.add(uid.clone(), ());
            }
            if was_slow {
                info!(
                    v = 4,
                    "skipping volume modification for pvc {}, because modification previously failed with infeasible error",
                    claim.meta.key()
                );
                return Ok(Outcome::RequeueAfter(self.slow_modifications.time_remaining(uid)));
            }
        } else {
            self.slow_modifications.remove(uid);
        }
        match modify::decide(&claim, self.memory.is_uncertain(uid)) {
            Decision::Nothing => Ok(Outcome::Done),
            Decision::Cancel => self.cancel(&claim).await,
            Decision::Resume(class) => self.resume(claim, &volume, &class).await,
            Decision::Begin(class) => self.begin(claim, &volume, &class).await,
        }
    }

    async fn cancel(&self, claim: &Arc<Claim>) -> Result<Outcome, Stop> {
        self.patch_claim(claim, claim_patch::modify_canceled(claim)).await?;
        self.event(claim, EventKind::Normal, events::VOLUME_MODIFY_CANCELED, events::MODIFY_CANCELED);
        self.memory.has(&claim.meta.uid, Operation::Modify);
        Ok(Outcome::Done)
    }

    /// Goes on with a class that the driver may already be applying.
    async fn resume(&self, claim: Arc<Claim>, volume: &Volume, class: &str) -> Result<Outcome, Stop> {
        match self.class(&claim, class) {
            Some(found) => self.apply(claim, volume, &found).await,
            // Its appearance brings the claim back.
            None => Err(Stop::Failed(events::no_class(class))),
        }
    }

    /// Begins with the class that is wanted.
    async fn begin(&self, claim: Arc<Claim>, volume: &Volume, class: &str) -> Result<Outcome, Stop> {
        self.memory.wants(&claim.meta.uid, Operation::Modify);
        let Some(found) = self.class(&claim, class) else {
            self.patch_claim(&claim, claim_patch::modify_pending(&claim)).await?;
            return Ok(Outcome::Done);
        };
        let patch = claim_patch::modify_started(&claim, class, &self.now());
        let claim = self.patch_claim(&claim, patch).await?;
        let message = events::modifying(&claim.meta.name, class);
        self.event(&claim, EventKind::Normal, events::VOLUME_MODIFY, &message);
        self.apply(claim, volume, &found).await
    }

    /// The class of that name; that there is none is reported.
    fn class(&self, claim: &Claim, name: &str) -> Option<Arc<AttributesClass>> {
        let found = self.stores.classes.as_ref().and_then(|classes| classes.get("", name));
        match &found {
            None => {
                let message = events::no_class(name);
                self.event(claim, EventKind::Warning, events::VOLUME_MODIFY_FAILED, &message);
            }
            Some(class) if *class.driver != *self.driver.name => {
                let message = events::foreign_class(name, &class.driver, &self.driver.name);
                warn!(PVC = %claim.meta.key(), "{message}");
                self.event(claim, EventKind::Warning, events::VOLUME_MODIFY, &message);
            }
            Some(_) => {}
        }
        found
    }

    async fn apply(
        &self,
        claim: Arc<Claim>,
        volume: &Volume,
        class: &AttributesClass,
    ) -> Result<Outcome, Stop> {
        let (uid, name) = (&claim.meta.uid, &*class.meta.name);
        match self.call(&claim, volume, class).await {
            Ok(()) => {}
            Err(CallFailed { code: None, message }) => return Err(without_status(&message)),
            Err(failed) => return self.modification_failed(&claim, name, &failed).await,
        }
        self.patch_volume(volume, volume_patch::modified(volume, name))
            .await
            .map_err(|problem| without_status(&problem))?;
        let done = self.finish_modification(&claim, name).await?;
        self.memory.set_uncertain(uid, false);
        self.slow_modifications.remove(uid);
        if let Some(since) = self.memory.has(uid, Operation::Modify) {
            self.metrics.done(Operation::Modify, since.elapsed());
        }
        let message = events::modified(&claim.meta.name, name);
        self.event(&done, EventKind::Normal, events::VOLUME_MODIFY_SUCCESSFUL, &message);
        Ok(Outcome::Done)
    }

    async fn call(&self, claim: &Claim, volume: &Volume, class: &AttributesClass) -> Result<(), CallFailed> {
        if volume.handle.is_empty() {
            return Err(CallFailed::before(SourceError::EmptyHandle));
        }
        let secrets = self.secret(modify_secret(volume).as_ref()).await?;
        let key = claim.meta.key();
        let extra = self.settings.extra_modify_metadata.then_some((&key, &*volume.meta.name));
        let request = request::modify(&volume.handle, secrets, modify::parameters(class, extra));
        let options = CallOptions::timeout(self.settings.timeout);
        let _counted = self.metrics.begin(Operation::Modify);
        self.connection.controller_modify_volume(request, options).await?;
        Ok(())
    }

    async fn finish_modification(&self, claim: &Arc<Claim>, class: &str) -> Result<Arc<Claim>, Stop> {
        match self.patch_claim(claim, claim_patch::modify_finished(claim, class)).await {
            Err(Stop::Failed(problem)) => Err(without_status(&problem)),
            // The patch names no version, only the claim. If it is still that one, somebody else refused (a webhook, a quota).
            Err(Stop::Stale) => match self.reread(claim).await {
                Ok(_) => Err(without_status("the API server answered a conflict")),
                Err(stop) => Err(stop),
            },
            marked => marked,
        }
    }

    async fn modification_failed(
        &self,
        claim: &Arc<Claim>,
        class: &str,
        failed: &CallFailed,
    ) -> Result<Outcome, Stop> {
        let uid = &claim.meta.uid;
        let code = failed.code.unwrap_or(tonic::Code::Unknown);
        let failure = ModifyFailure::of(code, self.settings.exhausted);
        let (uncertain, infeasible) =
            (failure == ModifyFailure::Uncertain, failure == ModifyFailure::Infeasible);
        self.memory.set_uncertain(uid, uncertain);
        if !infeasible {
            self.slow_modifications.remove(uid);
        }
        let error = ModifyError { uncertain, infeasible, code: code_name(code), message: &failed.message };
        let marked = self.mark_modification_failed(claim, class, error).await?;
        if infeasible {
            self.slow_modifications.add(uid.clone(), ());
        }
        let text = failed.text();
        let message = if uncertain { events::still_modifying(&text, class) } else { text.clone() };
        self.event(&marked, EventKind::Warning, events::VOLUME_MODIFY_FAILED, &message);
        Err(Stop::Failed(text))
    }

    /// Marks the claim, whatever has changed about it meanwhile.
    async fn mark_modification_failed(
        &self,
        claim: &Arc<Claim>,
        class: &str,
        error: ModifyError<'_>,
    ) -> Result<Arc<Claim>, Stop> {
        let mut claim = claim.clone();
        for _ in 0..READS {
            let patch = claim_patch::modify_failed(&claim, class, error, &self.now());
            match self.patch_claim(&claim, patch).await {
                Err(Stop::Stale) => {
                    claim = self.reread(&claim).await?;
                    if modify::status(&claim).is_none_or(|status| *status.target != *class) {
                        // An earlier call had succeeded, and only the answer to the patch that said so was lost.
                        self.memory.set_uncertain(&claim.meta.uid, false);
                        return Err(without_status("the claim was marked as modified before"));
                    }
                }
                marked => return marked,
            }
        }
        Err(Stop::Failed(format!("PVC {} changes all the time", claim.meta.key())))
    }
}

/// A failure that the driver has nothing to do with: nothing is written, no event.
fn without_status(problem: &str) -> Stop {
    Stop::Failed(format!("cannot get error status from modify volume err: {problem}"))
}
