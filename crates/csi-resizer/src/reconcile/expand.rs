//! A look at the size of one claim: has its volume to grow, and how did that go (sheet 5.2, 5.3, 5.8)?

use std::sync::Arc;

use csi_client::CallOptions;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{Claim, ObjectKey, Volume};
use sidecar_core::quantity::binary_si;
use sidecar_core::reconciler::Outcome;
use tracing::{info, warn};

use super::Shared;
use super::api::Stop;
use crate::driver::{CallFailed, Expansion, request};
use crate::events;
use crate::metrics::Operation;
use crate::policy::errors::ExpandFailure;
use crate::policy::expand::{self, Decision};
use crate::policy::sizes::{self, Progress, Size, Sizes};
use crate::policy::source::Source;
use crate::policy::{claim_patch, ownership, volume_patch};

/// What the driver has made of a volume.
pub(super) struct Resized {
    /// Its size, as it is written into objects.
    pub(super) size: String,
    /// Whether the node has to do something, too.
    pub(super) node: bool,
}

impl Shared {
    /// Looks at the size of the claim with this key.
    pub(super) async fn sync_expansion(self: &Arc<Self>, key: &ObjectKey) -> Outcome {
        let Some(_guard) = self.locks.try_lock(key, Operation::Expand) else { return Outcome::Drop };
        let namespace = key.namespace.as_deref().unwrap_or_default();
        match self.stores.claims.get(namespace, &key.name) {
            Some(claim) => self.look(claim, |claim| self.expand(claim)).await,
            None => Outcome::Done,
        }
    }

    async fn expand(self: &Arc<Self>, claim: Arc<Claim>) -> Result<Outcome, Stop> {
        let Some(volume) = self.volume_of(&claim)? else { return Ok(Outcome::Done) };
        let ours = ownership::expands(&self.driver.name, self.driver.migrated, &claim, &volume)
            && ownership::belongs(&volume, &claim);
        if !ours {
            return Ok(Outcome::Done);
        }
        let volume = self.forget_capacity_before(&claim, volume).await?;
        if !expand::is_needed(&claim) {
            return Ok(Outcome::Done);
        }
        self.memory.wants(&claim.meta.uid, Operation::Expand);
        if self.settings.recover {
            self.expand_and_recover(claim, &volume).await
        } else {
            self.expand_without_recovery(claim, &volume).await
        }
    }

    /// The volume that the claim is bound to; `None` if there is none, or if it is another driver's or node's.
    pub(super) fn volume_of(&self, claim: &Claim) -> Result<Option<Arc<Volume>>, Stop> {
        let Some(name) = &claim.volume_name else { return Ok(None) };
        let volume = self.stores.volumes.get("", name);
        if volume.is_none() && !self.stores.volumes.exists("", name) {
            let key = claim.meta.key();
            return Err(Stop::Failed(format!("PV \"{name}\" bound to pvc \"{key}\" not found")));
        }
        Ok(volume.filter(|volume| self.is_here(volume)))
    }

    /// Takes the note about the size before an expansion off the volume, once the claim's size has caught up.
    async fn forget_capacity_before(&self, claim: &Claim, volume: Arc<Volume>) -> Result<Arc<Volume>, Stop> {
        let caught_up = sizes::capacity(claim) >= sizes::amount(volume.capacity.as_deref());
        if !self.settings.annotate || !caught_up {
            return Ok(volume);
        }
        let patch = volume_patch::caught_up(&volume);
        if patch.is_none() {
            return Ok(volume);
        }
        self.patch_volume(&volume, patch)
            .await
            .map_err(|problem| Stop::Failed(format!("update PV {} failed: {problem}", volume.meta.name)))?;
        Ok(self.stores.volumes.get("", &volume.meta.name).unwrap_or(volume))
    }

    async fn expand_and_recover(
        self: &Arc<Self>,
        claim: Arc<Claim>,
        volume: &Arc<Volume>,
    ) -> Result<Outcome, Stop> {
        let (uid, key) = (&claim.meta.uid, claim.meta.key());
        let sizes = Sizes::of(&claim, volume);
        let was_slow = self.slow_expansions.contains(uid);
        if sizes.progress == Progress::ControllerInfeasible {
            self.slow_expansions.add(uid.clone(), ());
        }
        let by_controller = matches!(self.driver.expansion, Some(Expansion::Controller { .. }));
        let target = match expand::decide(&sizes, self.memory.had_final_error(uid), by_controller) {
            Decision::NodesTurn => return Ok(Outcome::Done),
            Decision::LegacyNodesTurn => {
                warn!(PVC = %key, "File system resize is pending without a status, as an old API server writes it");
                return Ok(Outcome::Done);
            }
            Decision::Expand(target) => target,
        };
        let repeats = expand::repeats(&sizes, &target);
        if repeats && was_slow {
            info!(
                v = 4,
                "skipping volume expansion for pvc {key}, because expansion previously failed with infeasible error"
            );
            return Ok(Outcome::RequeueAfter(self.slow_expansions.time_remaining(uid)));
        }
        let patch = claim_patch::resize_started(&claim, &target, repeats, &self.now());
        let before = capacity_text(&claim);
        let claim = self.patch_claim(&claim, patch).await.map_err(|stop| mark_failed(stop, &key))?;
        let resized = self.ask_driver(&claim, volume, &target).await?;
        self.memory.set_final_error(uid, false);
        self.slow_expansions.remove(uid);
        self.finish(&claim, volume, &resized, &before).await
    }

