//! From keys to work: takes items off a [`Queue`], runs the controller's function on them, and puts them back as the
//! outcome says.
//!
//! Upstream keeps a hundred goroutines waiting. Here one loop waits, and a task exists only while an item is worked on. A
//! reconcile never sleeps: what should happen later is an [`Outcome`].

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::queue::{Key, Queue};

/// What is to be done with an item after its reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well: its failures are forgotten.
    Done,
    /// Nothing to do, but its failures stay counted.
    Drop,
    /// Failed, with this text: tried again after its back-off.
    RetryBackoff(String),
    /// To be looked at again after this time; its failures stay as they are.
    RequeueAfter(Duration),
    /// To be looked at again after this time; its failures are forgotten.
    DoneUntil(Duration),
}

/// How often the gauges of work in progress are refreshed, as in client-go.
const GAUGE_PERIOD: Duration = Duration::from_millis(500);

/// Works on the items of `queue`, at most `workers` at a time, until the queue has been shut down and emptied and the
/// last item is finished. Dropping the future aborts what is in progress.
///
/// `report` is told of every [`Outcome::RetryBackoff`], for the log line of the controller.
pub async fn run<K, F, R>(
    queue: Queue<K>,
    workers: usize,
    reconcile: F,
    report: impl Fn(&K, &str) + Send + Sync,
) where
    K: Key,
    F: Fn(K) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    run_lane(queue, 0, workers, reconcile, report).await;
}

/// [`run`] for the items of one lane. Each lane of a queue needs workers.
pub async fn run_lane<K, F, R>(
    queue: Queue<K>,
    lane: usize,
    workers: usize,
    reconcile: F,
    report: impl Fn(&K, &str) + Send + Sync,
) where
    K: Key,
    F: Fn(K) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    let workers = workers.max(1);
    let mut running: JoinSet<(K, Outcome)> = JoinSet::new();
    let mut open = true;
    let mut next_gauges = Instant::now() + GAUGE_PERIOD;
    while open || !running.is_empty() {
        tokio::select! {
            biased;
            Some(finished) = running.join_next(), if !running.is_empty() => finish(&queue, finished, &report),
            next = queue.get_from(lane), if open && running.len() < workers => match next {
                Some(key) => start(&mut running, key, &reconcile),
                None => open = false,
            },
            () = sleep_until(next_gauges), if queue.has_metrics() && !running.is_empty() => {
                queue.report_unfinished();
                next_gauges = Instant::now() + GAUGE_PERIOD;
            }
        }
    }
}

fn start<K: Key, R: Future<Output = Outcome> + Send + 'static>(
    running: &mut JoinSet<(K, Outcome)>,
    key: K,
    reconcile: &impl Fn(K) -> R,
) {
    let work = reconcile(key.clone());
    running.spawn(async move {
        let outcome = work.await;
        (key, outcome)
    });
}

fn finish<K: Key>(
    queue: &Queue<K>,
    finished: Result<(K, Outcome), tokio::task::JoinError>,
    report: &impl Fn(&K, &str),
) {
    match finished {
        Ok((key, outcome)) => {
            if let Outcome::RetryBackoff(text) = &outcome {
                report(&key, text);
            }
            settle(queue, &key, &outcome);
        }
        // A panic aborts the release binary; where it unwinds (tests, the all-in-one), it must not be swallowed.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => {}
    }
}

/// Applies an outcome and ends the processing of the item.
pub fn settle<K: Key>(queue: &Queue<K>, key: &K, outcome: &Outcome) {
    match outcome {
        Outcome::Done => queue.forget(key),
        Outcome::Drop => {}
        Outcome::RetryBackoff(_) => queue.add_rate_limited(key.clone()),
        Outcome::RequeueAfter(delay) => queue.add_after(key.clone(), *delay),
        Outcome::DoneUntil(delay) => {
            queue.forget(key);
            queue.add_after(key.clone(), *delay);
        }
    }
    queue.done(key);
}

impl Outcome {
    /// A failure with the text of an error.
    pub fn retry(error: impl fmt::Display) -> Self {
        Self::RetryBackoff(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn never_more_items_in_progress_than_workers() {
        let queue = Queue::new(SECOND, SECOND * 300);
        (0..20).for_each(|n| queue.add(n));
        queue.shutdown();
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |_| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(SECOND).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Outcome::Done
            }
        };
        let start = Instant::now();
        run(queue, 4, work, |_, _| {}).await;
        assert_eq!((most.load(Ordering::SeqCst), start.elapsed()), (4, SECOND * 5));
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_decide_when_an_item_comes_back() {
        let queue = Queue::new(SECOND, SECOND * 300);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now();
        queue.add("item");
        let reports = Mutex::new(Vec::new());
        let work = |key: &'static str| {
            let (queue, seen) = (queue.clone(), seen.clone());
            async move {
                let mut seen = seen.lock().unwrap();
                seen.push((start.elapsed().as_secs(), queue.failures(&key)));
                match seen.len() {
                    1 | 2 => Outcome::retry("no luck"),
                    3 => Outcome::RequeueAfter(SECOND * 10),
                    4 => Outcome::DoneUntil(SECOND * 7),
                    5 => {
                        queue.shutdown();
                        Outcome::Done
                    }
                    _ => unreachable!(),
                }
            }
        };
        run(queue.clone(), 1, work, |key, text| reports.lock().unwrap().push(format!("{key}: {text}"))).await;
        assert_eq!(*seen.lock().unwrap(), [(0, 0), (1, 1), (3, 2), (13, 2), (20, 0)]);
        assert_eq!(*reports.lock().unwrap(), ["item: no luck", "item: no luck"]);
    }
}
