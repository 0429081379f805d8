//! Behaviours of client-go's work queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn queue() -> Queue<&'static str> {
    Queue::new(SECOND, SECOND * 300)
}

/// Takes an item that must be there at once.
async fn take(queue: &Queue<&'static str>) -> &'static str {
    tokio::time::timeout(Duration::ZERO, queue.get()).await.expect("an item is waiting").expect("open")
}

async fn assert_nothing_waits(queue: &Queue<&'static str>) {
    assert!(tokio::time::timeout(Duration::from_millis(1), queue.get()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_item_is_queued_once_and_in_order() {
    let queue = queue();
    for key in ["a", "b", "a", "c", "b"] {
        queue.add(key);
    }
    assert_eq!(queue.len(), 3);
    assert_eq!([take(&queue).await, take(&queue).await, take(&queue).await], ["a", "b", "c"]);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_item_in_progress_is_not_handed_out_again_but_runs_again_afterwards() {
    let queue = queue();
    queue.add("a");
    assert_eq!(take(&queue).await, "a");
    queue.add("a");
    queue.add("a");
    assert_nothing_waits(&queue).await;
    queue.done(&"a");
    assert_eq!(take(&queue).await, "a");
    queue.done(&"a");
    assert_nothing_waits(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn delayed_additions_keep_the_earliest_time() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after("a", SECOND * 10);
    queue.add_after("a", SECOND * 3);
    queue.add_after("a", SECOND * 20);
    assert_eq!(queue.get().await, Some("a"));
    assert_eq!(start.elapsed(), SECOND * 3);
    queue.done(&"a");
    assert_nothing_waits(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_addition_fires_even_if_the_item_was_processed_meanwhile() {
    let queue = queue();
    queue.add_after("a", SECOND * 5);
    queue.add("a");
    assert_eq!(take(&queue).await, "a");
    queue.done(&"a");
    let start = Instant::now();
    assert_eq!(queue.get().await, Some("a"));
    assert_eq!(start.elapsed(), SECOND * 5);
}

#[tokio::test(start_paused = true)]
async fn what_became_due_first_stands_in_front() {
    let queue = queue();
    queue.add_after("late", SECOND * 2);
    queue.add_after("early", SECOND);
    tokio::time::advance(SECOND * 3).await;
    queue.add("now");
    assert_eq!([take(&queue).await, take(&queue).await, take(&queue).await], ["early", "late", "now"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_due_while_in_progress_runs_once_more() {
    let queue = queue();
    queue.add("a");
    take(&queue).await;
    queue.add_after("a", SECOND);
    tokio::time::advance(SECOND * 2).await;
    queue.done(&"a");
    assert_eq!(take(&queue).await, "a");
    queue.done(&"a");
    assert_nothing_waits(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_doubles_per_item_up_to_the_cap_and_is_forgotten() {
    let queue = queue();
    let mut delays = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        queue.add_rate_limited("a");
        assert_eq!(queue.get().await, Some("a"));
        delays.push(start.elapsed().as_secs());
        queue.done(&"a");
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    assert_eq!((queue.failures(&"a"), queue.failures(&"b")), (10, 0));
    queue.forget(&"a");
    let start = Instant::now();
    queue.add_rate_limited("a");
    queue.get().await;
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn adding_bypasses_a_pending_backoff() {
    let queue = queue();
    queue.add_rate_limited("a");
    queue.add("a");
    assert_eq!(take(&queue).await, "a");
}

#[test]
fn huge_failure_counts_stay_at_the_cap() {
    let backoff = Backoff::exponential(SECOND, SECOND * 300);
    assert!([31, 32, 33, 64, u32::MAX].iter().all(|n| backoff.delay(*n) == SECOND * 300));
    let from_zero = Backoff::exponential(Duration::ZERO, SECOND);
    assert_eq!(from_zero.delay(5), Duration::ZERO);
}

/// The first waits stay, the others are spread downwards, and the same seed spreads them alike.
#[tokio::test(start_paused = true)]
async fn jitter_makes_later_waits_shorter_and_never_longer() {
    let waits = async |part: f64, seed: u64| {
        let backoff = Backoff::exponential(SECOND, SECOND * 300)
            .with_jitter(part, &crate::random::Random::seeded(seed));
        let queue = Queue::with_backoff(backoff);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let start = Instant::now();
            queue.add_rate_limited("a");
            queue.get().await;
            waits.push(start.elapsed());
            queue.done(&"a");
        }
        waits
    };
    let plain = waits(0.0, 1).await;
    assert_eq!(plain[11], SECOND * 300);
    let spread = waits(0.5, 1).await;
    assert_eq!(plain[..3], spread[..3]);
    // A timer is a millisecond late at most.
    let late = std::time::Duration::from_millis(1);
    for (plain, spread) in plain[3..].iter().zip(&spread[3..]) {
        assert!(*spread <= *plain + late && *spread >= *plain / 2, "{spread:?} instead of {plain:?}");
    }
    assert!(plain[3..].iter().zip(&spread[3..]).all(|(plain, spread)| spread < plain));
    assert_eq!(waits(0.5, 1).await, spread);
    assert_ne!(waits(0.5, 2).await, spread);
}

#[tokio::test(start_paused = true)]
async fn shutdown_drains_what_is_queued_and_drops_what_is_delayed() {
    let queue = queue();
    queue.add("a");
    queue.add("b");
    queue.add_after("c", SECOND);
    assert_eq!(take(&queue).await, "a");
    queue.add("a");
    queue.shutdown();
    queue.add("d");
    assert_eq!(take(&queue).await, "b");
    queue.done(&"a");
    assert_eq!(queue.get().await, Some("a"), "added again before the shutdown");
    assert_eq!(queue.get().await, None);
    assert_eq!(queue.get().await, None);
}

#[tokio::test(start_paused = true)]
async fn all_waiters_learn_of_a_shutdown() {
    let queue = queue();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let queue = queue.clone();
                async move { queue.get().await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.shutdown();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn every_waiter_gets_an_item_of_a_burst() {
    let queue = queue();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let queue = queue.clone();
                async move { queue.get().await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for key in ["a", "b", "c"] {
        queue.add(key);
    }
    let mut got = Vec::new();
    for waiter in waiters {
        got.push(waiter.await.unwrap().unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn the_bucket_of_the_default_limit_spreads_a_flood() {
    let queue = Queue::with_backoff(Backoff::controller_default());
    let start = Instant::now();
    for n in 0..120 {
        queue.add_rate_limited(n);
    }
    for _ in 0..120 {
        let key = queue.get().await.unwrap();
        queue.done(&key);
    }
    assert_eq!(start.elapsed(), SECOND * 2, "a burst of 100, then ten a second");
}

#[tokio::test(start_paused = true)]
async fn metrics_follow_the_queue() {
    let metrics = crate::metrics::Metrics::new();
    let series = metrics.workqueues().queue("claims");
    let queue = Queue::with_metrics(Backoff::exponential(SECOND, SECOND * 300), series.clone());
    queue.add("a");
    queue.add("a");
    queue.add("b");
    assert_eq!((series.adds.get(), series.depth.get()), (2, 2));
    tokio::time::advance(SECOND * 2).await;
    take(&queue).await;
    assert_eq!((series.depth.get(), series.queued.get_sample_count()), (1, 1));
    assert!((series.queued.get_sample_sum() - 2.0).abs() < 1e-9);
    tokio::time::advance(SECOND * 3).await;
    queue.report_unfinished();
    assert!((series.unfinished.get() - 3.0).abs() < 1e-9 && (series.longest.get() - 3.0).abs() < 1e-9);
    queue.add_rate_limited("a");
    queue.done(&"a");
    assert_eq!((series.retries.get(), series.worked.get_sample_count()), (1, 1));
    assert!(series.unfinished.get().abs() < 1e-9);
}

/// Even numbers wait in lane 0, odd ones in lane 1, unless `turned`.
fn laned(turned: &Arc<AtomicUsize>) -> Queue<usize> {
    let series = crate::metrics::Metrics::new().workqueues().queue("laned");
    let turned = turned.clone();
    Queue::with_lanes(Backoff::exponential(SECOND, SECOND * 300), series, 2, move |key| {
        (*key + turned.load(Ordering::SeqCst)) % 2
    })
}

#[tokio::test(start_paused = true)]
async fn lanes_do_not_wait_for_each_other() {
    let queue = laned(&Arc::default());
    for key in [0, 2, 4, 1] {
        queue.add(key);
    }
    assert_eq!((queue.len(), queue.len_of(0), queue.len_of(1)), (4, 3, 1));
    assert_eq!(queue.get_from(1).await, Some(1));
    queue.add(1);
    assert_eq!(queue.len(), 3, "an item in progress does not wait");
    queue.done(&1);
    assert_eq!((queue.get_from(0).await, queue.get_from(1).await), (Some(0), Some(1)));
    queue.shutdown();
    assert_eq!((queue.get_from(0).await, queue.get_from(0).await), (Some(2), Some(4)));
    assert_eq!(
        (queue.get_from(0).await, queue.get_from(1).await, queue.get_from(7).await),
        (None, None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_that_waits_moves_with_its_next_addition() {
    let turned = Arc::default();
    let queue = laned(&turned);
    queue.add(0);
    turned.store(1, Ordering::SeqCst);
    queue.add(0);
    assert_eq!((queue.len_of(0), queue.len_of(1)), (0, 1));
    turned.store(0, Ordering::SeqCst);
    queue.add(0);
    assert_eq!((queue.len_of(0), queue.len_of(1)), (1, 0));
    assert_eq!(queue.get_from(0).await, Some(0));
    queue.done(&0);
    queue.shutdown();
    assert_eq!((queue.get_from(0).await, queue.get_from(1).await), (None, None), "it was there once");
}

#[tokio::test(start_paused = true)]
async fn a_delayed_item_wakes_the_lane_that_it_belongs_to_when_it_is_due() {
    let turned = Arc::default();
    let queue = laned(&turned);
    queue.add_rate_limited(0);
    let waiter = tokio::spawn({
        let queue = queue.clone();
        async move { queue.get_from(1).await }
    });
    let other = tokio::spawn({
        let queue = queue.clone();
        async move { queue.get_from(0).await }
    });
    tokio::task::yield_now().await;
    turned.store(1, Ordering::SeqCst);
    assert_eq!(waiter.await.unwrap(), Some(0));
    queue.shutdown();
    assert_eq!(other.await.unwrap(), None);
}
