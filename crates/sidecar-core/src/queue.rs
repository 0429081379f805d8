//! The work queue of client-go: the same meaning, as one small state machine.
//!
//! * An item is in the queue at most once; an item that is being processed is never handed out again before [`Queue::done`].
//! * An item added while it is being processed is processed once more afterwards.
//! * Delayed additions keep the earliest time; they fire even if the item has been processed meanwhile.
//! * [`Queue::add_rate_limited`] delays by `start * 2^failures`, capped, per item, until [`Queue::forget`].
//! * An item may be given a lane ([`Queue::with_lanes`]): lanes have workers of their own, so that one kind of work never
//!   waits behind another, while all else stays one queue: an item is processed once at a time whatever its lane.
//! * After [`Queue::shutdown`] nothing is accepted, delayed items are dropped, and what was queued is still handed out.
//!
//! Time is tokio's, nothing is random and nothing depends on the order of a hash map, so the queue behaves the same in
//! every run of the simulation.

mod backoff;
mod state;

use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::QueueMetrics;

pub use backoff::Backoff;
use state::{Route, State};

/// What can be queued: a small key, never an object.
pub trait Key: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static {}

impl<K: Clone + Ord + Hash + fmt::Debug + Send + Sync + 'static> Key for K {}

/// A work queue. Clones share their state.
pub struct Queue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<K> {
    state: Mutex<State<K>>,
    /// Wakes those who wait in [`Queue::get_from`], one bell per lane.
    changed: Vec<Notify>,
    metrics: Option<QueueMetrics>,
}

impl<K: Key> Queue<K> {
    /// An empty queue whose failed items back off from `start` to `max` (`--retry-interval-start`, `--retry-interval-max`).
    pub fn new(start: Duration, max: Duration) -> Self {
        Self::with_backoff(Backoff::exponential(start, max))
    }

    /// An empty queue with another rate limit.
    pub fn with_backoff(backoff: Backoff) -> Self {
        Self::build(backoff, None, 1, Box::new(|_| 0))
    }

    /// An empty queue that reports to the series of its name.
    pub fn with_metrics(backoff: Backoff, metrics: QueueMetrics) -> Self {
        Self::build(backoff, Some(metrics), 1, Box::new(|_| 0))
    }

    /// [`Queue::with_metrics`] with `lanes` lanes. `route` is asked whenever an item is added or becomes due; an addition can so
    /// move an item that waits already. It must not touch the queue.
    pub fn with_lanes(
        backoff: Backoff,
        metrics: QueueMetrics,
        lanes: usize,
        route: impl Fn(&K) -> usize + Send + Sync + 'static,
    ) -> Self {
        Self::build(backoff, Some(metrics), lanes, Box::new(route))
    }

    fn build(backoff: Backoff, metrics: Option<QueueMetrics>, lanes: usize, route: Route<K>) -> Self {
        let lanes = lanes.max(1);
        let changed = (0..lanes).map(|_| Notify::new()).collect();
        let shared = Shared { state: Mutex::new(State::new(backoff, lanes, route)), changed, metrics };
        Self { shared: Arc::new(shared) }
    }

    /// Queues an item now, unless it is queued already. Bypasses any back-off.
    pub fn add(&self, key: K) {
        let added = self.with(|state, now| state.add(key, now));
        self.after_adding(added);
    }

    /// Queues an item when `delay` has passed, or earlier if an earlier time is already set.
    pub fn add_after(&self, key: K, delay: Duration) {
        let added = self.with(|state, now| state.add_after(key, delay, now));
        if let Some(metrics) = &self.shared.metrics {
            metrics.retries.inc();
        }
        self.after_adding(added);
    }

    /// Queues an item after its back-off and counts a failure.
    pub fn add_rate_limited(&self, key: K) {
        let delay = self.with(|state, now| state.next_delay(&key, now));
        self.add_after(key, delay);
    }

    /// Forgets the failures of an item: its next failure waits the shortest time again.
    pub fn forget(&self, key: &K) {
        self.with(|state, _| state.forget(key));
    }

    /// How often the item has failed since it was last forgotten.
    pub fn failures(&self, key: &K) -> u32 {
        self.with(|state, _| state.failures(key))
    }

