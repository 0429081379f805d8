//! The finalizer that keeps a claim while the driver may be making its volume (`--leak-protection`; sheet 13.4).
//!
//! Without it, a claim that is deleted while its volume is being made is known to this process only: a restart, or the loss
//! of the Lease, forgets it, and the volume with it (upstream issue 486). With it, the claim stays until its volume is saved
//! or the driver has said that there is none, so that whoever leads next asks the driver again, is given the same volume, and
//! deletes it. A claim that is kept is in doubt, and only such a claim: one that was refused may go at once, even if its class
//! or a Secret went first and the driver cannot be asked any more.
//!
//! That costs a read and a write before the driver is asked and again after its answer, which is why it is off unless wanted.
//! The service account may update claims as it is.

use sidecar_core::objects::Claim;
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::{self, text};
use crate::policy::claim::is_assigned;
use crate::policy::names::CLAIM_FINALIZER;
use crate::policy::state::Failure;

/// Whether a claim is kept by us.
pub(super) fn is_guarded(claim: &Claim) -> bool {
    claim.meta.finalizers.has(CLAIM_FINALIZER)
}

impl Shared {
    /// Sees to it that the claim cannot go before its volume is known; the driver must not be asked if this fails.
    pub(super) async fn guard(&self, claim: &Claim) -> Result<(), Failure> {
        // It may have been let go since this attempt has begun, or since the last one.
        let current = self.claim(&claim.meta.uid);
        let claim = current.as_deref().unwrap_or(claim);
        if !self.leak_protection || is_guarded(claim) {
            return Ok(());
        }
        if claim.meta.deleting {
            // It takes no finalizers any more. What was asked for has to be seen through, nothing else is begun.
            let uid = &claim.meta.uid;
            let is_open = self.memory.was_asked(uid) && !self.memory.was_refused(uid);
            let nothing = "the claim is being deleted, and no volume is under way";
            return if is_open { Ok(()) } else { Err(Failure::ignored(nothing)) };
        }
        let guarded = api::update_claim(&self.client, claim, |live| {
            let finalizers = live.metadata.finalizers.get_or_insert_default();
            let missing = !finalizers.iter().any(|finalizer| finalizer == CLAIM_FINALIZER);
            if missing {
                finalizers.push(CLAIM_FINALIZER.to_owned());
            }
            missing
        })
        .await
        .map_err(|error| Failure::no_change(format!("failed to protect the claim: {}", text(&error))))?;
        match guarded {
            Some(live) => {
                self.wrote_claim(&live);
                Ok(())
            }
            None => Err(Failure::no_change("the claim is gone, or another has its name")),
        }
    }

    /// Lets the claim go, if it is kept by us. Also without `--leak-protection`: it may have been on before.
    pub(super) async fn release(&self, claim: &Claim) -> Outcome {
        let is_anothers = claim.provisioner.is_some() && !is_assigned(&self.driver.names, claim);
        if !is_guarded(claim) || is_anothers {
            return Outcome::Done;
        }
        let released = api::update_claim(&self.client, claim, |live| {
            let finalizers = live.metadata.finalizers.get_or_insert_default();
            let before = finalizers.len();
            finalizers.retain(|finalizer| finalizer != CLAIM_FINALIZER);
            finalizers.len() < before
        })
        .await;
        match released {
            Ok(live) => {
                if let Some(live) = live {
                    self.wrote_claim(&live);
                }
                Outcome::Done
            }
            Err(error) => Outcome::RetryBackoff(format!(
                "failed to remove finalizer from claim {}: {}",
                claim.meta.key(),
                text(&error)
            )),
        }
    }
}
