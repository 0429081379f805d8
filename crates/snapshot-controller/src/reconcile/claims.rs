//! The finalizer on claims that snapshots are taken of (sheet 5.5.1 step 1, 5.9).
//!
//! It is the one thing that is written whole: upstream's rules let the controller only `update` claims. What was returned for the
//! first write is kept for the second, so that a claim is read once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::PostParams;
use sidecar_core::api::ErrorKind;
use sidecar_core::objects::{Claim, ObjectKey, Uid};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::finalizers::CLAIM_SOURCE;

use super::Shared;
use super::api::text;
use crate::policy::claim;

/// How often a claim that changes under our hands is read again.
const TRIES: usize = 5;

/// One lock per claim: who protects it and who releases it take turns, so that neither acts on what the other is about to change.
#[derive(Debug, Default)]
pub(super) struct Locks {
    locks: Mutex<BTreeMap<Uid, Arc<tokio::sync::Mutex<()>>>>,
    /// How many snapshots a content is being made for right now, by claim.
    taken: Mutex<BTreeMap<Uid, usize>>,
}

/// While it lives, a content is being made: its claim is not released, even if the snapshot has failed for long.
#[derive(Debug)]
pub(super) struct Taking<'l> {
    locks: &'l Locks,
    claim: Uid,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut taken = self.locks.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = taken.get_mut(&self.claim) {
            *number -= 1;
            if *number == 0 {
                taken.remove(&self.claim);
            }
        }
    }
}

impl Locks {
    fn take(&self, claim: &Uid) -> Taking<'_> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken.entry(claim.clone()).or_default() += 1;
        Taking { locks: self, claim: claim.clone() }
    }

    fn is_taken(&self, claim: &Uid) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).contains_key(claim)
    }

    fn of(&self, claim: &Uid) -> Arc<tokio::sync::Mutex<()>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).entry(claim.clone()).or_default().clone()
    }

    /// Forgets a lock that nobody else has.
    fn tidy(&self, claim: &Uid) {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        if locks.get(claim).is_some_and(|lock| Arc::strong_count(lock) <= 2) {
            locks.remove(claim);
        }
    }
}

/// What is to be done to a claim's finalizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Add,
    Remove,
}

impl Shared {
    /// Sees to it that the claim has our finalizer, and keeps it for as long as the result lives.
    pub(super) async fn protect_claim(&self, claim: &Claim) -> Result<Taking<'_>, String> {
        let taking = self.locks.take(&claim.meta.uid);
        let lock = self.locks.of(&claim.meta.uid);
        let turn = lock.lock().await;
        let done = self.protect_in_turn(claim).await;
        drop(turn);
        self.locks.tidy(&claim.meta.uid);
        done.map(|()| taking).map_err(|problem| {
            format!("snapshot controller failed to update {} on API server: {problem}", claim.meta.name)
        })
    }

    async fn protect_in_turn(&self, claim: &Claim) -> Result<(), String> {
        match self.same_claim(claim) {
            Some(now) if now.meta.finalizers.has(CLAIM_SOURCE) => Ok(()),
            Some(now) if now.meta.deleting => {
                Err("cannot add finalizer on claim because it is being deleted".to_owned())
            }
            Some(now) => self.change_claim(&now, Change::Add).await,
            None => Err(format!("persistentvolumeclaims {:?} not found", &*claim.meta.name)),
        }
    }

    /// Takes our finalizer off the claim if no snapshot needs it. `besides` is a snapshot that does not count.
    pub(super) async fn release_claim(&self, claim: &Claim, besides: Option<&str>) -> Result<(), String> {
        if !self.is_releasable(claim, besides) {
            return Ok(());
        }
        let lock = self.locks.of(&claim.meta.uid);
        let turn = lock.lock().await;
        // Somebody may have begun to take a snapshot while we waited.
        let done = match self.same_claim(claim) {
            Some(now) if self.is_releasable(&now, besides) => self.change_claim(&now, Change::Remove).await,
            _ => Ok(()),
        };
        drop(turn);
        self.locks.tidy(&claim.meta.uid);
        done.map_err(|problem| {
            format!("snapshot controller failed to update {} on API server: {problem}", claim.meta.name)
        })
    }

    /// A claim that has our finalizer, while there may be no snapshot any more that would take it off.
    pub(super) async fn sync_claim(&self, key: &ObjectKey) -> Outcome {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let Some(claim) = self.stores.claims.get(namespace, &key.name) else { return Outcome::Done };
        match self.release_claim(&claim, None).await {
            Ok(()) => Outcome::Done,
            Err(problem) => Outcome::RetryBackoff(problem),
        }
    }

    fn is_releasable(&self, claim: &Claim, besides: Option<&str>) -> bool {
        !self.locks.is_taken(&claim.meta.uid)
            && claim::is_releasable(claim, besides, &self.stores, self.context.clock.now())
    }

    fn same_claim(&self, claim: &Claim) -> Option<Arc<Claim>> {
        let now = self.stores.claims.get(claim.meta.namespace(), &claim.meta.name);
        now.filter(|now| now.meta.uid == claim.meta.uid)
    }

    async fn change_claim(&self, claim: &Claim, change: Change) -> Result<(), String> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), claim.meta.namespace());
        let (name, uid) = (&*claim.meta.name, &claim.meta.uid);
        let mut kept = self.memory.take_claim(uid, claim.meta.resource_version);
        for _ in 0..TRIES {
            let live = match kept.take() {
                Some(kept) => Some(kept),
                None => claims.get_opt(name).await.map_err(|error| text(&error))?,
            };
            let same = live.filter(|live| live.metadata.uid.as_deref().is_some_and(|live| *uid == live));
            let Some(mut whole) = same else {
                // Gone: nothing is left to be released, and nothing can be protected.
                let missing = format!("persistentvolumeclaims {name:?} not found");
                return if change == Change::Remove { Ok(()) } else { Err(missing) };
            };
            if !apply(&mut whole, change) {
                self.note_claim(claim, &whole)?;
                return Ok(());
            }
            match claims.replace(name, &PostParams::default(), &whole).await {
                Ok(written) => {
                    self.note_claim(claim, &written)?;
                    if change == Change::Add {
                        self.memory.keep_claim(uid, written);
                    }
                    return Ok(());
                }
                Err(error) if ErrorKind::of(&error) == ErrorKind::Conflict => {}
                Err(error) if ErrorKind::of(&error) == ErrorKind::NotFound && change == Change::Remove => {
                    return Ok(());
                }
                Err(error) => return Err(text(&error)),
            }
        }
        Err(format!("the claim {name} changes all the time"))
    }

    fn note_claim(&self, claim: &Claim, written: &PersistentVolumeClaim) -> Result<(), String> {
        let (meta, store) = (&written.metadata, &self.stores.claims);
        let released = meta.deletion_timestamp.is_some() && meta.finalizers.iter().flatten().next().is_none();
        if released {
            store.removed(claim.meta.namespace(), &claim.meta.name, &claim.meta.uid);
            return Ok(());
        }
        store.wrote_full(written).map_err(|error| error.to_string())
    }
}

/// Changes the finalizers; false if they are as they should be.
fn apply(claim: &mut PersistentVolumeClaim, change: Change) -> bool {
    let finalizers = claim.metadata.finalizers.get_or_insert_default();
    let has = finalizers.iter().any(|name| name == CLAIM_SOURCE);
    match change {
        Change::Add if !has => finalizers.push(CLAIM_SOURCE.to_owned()),
        Change::Remove if has => finalizers.retain(|name| name != CLAIM_SOURCE),
        Change::Add | Change::Remove => return false,
    }
    true
}
