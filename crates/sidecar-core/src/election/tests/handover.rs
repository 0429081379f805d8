//! Letting go: on request, with work in flight, and to the next one.

use tokio::time::{Instant, sleep};

use super::server::{Fault, LeaseServer};
use super::{Competitor, Outcome, elector, foreign, seconds};
use crate::election::lead;
use crate::shutdown::{Reason, Shutdown};

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_empty_and_goes_to_the_next_candidate_at_its_next_try() {
    let server = LeaseServer::new();
    let mut first = Competitor::start(&server, "pod-0", |config| config.release_on_exit = true);
    first.leads().await;
    let mut second = Competitor::start(&server, "pod-1", |_| {});
    sleep(seconds(42)).await;
    let began = Instant::now();
    assert_eq!(first.stop().await, Outcome::Stopped(Some(())));
    assert_eq!(Instant::now(), began, "nothing to wait for");
    let spec = server.spec();
    assert_eq!(spec["holderIdentity"], "");
    assert_eq!(spec["leaseDurationSeconds"], 1);
    assert_eq!(spec["leaseTransitions"], 0, "unchanged");
    assert_eq!(spec["renewTime"], "2026-11-21T05:00:42.000000Z");
    assert_eq!(spec["acquireTime"], spec["renewTime"]);
    let waited = second.leads().await - began;
    assert!(waited <= seconds(11), "{waited:?}");
    assert_eq!(server.spec()["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_gate_the_lease_is_left_to_expire() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    assert_eq!(competitor.stop().await, Outcome::Stopped(Some(())));
    assert_eq!(server.holder(), "pod-0");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_takes_effect_in_the_middle_of_the_release_does_not_keep_the_lease() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |config| config.release_on_exit = true);
    competitor.leads().await;
    // The renewal after 5 s is obeyed 2 s later, after the release has read the Lease and before it writes it.
    let mut renewals = 0;
    server.set_faults(move |method| match *method {
        http::Method::PUT if renewals == 0 => {
            renewals += 1;
            Fault::HangAfter(seconds(2))
        }
        http::Method::GET => Fault::Slow(seconds(0), seconds(1)),
        _ => Fault::None,
    });
    sleep(seconds(6) + seconds(1) / 2).await;
    assert_eq!(competitor.stop().await, Outcome::Stopped(Some(())));
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_has_passed_to_another_is_not_released() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |config| config.release_on_exit = true);
    competitor.leads().await;
    sleep(seconds(1)).await;
    server.edit(|lease| lease["spec"]["holderIdentity"] = "other".into());
    competitor.stop().await;
    assert_eq!(server.holder(), "other");
}

#[tokio::test(start_paused = true)]
async fn a_standby_exits_at_once_on_the_first_request_to_stop() {
    for fault in [Fault::None, Fault::Hang] {
        let server = LeaseServer::with_spec(&foreign("other", "2026-11-21T05:00:00.000000Z"));
        server.set_faults(move |_| fault);
        let competitor = Competitor::start(&server, "pod-0", |config| config.release_on_exit = true);
        sleep(seconds(3)).await;
        let began = Instant::now();
        assert_eq!(competitor.stop().await, Outcome::StoodBy);
        assert_eq!(Instant::now(), began);
        assert_eq!(server.holder(), "other");
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_stopped_while_its_write_is_under_way_does_not_leave_the_lease_behind() {
    let server = LeaseServer::with_spec(&foreign("", "2026-11-21T05:00:00.000000Z"));
    server.set_faults(|method| match *method {
        http::Method::PUT => Fault::Slow(seconds(0), seconds(2)),
        _ => Fault::None,
    });
    let competitor = Competitor::start(&server, "pod-0", |config| config.release_on_exit = true);
    sleep(seconds(1)).await;
    assert_eq!(server.holder(), "pod-0", "obeyed, but not answered yet");
    server.set_faults(|_| Fault::None);
    assert_eq!(competitor.stop().await, Outcome::StoodBy);
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn work_in_flight_is_finished_under_the_lease_before_it_is_released() {
    let server = LeaseServer::new();
    let shutdown = Shutdown::new(seconds(20));
    let elector = elector(&server, "pod-0", |config| config.release_on_exit = true);
    let stop = shutdown.clone();
    let held = server.clone();
    let outcome = elector
        .run(&shutdown, async |token| {
            stop.request(Reason::Terminate);
            token.cancelled().await;
            sleep(seconds(14)).await;
            held.holder()
        })
        .await;
    assert_eq!(outcome, Outcome::Stopped(Some("pod-0".to_owned())));
    assert_eq!(
        server.summary()[..5],
        ["0 GET", "0 POST", "0 PUT", "5 PUT", "10 PUT"],
        "renewed all the time"
    );
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn work_that_outlasts_the_grace_period_is_dropped_and_the_lease_left_to_expire() {
    let server = LeaseServer::new();
    let shutdown = Shutdown::new(seconds(20));
    let elector = elector(&server, "pod-0", |config| config.release_on_exit = true);
    let stop = shutdown.clone();
    let began = Instant::now();
    let outcome = elector
        .run(&shutdown, async |_| {
            stop.request(Reason::Terminate);
            std::future::pending::<()>().await;
        })
        .await;
    assert_eq!(outcome, Outcome::Stopped(None));
    assert_eq!(Instant::now() - began, seconds(15), "the rest of the grace period is for what comes after");
    assert_eq!(server.holder(), "pod-0", "what was cut short may still be running in the driver");
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_by_itself_ends_the_election() {
    let server = LeaseServer::new();
    let elector = elector(&server, "pod-0", |config| config.release_on_exit = true);
    let outcome = elector.run(&Shutdown::default(), async |_| "lost the driver").await;
    assert_eq!(outcome, Outcome::Finished("lost the driver"));
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_lost_leader_see_their_token_cancelled() {
    let server = LeaseServer::new();
    let elector = elector(&server, "pod-0", |_| {});
    let (tell, told) = tokio::sync::oneshot::channel();
    let failing = server.clone();
    let outcome = elector
        .run(&Shutdown::default(), async |token| {
            tokio::spawn(async move {
                token.cancelled().await;
                tell.send(Instant::now()).unwrap();
            });
            failing.set_faults(|_| Fault::Refuse(503));
            std::future::pending::<()>().await;
        })
        .await;
    assert_eq!(outcome, Outcome::Lost);
    assert_eq!(told.await.unwrap(), Instant::now());
}

#[tokio::test(start_paused = true)]
async fn without_an_election_the_work_starts_at_once_and_stops_as_under_one() {
    let shutdown = Shutdown::new(seconds(20));
    let stop = shutdown.clone();
    let outcome = lead(None, &shutdown, async |token| {
        stop.request(Reason::Interrupt);
        token.cancelled().await;
        "done"
    });
    assert_eq!(outcome.await, Outcome::Stopped(Some("done")));
    let outcome = lead(None, &shutdown, async |_| std::future::pending::<()>().await);
    assert_eq!(outcome.await, Outcome::Stopped(None));
    assert_eq!(lead(None, &Shutdown::default(), async |_| 7).await, Outcome::Finished(7));
}
