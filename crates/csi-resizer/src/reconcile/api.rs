//! Writes into claims and volumes, reads of what changed under them and of secrets, and what their errors mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::Value;
use sidecar_core::api::{ErrorKind, explained};
use sidecar_core::events::{EventKind, ObjectRef};
use sidecar_core::objects::{Claim, SecretRef, Volume};
use sidecar_core::reconciler::Outcome;

use super::Shared;
use crate::driver::CallFailed;
use crate::driver::request::secret_problem;

/// Why a look at a claim comes to an early end.
#[derive(Debug)]
pub(super) enum Stop {
    /// The claim is not as it was when the decision was made: it is to be read and looked at again, at once.
    Stale,
    /// The claim is gone.
    Gone,
    /// Something failed; it has been said what.
    Failed(String),
}

impl Stop {
    /// Puts words in front of a failure.
    pub(super) fn context(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Failed(problem) => Self::Failed(words(problem)),
            other => other,
        }
    }
}

/// How often a claim that changes under our hands is read again before it goes back into the queue.
const READS: usize = 4;

impl Shared {
    /// Looks at a claim, and again at once with what is there now if it has changed meanwhile.
    pub(super) async fn look<F, R>(&self, claim: Arc<Claim>, look: F) -> Outcome
    where
        F: Fn(Arc<Claim>) -> R,
        R: Future<Output = Result<Outcome, Stop>>,
    {
        let mut claim = claim;
        for _ in 0..READS {
            let stop = match look(claim.clone()).await {
                Ok(outcome) => return outcome,
                Err(Stop::Stale) => match self.reread(&claim).await {
                    Ok(fresh) => {
                        claim = fresh;
                        continue;
                    }
                    Err(stop) => stop,
                },
                Err(stop) => stop,
            };
            return match stop {
                Stop::Gone => Outcome::Done,
                Stop::Failed(problem) => Outcome::RetryBackoff(problem),
                Stop::Stale => continue,
            };
        }
        Outcome::RetryBackoff(format!("PVC {} changes all the time", claim.meta.key()))
    }

    /// Patches the claim's status, if there is anything to patch, and returns the claim as it is then.
    pub(super) async fn patch_claim(
        &self,
        claim: &Arc<Claim>,
        patch: Option<Value>,
    ) -> Result<Arc<Claim>, Stop> {
        let Some(patch) = patch else { return Ok(claim.clone()) };
        let claims = self.claims_of(claim);
        let written =
            claims.patch_status(&claim.meta.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
        match written {
            Ok(written) => self.note_claim(claim, &written),
            Err(error) => Err(match ErrorKind::of(&error) {
                ErrorKind::Conflict => Stop::Stale,
                ErrorKind::NotFound => Stop::Gone,
                _ => {
                    let text = explained(&error);
                    Stop::Failed(format!("can't patch status of  PVC {} with {text}", claim.meta.key()))
                }
            }),
        }
    }

    /// The claim as it is now.
    pub(super) async fn reread(&self, claim: &Arc<Claim>) -> Result<Arc<Claim>, Stop> {
        let live = self.claims_of(claim).get_opt(&claim.meta.name).await;
        match live {
            Ok(Some(live)) => self.note_claim(claim, &live),
            Ok(None) => Err(Stop::Gone),
            Err(error) => {
                Err(Stop::Failed(format!("can't read PVC {}: {}", claim.meta.key(), explained(&error))))
            }
        }
    }

    fn claims_of(&self, claim: &Claim) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), claim.meta.namespace())
    }

    /// Notes an answer of the API server, and returns the claim as it is then, which may be newer still.
    fn note_claim(&self, claim: &Claim, answer: &PersistentVolumeClaim) -> Result<Arc<Claim>, Stop> {
        if let Err(error) = self.stores.claims.wrote_full(answer) {
            return Err(Stop::Failed(format!(
                "can't read the answer about PVC {}: {error}",
                claim.meta.key()
            )));
        }
        let now = self.stores.claims.get(claim.meta.namespace(), &claim.meta.name);
        let now = now.filter(|now| now.meta.uid == claim.meta.uid).ok_or(Stop::Gone)?;
        self.memory.wrote(&now.meta.uid, version_of(answer));
        Ok(now)
    }

    /// Patches the volume, if there is anything to patch.
    pub(super) async fn patch_volume(&self, volume: &Volume, patch: Option<Value>) -> Result<(), String> {
        let Some(patch) = patch else { return Ok(()) };
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let patch = Patch::Strategic(patch);
        match volumes.patch(&volume.meta.name, &PatchParams::default(), &patch).await {
            Ok(written) => self.stores.volumes.wrote_full(&written).map_err(|error| error.to_string()),
            Err(error) => Err(explained(&error)),
        }
    }

    /// The values of a secret, read anew each time.
    pub(super) async fn secret(
        &self,
        reference: Option<&SecretRef>,
    ) -> Result<BTreeMap<String, String>, CallFailed> {
        let Some(reference) = reference else { return Ok(BTreeMap::new()) };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &reference.namespace);
        let secret = secrets
            .get(&reference.name)
            .await
            .map_err(|error| CallFailed::before(secret_problem(reference, &explained(&error))))?;
        let values = secret.data.unwrap_or_default().into_iter();
        Ok(values.map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect())
    }

    /// Reports an event about the claim.
    pub(super) fn event(&self, claim: &Claim, kind: EventKind, reason: &str, message: &str) {
        self.recorder.event(&claim_ref(claim), kind, reason, message);
    }

    /// The time as conditions have it: whole seconds.
    pub(super) fn now(&self) -> String {
        self.context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

fn version_of(claim: &PersistentVolumeClaim) -> u64 {
    claim.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The claim, for an event.
fn claim_ref(claim: &Claim) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "PersistentVolumeClaim".into(),
        namespace: claim.meta.namespace().to_owned(),
        name: claim.meta.name.to_string(),
        uid: claim.meta.uid.to_string(),
        resource_version: claim.meta.resource_version.to_string(),
    }
}
