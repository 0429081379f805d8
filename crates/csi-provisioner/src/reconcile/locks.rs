//! One lock per volume name, taken by claims and by volumes alike.
//!
//! Upstream works on a claim and on its volume independently, so that a late look at a claim could make a volume again
//! that was just deleted (upstream issue 1469). Here whoever finds the lock taken does not wait in a worker: it leaves
//! its key, which goes back into its queue when the lock is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidecar_core::objects::{Interned, Uid};
use sidecar_core::queue::Queue;

/// Someone who found a lock taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    /// The claim of this UID.
    Claim(Uid),
    /// The volume whose name is locked.
    Volume,
}

/// The locks. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Locks {
    held: Arc<Mutex<BTreeMap<Interned, BTreeSet<Waiter>>>>,
    claims: Queue<Uid>,
    volumes: Queue<Interned>,
}

/// A lock that is held; dropping it frees it and wakes those who wait.
#[derive(Debug)]
pub(super) struct Guard {
    locks: Locks,
    name: Interned,
}

impl Locks {
    /// No lock is held; waiters go back into these queues.
    pub(super) fn new(claims: Queue<Uid>, volumes: Queue<Interned>) -> Self {
        Self { held: Arc::default(), claims, volumes }
    }

    /// Takes the lock of a volume name, or notes that `waiter` wants it.
    pub(super) fn try_lock(&self, name: &Interned, waiter: Waiter) -> Option<Guard> {
        let mut held = self.lock();
        if let Some(waiters) = held.get_mut(name) {
            waiters.insert(waiter);
            return None;
        }
        held.insert(name.clone(), BTreeSet::new());
        Some(Guard { locks: self.clone(), name: name.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Interned, BTreeSet<Waiter>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let waiters = self.locks.lock().remove(&self.name).unwrap_or_default();
        for waiter in waiters {
            match waiter {
                Waiter::Claim(uid) => self.locks.claims.add(uid),
                Waiter::Volume => self.locks.volumes.add(self.name.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn locks() -> Locks {
        let queue = || Duration::from_secs(1);
        Locks::new(Queue::new(queue(), queue()), Queue::new(queue(), queue()))
    }

    #[tokio::test]
    async fn who_finds_the_lock_taken_is_queued_when_it_is_free() {
        let locks = locks();
        let name = Interned::new("pvc-1");
        let guard = locks.try_lock(&name, Waiter::Volume).unwrap();
        assert!(locks.try_lock(&name, Waiter::Claim(Uid::new("a"))).is_none());
        assert!(locks.try_lock(&name, Waiter::Claim(Uid::new("a"))).is_none());
        assert!(locks.try_lock(&name, Waiter::Volume).is_none());
        assert!(locks.claims.is_empty() && locks.volumes.is_empty());
        drop(guard);
        assert_eq!((locks.claims.len(), locks.volumes.len()), (1, 1));
        assert_eq!(locks.claims.get().await, Some(Uid::new("a")));
        assert!(locks.try_lock(&name, Waiter::Volume).is_some());
    }

    #[tokio::test]
    async fn names_do_not_disturb_each_other() {
        let locks = locks();
        let _one = locks.try_lock(&Interned::new("one"), Waiter::Volume).unwrap();
        assert!(locks.try_lock(&Interned::new("two"), Waiter::Volume).is_some());
    }
}