    async fn expand_without_recovery(
        self: &Arc<Self>,
        claim: Arc<Claim>,
        volume: &Arc<Volume>,
    ) -> Result<Outcome, Stop> {
        let key = claim.meta.key();
        let Decision::Expand(target) = expand::decide_legacy(&Sizes::of(&claim, volume)) else {
            return Ok(Outcome::Done);
        };
        let before = capacity_text(&claim);
        let patch = claim_patch::legacy_started(&claim, &self.now());
        let claim = self.patch_claim(&claim, patch).await.map_err(|stop| mark_failed(stop, &key))?;
        let resized = self.ask_driver(&claim, volume, &target).await?;
        self.finish(&claim, volume, &resized, &before).await
    }

    /// Has the driver expand the volume, unless pods are in the way; says how it went wrong.
    async fn ask_driver(
        self: &Arc<Self>,
        claim: &Arc<Claim>,
        volume: &Volume,
        target: &Size,
    ) -> Result<Resized, Stop> {
        let uid = &claim.meta.uid;
        if self.waits_for_pods(claim).await {
            let problem = events::in_use(&claim.meta.key().to_string(), &self.driver.name);
            self.event(claim, EventKind::Warning, events::VOLUME_RESIZE_FAILED, &problem);
            return Err(Stop::Failed(problem));
        }
        self.event(claim, EventKind::Normal, events::RESIZING, &events::resizing(&volume.meta.name));
        self.memory.asks_again(uid);
        match self.resize(volume, target).await {
            Ok(resized) => {
                self.no_longer_in_use(claim);
                Ok(resized)
            }
            Err(failed) => Err(Stop::Failed(self.expansion_failed(claim, volume, &failed).await)),
        }
    }

    async fn resize(&self, volume: &Volume, target: &Size) -> Result<Resized, CallFailed> {
        let Some(Expansion::Controller { single_node_multi_writer }) = self.driver.expansion else {
            return Ok(Resized { size: target.text.to_string(), node: true });
        };
        let source = Source::of(volume).map_err(CallFailed::before)?;
        let secrets = self.secret(source.expand_secret.as_ref()).await?;
        let name = &volume.meta.name;
        let request = request::expand(name, &source, target.bytes(), secrets, single_node_multi_writer)
            .map_err(CallFailed::before)?;
        let options = CallOptions::timeout(self.settings.timeout).migrated(source.translated);
        let _counted = self.metrics.begin(Operation::Expand);
        let answer = self.connection.controller_expand_volume(request, options).await?;
        let bytes = expand::check_answer(target, answer.capacity_bytes).map_err(CallFailed::before)?;
        Ok(Resized { size: binary_si(bytes), node: answer.node_expansion_required })
    }

    /// Writes down what a failure means and reports it; returns its text.
    async fn expansion_failed(
        self: &Arc<Self>,
        claim: &Arc<Claim>,
        volume: &Volume,
        failed: &CallFailed,
    ) -> String {
        let (uid, key, text) = (&claim.meta.uid, claim.meta.key(), failed.text());
        let failure = ExpandFailure::of(failed.code, self.settings.exhausted);
        if failure == ExpandFailure::InUse {
            self.memory.refused_in_use(uid);
            self.watch_pods();
        } else {
            self.no_longer_in_use(claim);
        }
        let mut problem = events::resize_failed(&volume.meta.name, &self.driver.name, &text);
        let mut claim = claim.clone();
        if self.settings.recover {
            self.memory.set_final_error(uid, failure.is_final());
            if failure != ExpandFailure::Infeasible {
                self.slow_expansions.remove(uid);
            }
            if failure.is_final() {
                let infeasible = failure == ExpandFailure::Infeasible;
                let patch = claim_patch::resize_failed(&claim, &text, infeasible, &self.now());
                match self.patch_claim(&claim, patch).await {
                    Ok(marked) => claim = marked,
                    Err(Stop::Gone | Stop::Stale) => {}
                    Err(Stop::Failed(patch)) => {
                        problem = format!(
                            "resizing failed in controller with {text} but failed to update PVC {key} with: mark PVC \
                             \"{key}\" as controller expansion failed, errored with: {patch}"
                        );
                    }
                }
            }
        }
        self.event(&claim, EventKind::Warning, events::VOLUME_RESIZE_FAILED, &problem);
        problem
    }

    fn no_longer_in_use(&self, claim: &Claim) {
        if self.memory.not_in_use(&claim.meta.uid) {
            self.pods.give_back();
        }
    }
}

/// The claim's size in its canonical text.
fn capacity_text(claim: &Claim) -> String {
    sizes::capacity(claim).to_string()
}

fn mark_failed(stop: Stop, key: &ObjectKey) -> Stop {
    stop.context(|problem| format!("marking pvc \"{key}\" as resizing failed: {problem}"))
}
