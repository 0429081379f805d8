//! Sheet 13.11, `--retry-interval-jitter`. Without it `hot_loop.rs` counts the tries exactly.

use std::sync::{Arc, Mutex};

use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;
use tonic::Code;

use crate::setup::{Setup, pass};

/// Seconds between the tries of an attachment that always fails, over an hour.
async fn gaps(argument: &str) -> Vec<f64> {
    let setup = Setup::new();
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = tries.clone();
    setup.driver.plan(move |method, _| {
        if !method.ends_with("ControllerPublishVolume") {
            return Step::Normal;
        }
        noted.lock().unwrap().push(Instant::now());
        Step::fail(Code::Internal, "never")
    });
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&["--resync=0", argument]);
    pass(3600).await;
    let tries = tries.lock().unwrap();
    tries.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
}

/// The whole schedule, with what a try itself takes.
fn exact() -> impl Iterator<Item = f64> {
    (0..9).map(|step| f64::from(1 << step)).chain(std::iter::repeat(300.0))
}

fn is(gap: f64, expected: f64) -> bool {
    (gap - expected).abs() < 0.1
}

#[tokio::test(start_paused = true)]
async fn by_default_the_schedule_is_exact() {
    let gaps = gaps("--retry-interval-jitter=0").await;
    assert!(gaps.iter().zip(exact()).all(|(gap, expected)| is(*gap, expected)), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_delays_above_the_first_steps() {
    let gaps = gaps("--retry-interval-jitter=0.5").await;
    assert!(gaps.iter().zip(exact()).take(3).all(|(gap, expected)| is(*gap, expected)), "{gaps:?}");
    let mut above = gaps.iter().zip(exact()).skip(3);
    assert!(above.all(|(gap, expected)| *gap < expected + 0.1 && *gap > expected / 2.0 - 0.1), "{gaps:?}");
    assert!(gaps.len() > 15 && gaps.windows(2).skip(9).all(|pair| !is(pair[0], pair[1])), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn jitter_is_a_part_of_the_wait() {
    for argument in
        ["--retry-interval-jitter=70", "--retry-interval-jitter=-1", "--retry-interval-jitter=NaN"]
    {
        let exit = Setup::new().start(&[argument]).end().await.unwrap_err();
        assert_eq!(exit.code, 1, "{argument}");
        assert!(exit.message.contains("from 0 to 1"), "{exit}");
    }
}
