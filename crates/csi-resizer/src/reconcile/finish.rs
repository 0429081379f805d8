//! The end of the controller's part of an expansion: volume first, then claim (sheet 5.3, steps 11 and 12).

use std::sync::Arc;

use serde_json::Value;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{Claim, Volume};
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::Stop;
use super::expand::Resized;
use crate::events;
use crate::metrics::Operation;
use crate::policy::{claim_patch, expand, volume_patch};

/// How often a claim that changes meanwhile is read again.
const READS: usize = 4;

impl Shared {
    /// Writes the new size down and reports it. `before`: the claim's size when the expansion began.
    pub(super) async fn finish(
        &self,
        claim: &Arc<Claim>,
        volume: &Volume,
        resized: &Resized,
        before: &str,
    ) -> Result<Outcome, Stop> {
        let note = (self.settings.annotate && resized.node).then_some(before);
        let patch = volume_patch::resized(volume, &resized.size, note);
        if let Err(problem) = self.patch_volume(volume, patch).await {
            let (name, size) = (&volume.meta.name, &resized.size);
            return Err(self.failed(
                claim,
                format!(
                    "error updating pv \"{name}\" by resizer: updating capacity of PV \"{name}\" to {size} failed: update \
                     capacity of PV {name} failed: {problem}"
                ),
            ));
        }
        self.finish_claim(claim, resized).await?;
        let uid = &claim.meta.uid;
        if let Some(since) = self.memory.has(uid, Operation::Expand) {
            self.metrics.done(Operation::Expand, since.elapsed());
        }
        Ok(Outcome::Done)
    }

    /// Marks the claim, whatever has changed about it meanwhile.
    async fn finish_claim(&self, claim: &Arc<Claim>, resized: &Resized) -> Result<(), Stop> {
        let mut claim = claim.clone();
        for _ in 0..READS {
            match self.patch_claim(&claim, self.last_patch(&claim, resized)).await {
                Ok(_) => {
                    let (reason, message) = if resized.node {
                        (events::FILE_SYSTEM_RESIZE_REQUIRED, events::FILE_SYSTEM_MESSAGE)
                    } else {
                        (events::VOLUME_RESIZE_SUCCESSFUL, events::RESIZE_SUCCEEDED)
                    };
                    self.event(&claim, EventKind::Normal, reason, message);
                    return Ok(());
                }
                Err(Stop::Stale) => claim = self.reread(&claim).await?,
                Err(stop) => {
                    let key = claim.meta.key();
                    let what = if resized.node { "node expansion required" } else { "resize finished" };
                    let stop =
                        stop.context(|problem| format!("mark PVC \"{key}\" as {what} failed: {problem}"));
                    return Err(match stop {
                        Stop::Failed(problem) => self.failed(&claim, problem),
                        other => other,
                    });
                }
            }
            if resized.node && expand::node_is_ahead(&claim, &resized.size) {
                return Ok(());
            }
        }
        let key = claim.meta.key();
        Err(self.failed(&claim, format!("mark PVC \"{key}\" as resized failed: it changes all the time")))
    }

    fn last_patch(&self, claim: &Claim, resized: &Resized) -> Option<Value> {
        let now = self.now();
        match (self.settings.recover, resized.node) {
            (true, true) => claim_patch::node_pending(claim, &now),
            (true, false) => claim_patch::resize_finished(claim, &resized.size, &now),
            (false, true) => claim_patch::legacy_node_pending(claim, &now),
            (false, false) => claim_patch::legacy_finished(claim, &resized.size, &now),
        }
    }

    fn failed(&self, claim: &Claim, problem: String) -> Stop {
        self.event(claim, EventKind::Warning, events::VOLUME_RESIZE_FAILED, &problem);
        Stop::Failed(problem)
    }
}
