//! What is known about claims and stands nowhere else. By UID, so that a claim made anew under the same name inherits
//! nothing, and forgotten with the claim; upstream does neither (sheet 7.5).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sidecar_core::objects::Uid;
use tokio::time::Instant;

use crate::metrics::Operation;

/// The memory of the controllers. All of it is lost at a restart, and nothing goes wrong by that.
#[derive(Debug, Default)]
pub(super) struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Claims whose last expansion ended with an error after which the driver is certainly not at it.
    final_errors: BTreeSet<Uid>,
    /// Claims whose volume the driver cannot expand in use; false while it is asked anew.
    in_use: BTreeMap<Uid, bool>,
    /// Claims whose volume the driver may still be modifying.
    uncertain: BTreeSet<Uid>,
    /// The newest version of a claim that was written here.
    written: BTreeMap<Uid, u64>,
    /// Since when a claim wants something.
    wanting: BTreeMap<(Uid, Operation), Instant>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- expansion ----

    pub(super) fn had_final_error(&self, uid: &Uid) -> bool {
        self.lock().final_errors.contains(uid)
    }

    pub(super) fn set_final_error(&self, uid: &Uid, is_final: bool) {
        let mut state = self.lock();
        if is_final {
            state.final_errors.insert(uid.clone());
        } else {
            state.final_errors.remove(uid);
        }
    }

    /// Whether the driver refused the last expansion because the volume is in use.
    pub(super) fn is_refused_in_use(&self, uid: &Uid) -> bool {
        self.lock().in_use.get(uid).copied().unwrap_or_default()
    }

    pub(super) fn refused_in_use(&self, uid: &Uid) {
        self.lock().in_use.insert(uid.clone(), true);
    }

    /// The driver is asked again, and may find the volume in use again.
    pub(super) fn asks_again(&self, uid: &Uid) {
        if let Some(refused) = self.lock().in_use.get_mut(uid) {
            *refused = false;
        }
    }

    /// The driver did not find the volume in use. Returns whether no claim at all waits for its pods any more.
    pub(super) fn not_in_use(&self, uid: &Uid) -> bool {
        let mut state = self.lock();
        state.in_use.remove(uid);
        state.in_use.is_empty()
    }

    // ---- modification ----

    pub(super) fn is_uncertain(&self, uid: &Uid) -> bool {
        self.lock().uncertain.contains(uid)
    }

    pub(super) fn set_uncertain(&self, uid: &Uid, uncertain: bool) {
        let mut state = self.lock();
        if uncertain {
            state.uncertain.insert(uid.clone());
        } else {
            state.uncertain.remove(uid);
        }
    }

    // ---- own writes ----

    /// Notes that this version of the claim was written here.
    pub(super) fn wrote(&self, uid: &Uid, version: u64) {
        let mut state = self.lock();
        let newest = state.written.entry(uid.clone()).or_default();
        *newest = version.max(*newest);
    }

    /// Whether this version of the claim is one that was written here, or is older.
    pub(super) fn has_written(&self, uid: &Uid, version: u64) -> bool {
        self.lock().written.get(uid).is_some_and(|newest| version <= *newest)
    }

    // ---- times ----

    /// The claim wants something; the first time counts.
    pub(super) fn wants(&self, uid: &Uid, operation: Operation) {
        self.lock().wanting.entry((uid.clone(), operation)).or_insert_with(Instant::now);
    }

    /// The claim has what it wanted, since then.
    pub(super) fn has(&self, uid: &Uid, operation: Operation) -> Option<Instant> {
        self.lock().wanting.remove(&(uid.clone(), operation))
    }

    /// The claim is gone. Returns whether no claim at all waits for its pods any more.
    pub(super) fn forget(&self, uid: &Uid) -> bool {
        let mut state = self.lock();
        state.final_errors.remove(uid);
        state.uncertain.remove(uid);
        state.written.remove(uid);
        state.in_use.remove(uid);
        for operation in [Operation::Expand, Operation::Modify] {
            state.wanting.remove(&(uid.clone(), operation));
        }
        state.in_use.is_empty()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.final_errors.is_empty()
            && state.uncertain.is_empty()
            && state.written.is_empty()
            && state.in_use.is_empty()
            && state.wanting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_a_claim_that_is_gone() {
        let (memory, uid, other) = (Memory::default(), Uid::new("a"), Uid::new("b"));
        memory.set_final_error(&uid, true);
        memory.set_uncertain(&uid, true);
        memory.refused_in_use(&uid);
        memory.wrote(&uid, 7);
        memory.wants(&uid, Operation::Expand);
        assert!(memory.had_final_error(&uid) && memory.is_uncertain(&uid) && memory.is_refused_in_use(&uid));
        assert!(memory.has_written(&uid, 7) && memory.has_written(&uid, 6) && !memory.has_written(&uid, 8));
        assert!(!memory.had_final_error(&other) && !memory.has_written(&other, 0));
        assert!(memory.forget(&uid));
        assert!(memory.is_empty());
    }

    #[test]
    fn a_claim_that_is_tried_again_still_waits_for_its_pods() {
        let (memory, uid) = (Memory::default(), Uid::new("a"));
        memory.asks_again(&uid);
        assert!(!memory.is_refused_in_use(&uid));
        memory.refused_in_use(&uid);
        memory.asks_again(&uid);
        assert!(!memory.is_refused_in_use(&uid));
        assert!(!memory.not_in_use(&Uid::new("b")), "the first one may be refused again");
        assert!(memory.not_in_use(&uid));
    }
}
