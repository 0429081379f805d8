//! No hot loop: with a driver that always fails, what is called and written in a simulated hour stays under what the
//! back-off allows. The figures are printed.

use std::time::Duration;

use csi_client::csi::{ControllerExpandVolumeRequest, ControllerModifyVolumeRequest};
use serde_json::json;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, pass};

const HOUR: u64 = 3600;

/// Tries in an hour when each failure doubles the wait from one second to five minutes.
fn bound() -> usize {
    let (mut tries, mut at, mut wait) = (1, 0, 1);
    while at + wait <= HOUR {
        at += wait;
        wait = (wait * 2).min(300);
        tries += 1;
    }
    tries
}

/// Tries in an hour of what is infeasible: `lead_in` at first, then one per five minutes.
fn slow_bound(lead_in: usize) -> usize {
    lead_in + usize::try_from(HOUR / 300).unwrap()
}

struct Figures {
    calls: usize,
    writes: usize,
    events: usize,
}

async fn hour(setup: &Setup, calls: impl Fn(&Setup) -> usize) -> Figures {
    let _sidecar = setup.start(&[]);
    pass(HOUR).await;
    let all = setup.calls();
    Figures {
        calls: calls(setup),
        writes: setup.writes(),
        events: all.iter().filter(|call| call.contains(" events ")).count(),
    }
}

async fn expand(step: Step, what: &str, bound: usize, writes: usize) {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(step);
    setup.wanting("claim");
    let found = hour(&setup, |setup| setup.asked().len()).await;
    eprintln!(
        "expand, {what}: {} calls (at most {bound}), {} writes (at most {writes}), {} event writes",
        found.calls, found.writes, found.events
    );
    assert!(found.calls <= bound && found.calls + 2 >= bound.min(10), "{} calls", found.calls);
    assert!(found.writes <= writes, "{} writes: {}", found.writes, setup.story());
    assert!(found.events <= 2 * bound, "{} events", found.events);
}

#[tokio::test(start_paused = true)]
async fn an_expansion_that_always_fails() {
    for code in [Code::Internal, Code::Unimplemented, Code::FailedPrecondition] {
        expand(Step::fail(code, "no"), &format!("{code:?}"), bound(), 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_expansion_that_never_ends() {
    expand(Step::fail(Code::Aborted, "busy"), "Aborted", bound(), 1).await;
    // Upstream's own writes wake it up past its back-off when a call takes more than a second.
    expand(
        Step::Late(Duration::from_secs(9), Box::new(Step::fail(Code::Internal, "no"))),
        "late",
        bound(),
        2,
    )
    .await;
    let hang = Step::Late(Duration::from_secs(9), Box::new(Step::fail(Code::Unavailable, "no")));
    expand(hang, "late and open", bound(), 1).await;
}

#[tokio::test(start_paused = true)]
async fn an_infeasible_expansion() {
    for code in [Code::InvalidArgument, Code::OutOfRange, Code::NotFound] {
        expand(Step::fail(code, "no"), &format!("{code:?}"), slow_bound(2), 2).await;
    }
}

async fn modify(step: Step, what: &str, bound: usize, writes: usize) {
    let setup = crate::modify::setup();
    setup.driver.always::<ControllerModifyVolumeRequest>(step);
    setup.bound("claim", "1Gi", &json!({"spec": {"volumeAttributesClassName": "target-vac"}}), &json!({}));
    let found = hour(&setup, |setup| setup.modifications().len()).await;
    eprintln!(
        "modify, {what}: {} calls (at most {bound}), {} writes (at most {writes}), {} event writes",
        found.calls, found.writes, found.events
    );
    assert!(found.calls <= bound && found.calls + 2 >= bound.min(10), "{} calls", found.calls);
    assert!(found.writes <= writes, "{} writes: {}", found.writes, setup.story());
    assert!(found.events <= 2 * bound, "{} events", found.events);
}

#[tokio::test(start_paused = true)]
async fn a_modification_that_always_fails() {
    // The condition says in turn that it is in progress and that it has failed.
    modify(Step::fail(Code::Internal, "no"), "Internal", bound(), 2 * bound()).await;
    modify(Step::fail(Code::Aborted, "busy"), "Aborted", bound(), 2).await;
    let late = Step::Late(Duration::from_secs(9), Box::new(Step::fail(Code::Internal, "no")));
    modify(late, "late", bound(), 2 * bound()).await;
}

#[tokio::test(start_paused = true)]
async fn an_infeasible_modification() {
    modify(Step::fail(Code::InvalidArgument, "no"), "InvalidArgument", slow_bound(1), 2 * slow_bound(1))
        .await;
}

#[tokio::test(start_paused = true)]
async fn claims_that_want_nothing_cost_nothing() {
    let setup = Setup::new();
    for number in 0..20 {
        setup.bound(&format!("claim-{number}"), "1Gi", &json!({}), &json!({}));
    }
    let _sidecar = setup.start(&["--resync-period=1m"]);
    pass(HOUR).await;
    assert_eq!(
        setup.calls().iter().filter(|call| !call.starts_with("get ")).count(),
        0,
        "{:?}",
        setup.calls()
    );
}