    /// The next item, when there is one; `None` after a shutdown when the queue is empty. Each item must be returned
    /// with [`Queue::done`].
    pub async fn get(&self) -> Option<K> {
        self.get_from(0).await
    }

    /// [`Queue::get`] for the workers of a lane. `None` also for a lane that the queue does not have.
    pub async fn get_from(&self, lane: usize) -> Option<K> {
        let bell = self.shared.changed.get(lane)?;
        loop {
            // Registered before looking, so that an addition in between is not missed.
            let changed = bell.notified();
            let next_due = match self.take_next(lane) {
                Taken::Item(key) => return Some(key),
                Taken::Closed => return None,
                Taken::Empty { next_due } => next_due,
            };
            match next_due {
                Some(due) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Ends the processing of an item; if it was added meanwhile, it is queued again at once.
    pub fn done(&self, key: &K) {
        let (worked, again) = self.with(|state, now| state.done(key, now));
        if let (Some(metrics), Some(worked)) = (&self.shared.metrics, worked) {
            metrics.worked.observe(worked.as_secs_f64());
        }
        self.report_depth();
        self.report_unfinished();
        if again {
            self.wake();
        }
    }

    /// Accepts nothing any more; items already queued are still handed out.
    pub fn shutdown(&self) {
        self.with(|state, _| state.shutdown());
        self.shared.changed.iter().for_each(Notify::notify_waiters);
    }

    /// Whether the queue has been shut down.
    pub fn is_shut_down(&self) -> bool {
        self.with(|state, _| state.is_shut_down())
    }

    /// How many items wait to be processed now; delayed ones are not counted.
    pub fn len(&self) -> usize {
        self.with(|state, _| state.len())
    }

    /// How many of them wait in this lane.
    pub fn len_of(&self, lane: usize) -> usize {
        self.with(|state, _| state.len_of(lane))
    }

    /// Whether no item waits to be processed now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seconds of processing in progress, in sum and of the longest item. Sets the two gauges.
    pub fn report_unfinished(&self) {
        let Some(metrics) = &self.shared.metrics else { return };
        let (sum, longest) = self.with(|state, now| state.unfinished(now));
        metrics.unfinished.set(sum.as_secs_f64());
        metrics.longest.set(longest.as_secs_f64());
    }

    /// Whether the queue reports to metrics.
    pub fn has_metrics(&self) -> bool {
        self.shared.metrics.is_some()
    }

    fn take_next(&self, lane: usize) -> Taken<K> {
        let (taken, waited, more) = self.with(|state, now| {
            let (taken, waited) = state.take(lane, now);
            (taken, waited, state.len() > 0)
        });
        if let (Some(metrics), Some(waited)) = (&self.shared.metrics, waited) {
            metrics.queued.observe(waited.as_secs_f64());
        }
        self.report_depth();
        // One permit wakes one waiter; whoever takes an item passes the word on. An empty-handed one does not: those who wait
        // in other lanes were told when their items came.
        if more && matches!(taken, Taken::Item(_)) {
            self.wake();
        }
        taken
    }

    fn after_adding(&self, added: Added) {
        if added == Added::Nothing {
            return;
        }
        if let (Some(metrics), Added::Queued) = (&self.shared.metrics, added) {
            metrics.adds.inc();
        }
        self.report_depth();
        self.wake();
    }

    /// Wakes one waiter of each lane.
    fn wake(&self) {
        self.shared.changed.iter().for_each(Notify::notify_one);
    }

    fn report_depth(&self) {
        if let Some(metrics) = &self.shared.metrics {
            metrics.depth.set(i64::try_from(self.len()).unwrap_or(i64::MAX));
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut State<K>, Instant) -> R) -> R {
        change(&mut self.lock(), Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Key> fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// What [`State::take`] found.
enum Taken<K> {
    Item(K),
    Empty { next_due: Option<Instant> },
    Closed,
}

/// What an addition changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Added {
    /// The item waits for a worker (or for the worker that has it).
    Queued,
    /// The item waits in another lane now.
    Moved,
    /// The item waits for its time.
    Delayed,
    /// It was there already, or the queue is shut down.
    Nothing,
}

#[cfg(test)]
mod tests;
