//! The queue's state machine, without any waiting: every step is told the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::{Backoff, Failures};
use super::{Added, Key, Taken};

/// Says in which lane an item waits.
pub(super) type Route<K> = Box<dyn Fn(&K) -> usize + Send + Sync>;

/// A moment and a serial number, so that equal moments keep the order in which they were asked for.
type Due = (Instant, u64);

pub(super) struct State<K> {
    lanes: Vec<Lane<K>>,
    route: Route<K>,
    /// Items that need processing: those that wait in a lane, and those in `processing` that were added meanwhile.
    dirty: BTreeMap<K, Place>,
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

/// Items that wait for the same workers.
struct Lane<K> {
    /// In order, with the time of their addition. An item that has moved to another lane leaves its entry behind.
    fifo: VecDeque<(K, Instant)>,
    /// How many of the entries count.
    waiting: usize,
}

/// Where and since when an item waits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    lane: usize,
    since: Instant,
}

impl<K: Key> State<K> {
    /// `lanes` must be at least one; an item that `route` sends elsewhere waits in the first.
    pub(super) fn new(backoff: Backoff, lanes: usize, route: Route<K>) -> Self {
        let lane = || Lane { fifo: VecDeque::new(), waiting: 0 };
        Self {
            lanes: (0..lanes.max(1)).map(|_| lane()).collect(),
            route,
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

    /// The next item that waits in `lane` and how long it has waited.
    pub(super) fn take(&mut self, lane: usize, now: Instant) -> (Taken<K>, Option<Duration>) {
        self.promote(now);
        while let Some((key, since)) = self.lanes.get_mut(lane).and_then(|lane| lane.fifo.pop_front()) {
            if self.dirty.get(&key) != Some(&Place { lane, since }) || self.processing.contains_key(&key) {
                continue;
            }
            self.dirty.remove(&key);
            self.leave(lane);
            self.processing.insert(key.clone(), now);
            return (Taken::Item(key), Some(now - since));
        }
        if self.closed {
            return (Taken::Closed, None);
        }
        (Taken::Empty { next_due: self.delayed.first().map(|((due, _), _)| *due) }, None)
    }

    /// How long the processing took, and whether the item has to be processed again.
    pub(super) fn done(&mut self, key: &K, now: Instant) -> (Option<Duration>, bool) {
        self.promote(now);
        let worked = self.processing.remove(key).map(|since| now - since);
        let again = self.dirty.get(key).copied().filter(|_| worked.is_some());
        if let Some(place) = again {
            self.wait(key.clone(), place.since);
        }
        (worked, again.is_some())
    }

    pub(super) fn next_delay(&mut self, key: &K, now: Instant) -> Duration {
        let delay = self.backoff.spread_delay(self.failures.count(key));
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
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }

    pub(super) fn len_of(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.waiting)
    }

    pub(super) fn unfinished(&self, now: Instant) -> (Duration, Duration) {
        let running = || self.processing.values().map(|since| now - *since);
        (running().sum(), running().max().unwrap_or_default())
    }

    fn enqueue(&mut self, key: K, now: Instant) -> Added {
        if self.closed {
            return Added::Nothing;
        }
        let processing = self.processing.contains_key(&key);
        match self.dirty.get(&key).copied() {
            Some(_) if processing => Added::Nothing,
            Some(place) if place.lane == self.lane_of(&key) => Added::Nothing,
            Some(place) => {
                self.leave(place.lane);
                self.wait(key, place.since);
                Added::Moved
            }
            None if processing => {
                self.dirty.insert(key, Place { lane: 0, since: now });
                Added::Queued
            }
            None => {
                self.wait(key, now);
                Added::Queued
            }
        }
    }

    fn lane_of(&self, key: &K) -> usize {
        let lane = (self.route)(key);
        if lane < self.lanes.len() { lane } else { 0 }
    }

    fn wait(&mut self, key: K, since: Instant) {
        let place = Place { lane: self.lane_of(&key), since };
        if let Some(lane) = self.lanes.get_mut(place.lane) {
            lane.fifo.push_back((key.clone(), since));
            lane.waiting += 1;
        }
        self.dirty.insert(key, place);
    }

    fn leave(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.waiting -= 1;
        }
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
