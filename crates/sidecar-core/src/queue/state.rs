//! The queue's state machine, without any waiting: every step is told the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Backoff, Failures};
use super::{Added, Key, Taken};

/// A moment and a serial number, so that equal moments keep the order in which they were asked for.
type Due = (Instant, u64);

pub(super) struct State<K> {
    /// Waiting for a worker, in order, with the time of their addition.
    fifo: VecDeque<(K, Instant)>,
    /// Items that need processing: those in `fifo`, and those in `processing` that were added meanwhile.
    dirty: BTreeMap<K, Instant>,
    /// Items that a worker has, with the time it got them.
    processing: BTreeMap<K, Instant>,
    /// Delayed items by time, and the time of each item.
    delayed: BTreeSet<(Due, K)>,
    due: HashMap<K, Due>,
    serial: u64,
    failures: Failures<K>,
    backoff: Backoff,
    closed: bool,
}

impl<K: Key> State<K> {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            fifo: VecDeque::new(),
            dirty: BTreeMap::new(),
            processing: BTreeMap::new(),
            delayed: BTreeSet::new(),
            due: HashMap::new(),
            serial: 0,
            failures: Failures::new(),
            backoff,
            closed: false,
        }
    }

    pub(super) fn add(&mut self, key: K, now: Instant) -> Added {
        self.promote(now);
        self.enqueue(key, now)
    }

    pub(super) fn add_after(&mut self, key: K, delay: Duration, now: Instant) -> Added {
        if self.closed {
            return Added::Nothing;
        }
        if delay.is_zero() {
            return self.add(key, now);
        }
        let due = (now + delay, self.next_serial());
        match self.due.get(&key) {
            Some(earlier) if *earlier <= due => return Added::Nothing,
            Some(later) => {
                self.delayed.remove(&(*later, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), due);
        self.delayed.insert((due, key));
        Added::Delayed
    }

    /// The next waiting item and how long it has waited.
    pub(super) fn take(&mut self, now: Instant) -> (Taken<K>, Option<Duration>) {
        self.promote(now);
        match self.fifo.pop_front() {
            Some((key, since)) => {
                self.dirty.remove(&key);
                self.processing.insert(key.clone(), now);
                (Taken::Item(key), Some(now - since))
            }
            None if self.closed => (Taken::Closed, None),
            None => (Taken::Empty { next_due: self.delayed.first().map(|((due, _), _)| *due) }, None),
        }
    }

    /// How long the processing took, and whether the item has to be processed again.
    pub(super) fn done(&mut self, key: &K, now: Instant) -> (Option<Duration>, bool) {
        self.promote(now);
        let worked = self.processing.remove(key).map(|since| now - since);
        let again = self.dirty.get(key).copied().filter(|_| worked.is_some());
        if let Some(since) = again {
            self.fifo.push_back((key.clone(), since));
        }
        (worked, again.is_some())
    }

    pub(super) fn next_delay(&mut self, key: &K, now: Instant) -> Duration {
        let delay = self.backoff.delay(self.failures.count(key));
        delay.max(self.backoff.bucket_delay(now))
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.failures.forget(key);
    }

    pub(super) fn failures(&self, key: &K) -> u32 {
        self.failures.of(key)
    }

    pub(super) fn shutdown(&mut self) {
        self.closed = true;
        self.delayed.clear();
        self.due.clear();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.closed
    }

    pub(super) fn len(&self) -> usize {
        self.fifo.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fifo.is_empty()
    }

    pub(super) fn unfinished(&self, now: Instant) -> (Duration, Duration) {
        let running = || self.processing.values().map(|since| now - *since);
        (running().sum(), running().max().unwrap_or_default())
    }

    fn enqueue(&mut self, key: K, now: Instant) -> Added {
        if self.closed || self.dirty.contains_key(&key) {
            return Added::Nothing;
        }
        self.dirty.insert(key.clone(), now);
        if !self.processing.contains_key(&key) {
            self.fifo.push_back((key, now));
        }
        Added::Queued
    }

    /// Queues what has become due, at the time it became due, so that items added later stand behind it.
    fn promote(&mut self, now: Instant) {
        while let Some(((due, _), _)) = self.delayed.first()
            && *due <= now
            && let Some(((due, _), key)) = self.delayed.pop_first()
        {
            self.due.remove(&key);
            self.enqueue(key, due);
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}
