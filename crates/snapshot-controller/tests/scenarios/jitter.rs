//! Retries of many snapshots that failed together (13.17): upstream's schedule unless jitter is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::setup::{Setup, VS};

const SNAPSHOTS: usize = 8;

/// In how many different seconds of half an hour contents are tried to be made, once each has been tried four times.
async fn moments(arguments: &[&str]) -> usize {
    let setup = Setup::new();
    setup.claim("claim");
    setup.refuse("create", "volumesnapshotcontents", "no");
    let _controller = setup.start(arguments);
    for number in 0..SNAPSHOTS {
        setup.snapshot(&format!("snap-{number}"), "claim", &json!({}));
    }
    let tries = || setup.server.count("create", "volumesnapshotcontents");
    setup.until("each has been tried four times", || tries() >= 4 * SNAPSHOTS).await;
    let (start, mut before, mut moments) = (Instant::now(), tries(), BTreeSet::new());
    while start.elapsed() < Duration::from_secs(1800) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if tries() > before {
            before = tries();
            moments.insert(start.elapsed().as_secs());
        }
    }
    assert_eq!(setup.server.list(VS).len(), SNAPSHOTS);
    moments.len()
}

#[tokio::test(start_paused = true)]
async fn what_failed_together_is_tried_together_unless_jitter_is_asked_for() {
    let together = moments(&[]).await;
    // 8, 16, 32, 64, 128, 256 seconds, then 300 each; now and then the seconds turn in between.
    assert!(together <= 24, "{together} moments");
    let spread = moments(&["--retry-interval-jitter=0.5"]).await;
    assert!(spread > 2 * together, "{spread} moments instead of {together}");
}

#[tokio::test(start_paused = true)]
async fn jitter_is_a_part_of_the_wait() {
    for value in ["1.5", "-0.1"] {
        let setup = Setup::new();
        let end = setup.start(&[&format!("--retry-interval-jitter={value}")]).end().await;
        assert_eq!(end.expect_err("that makes no sense").code, 1);
    }
}
