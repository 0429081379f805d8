//! One lock per claim, taken by expansions and by modifications alike.
//!
//! Upstream works on both at once, and whoever writes the claim's status second gets a conflict and waits (upstream issue
//! 458). Here whoever finds the lock taken leaves its key, which goes back into its queue when the lock is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidecar_core::objects::ObjectKey;
use sidecar_core::queue::Queue;

use crate::metrics::Operation;

/// The locks. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    held: Arc<Mutex<BTreeMap<ObjectKey, BTreeSet<Operation>>>>,
    expansions: Queue<ObjectKey>,
    modifications: Queue<ObjectKey>,
}

/// A lock that is held; dropping it frees it and wakes those who wait.
#[derive(Debug)]
pub(super) struct Guard {
    locks: Locks,
    key: ObjectKey,
}

impl Locks {
    /// No lock is held; waiters go back into these queues.
    pub(super) fn new(expansions: Queue<ObjectKey>, modifications: Queue<ObjectKey>) -> Self {
        Self { held: Arc::default(), expansions, modifications }
    }

    /// Takes the lock of a claim, or notes that `waiter` wants it.
    pub(super) fn try_lock(&self, key: &ObjectKey, waiter: Operation) -> Option<Guard> {
        let mut held = self.lock();
        if let Some(waiters) = held.get_mut(key) {
            waiters.insert(waiter);
            return None;
        }
        held.insert(key.clone(), BTreeSet::new());
        Some(Guard { locks: self.clone(), key: key.clone() })
    }

    /// Whether somebody works on the claim.
    pub(super) fn is_held(&self, key: &ObjectKey) -> bool {
        self.lock().contains_key(key)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, BTreeSet<Operation>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let waiters = self.locks.lock().remove(&self.key).unwrap_or_default();
        for waiter in waiters {
            match waiter {
                Operation::Expand => self.locks.expansions.add(self.key.clone()),
                Operation::Modify => self.locks.modifications.add(self.key.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_finds_the_lock_taken_is_queued_when_it_is_free() {
        let queue = || Queue::new(Duration::from_secs(1), Duration::from_secs(1));
        let locks = Locks::new(queue(), queue());
        let key = ObjectKey::new("ns", "claim");
        let guard = locks.try_lock(&key, Operation::Expand).unwrap();
        assert!(locks.is_held(&key));
        assert!(locks.try_lock(&key, Operation::Modify).is_none());
        assert!(locks.try_lock(&key, Operation::Modify).is_none());
        assert!(locks.try_lock(&ObjectKey::new("other", "claim"), Operation::Modify).is_some());
        drop(guard);
        assert_eq!((locks.expansions.len(), locks.modifications.len()), (0, 1));
        assert!(!locks.is_held(&key) && locks.try_lock(&key, Operation::Modify).is_some());
    }
}
