//! What this process knows beyond the caches. It saves calls; nothing depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use sidecar_core::objects::{ObjectKey, Uid};
use tokio::time::Instant;

/// How long a new content may take to say something before its snapshot is bound to it in a write of its own. Most drivers are faster,
/// and one write says it all.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// How many claims are kept whole.
const CLAIMS: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When contents were made, by the UID of their snapshots.
    made: BTreeMap<Uid, Instant>,
    /// Snapshots whose contents the watch has shown to be gone.
    without: BTreeSet<Uid>,
    /// Snapshots that wait for a class.
    classless: BTreeSet<ObjectKey>,
    /// Claims as the API server returned them when they were protected.
    claims: BTreeMap<Uid, PersistentVolumeClaim>,
}

impl Memory {
    /// A content was made.
    pub(super) fn made(&self, snapshot: &Uid) {
        self.state().made.insert(snapshot.clone(), Instant::now());
    }

    /// How much longer its content may take to say something.
    pub(super) fn patience(&self, snapshot: &Uid) -> Option<Duration> {
        let made = *self.state().made.get(snapshot)?;
        (made + PATIENCE).checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The watch shows a content of the snapshot, or its end.
    pub(super) fn content_seen(&self, snapshot: &Uid, gone: bool) {
        let mut state = self.state();
        if gone {
            state.without.insert(snapshot.clone());
        } else {
            state.without.remove(snapshot);
        }
    }

    /// Whether its content is certainly gone.
    pub(super) fn is_without(&self, snapshot: &Uid) -> bool {
        self.state().without.contains(snapshot)
    }

    /// The snapshot is gone.
    pub(super) fn forget(&self, key: &ObjectKey, snapshot: &Uid) {
        let mut state = self.state();
        state.made.remove(snapshot);
        state.without.remove(snapshot);
        state.classless.remove(key);
    }

    /// Whether the snapshot waits for a class.
    pub(super) fn set_classless(&self, key: &ObjectKey, waits: bool) {
        let mut state = self.state();
        if waits {
            state.classless.insert(key.clone());
        } else {
            state.classless.remove(key);
        }
    }

    /// Those that wait for a class.
    pub(super) fn take_classless(&self) -> BTreeSet<ObjectKey> {
        std::mem::take(&mut self.state().classless)
    }

    /// Keeps a claim as the API server returned it, unless there are many.
    pub(super) fn keep_claim(&self, uid: &Uid, claim: PersistentVolumeClaim) {
        let mut state = self.state();
        if state.claims.len() < CLAIMS || state.claims.contains_key(uid) {
            state.claims.insert(uid.clone(), claim);
        }
    }

    /// Gives a claim back if it is still of this version.
    pub(super) fn take_claim(&self, uid: &Uid, version: u64) -> Option<PersistentVolumeClaim> {
        let claim = self.state().claims.remove(uid)?;
        let kept = claim.metadata.resource_version.as_deref().and_then(|text| text.parse::<u64>().ok());
        (kept == Some(version)).then_some(claim)
    }

    /// The claim is gone.
    pub(super) fn forget_claim(&self, uid: &Uid) {
        self.state().claims.remove(uid);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
