//! Acquiring, renewing and losing, as one elector sees it.

use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::server::{Fault, LeaseServer};
use super::{Competitor, Outcome, elector, foreign, seconds, start};
use crate::clock::Clock;
use crate::events::EventSink;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::shutdown::Shutdown;

#[tokio::test(start_paused = true)]
async fn acquire_creates_the_lease_and_renews_at_once_and_then_every_retry_period() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |config| {
        config.labels.insert("team".into(), "storage".into());
    });
    competitor.leads().await;
    sleep(seconds(11)).await;
    assert_eq!(server.summary(), ["0 GET", "0 POST", "0 PUT", "5 PUT", "10 PUT"], "no read between renewals");
    let calls = server.calls();
    assert_eq!(calls[0].path, "/apis/coordination.k8s.io/v1/namespaces/storage/leases/hostpath-csi-k8s-io");
    assert_eq!(calls[1].body["metadata"]["labels"], json!({"team": "storage"}));
    assert_eq!(
        calls[1].body["spec"],
        json!({
            "holderIdentity": "pod-0",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-21T05:00:00.000000Z",
            "renewTime": "2026-11-21T05:00:00.000000Z",
            "leaseTransitions": 0,
        })
    );
    assert_eq!(server.spec()["acquireTime"], "2026-11-21T05:00:00.000000Z", "kept by renewals");
    assert_eq!(server.spec()["renewTime"], "2026-11-21T05:00:10.000000Z");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_record_is_honoured_for_its_duration_from_when_it_was_first_seen() {
    // Whatever its times say: a clock far behind, far ahead, or no time at all.
    for renewed in [json!("2020-01-01T00:00:00.000000Z"), json!("2099-01-01T00:00:00.000000Z"), json!(null)] {
        let mut spec = foreign("other", "");
        spec["renewTime"] = renewed;
        let server = LeaseServer::with_spec(&spec);
        let began = Instant::now();
        let mut competitor = Competitor::start(&server, "pod-0", |_| {});
        let waited = competitor.leads().await - began;
        assert!((seconds(15)..seconds(26)).contains(&waited), "{waited:?}");
        assert_eq!(server.holder(), "pod-0");
        assert_eq!(server.spec()["leaseTransitions"], 5, "a new term");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_jump_neither_wins_nor_loses_a_lease() {
    let clock = Clock::simulated(start());
    let server = LeaseServer::with_spec(&foreign("other", "2026-11-21T05:00:00.000000Z"));
    let config = super::ElectionConfig::new("hostpath.csi.k8s.io", "storage", "pod-0");
    let elector = super::Elector::new(config, server.client(), clock.clone(), Random::seeded(1)).unwrap();
    let began = Instant::now();
    let mut competitor = Competitor::start_elector(elector);
    sleep(seconds(1)).await;
    clock.jump(jiff::SignedDuration::from_hours(24));
    let waited = competitor.leads().await - began;
    assert!(waited >= seconds(15), "not by jumping ahead: {waited:?}");
    clock.jump(jiff::SignedDuration::from_hours(-48));
    sleep(seconds(60)).await;
    assert!(competitor.is_leading(), "not by jumping back");
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_renews_is_never_taken_over() {
    let server = LeaseServer::with_spec(&foreign("other", "2026-11-21T05:00:00.000000Z"));
    let competitor = Competitor::start(&server, "pod-0", |_| {});
    for second in 1..=30 {
        sleep(seconds(10)).await;
        server.edit(|lease| {
            lease["spec"]["renewTime"] = format!("2026-11-21T05:00:{second:02}.000000Z").into();
        });
    }
    assert!(!competitor.is_leading());
    assert_eq!(&**competitor.leader.borrow(), "other");
    assert!(server.calls().iter().all(|call| call.method == Method::GET), "a candidate only reads");
    let gaps: Vec<_> = server.calls().windows(2).map(|pair| pair[1].at.abs_diff(pair[0].at)).collect();
    assert!(gaps.iter().all(|gap| (seconds(5)..=seconds(11)).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap != &gaps[0]), "the pause is jittered");
}

#[tokio::test(start_paused = true)]
async fn a_free_record_is_taken_at_once_and_the_rest_of_the_lease_stays() {
    let server = LeaseServer::with_spec(&foreign("", "2026-11-21T04:59:59.000000Z"));
    server.edit(|lease| {
        lease["metadata"]["labels"] = json!({"kept": "yes", "team": "old"});
        lease["metadata"]["annotations"] = json!({"note": "kept"});
        lease["spec"]["strategy"] = "OldestEmulationVersion".into();
        lease["spec"]["preferredHolder"] = "somebody".into();
    });
    let began = Instant::now();
    let mut competitor = Competitor::start(&server, "pod-0", |config| {
        config.labels.insert("team".into(), "storage".into());
    });
    assert_eq!(competitor.leads().await, began);
    let lease = server.lease();
    assert_eq!(lease["metadata"]["labels"], json!({"kept": "yes", "team": "storage"}));
    assert_eq!(lease["metadata"]["annotations"], json!({"note": "kept"}));
    assert_eq!(lease["spec"]["leaseTransitions"], 5);
    assert_eq!(lease["spec"]["acquireTime"], "2026-11-21T05:00:00.000000Z");
    assert_eq!(lease["spec"].get("strategy"), None, "the whole spec is replaced");
    assert_eq!(lease["spec"].get("preferredHolder"), None);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_holder_goes_on_with_its_term_at_once() {
    let server = LeaseServer::with_spec(&foreign("pod-0", "2026-11-21T04:59:59.000000Z"));
    let metrics = Metrics::new();
    let elector = elector(&server, "pod-0", |_| {}).with_metrics(metrics.leader().clone());
    assert!(metrics.text().contains("leader_election_master_status{name=\"\"} 0\n"), "standing by");
    let began = Instant::now();
    let mut competitor = Competitor::start_elector(elector);
    assert_eq!(competitor.leads().await, began);
    assert_eq!(server.spec()["leaseTransitions"], 4);
    assert_eq!(server.spec()["acquireTime"], "2026-11-20T00:00:00.000000Z");
    let text = metrics.text();
    assert!(text.contains("leader_election_slowpath_total{name=\"\"} 1\n"), "{text}");
    assert!(text.contains("leader_election_master_status{name=\"\"} 1\n"), "{text}");
    assert!(text.contains("leader_election_master_status{name=\"hostpath-csi-k8s-io\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_falls_back_to_reading_and_writing() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    sleep(seconds(1)).await;
    server.edit(|lease| lease["metadata"]["labels"] = json!({"by": "somebody"}));
    sleep(seconds(5)).await;
    assert_eq!(server.summary()[3..], ["5 PUT", "5 GET", "5 PUT"]);
    assert!(competitor.is_leading());
    assert_eq!(server.lease()["metadata"]["labels"], json!({"by": "somebody"}));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_anew_by_its_leader() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    sleep(seconds(1)).await;
    server.delete();
    sleep(seconds(5)).await;
    assert_eq!(server.holder(), "pod-0");
    assert!(competitor.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_is_lost_before_others_may_lead() {
    for fault in [Fault::Refuse(500), Fault::BreakBefore, Fault::Hang] {
        let server = LeaseServer::new();
        let mut competitor = Competitor::start(&server, "pod-0", |_| {});
        competitor.leads().await;
        sleep(seconds(1)).await;
        let renewed = Instant::now() - seconds(1);
        server.set_faults(move |_| fault);
        assert_eq!(competitor.task.await.unwrap(), Outcome::Lost);
        let led_on = Instant::now() - renewed;
        assert!((seconds(10)..seconds(15)).contains(&led_on), "{fault:?}: {led_on:?} after the last renewal");
        assert_eq!(server.holder(), "pod-0", "a lost lease is not released");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_hanging_call_does_not_cost_the_lease() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    sleep(seconds(1)).await;
    let mut first = true;
    server.set_faults(move |_| if std::mem::take(&mut first) { Fault::Hang } else { Fault::None });
    sleep(seconds(60)).await;
    assert!(competitor.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_sees_another_holder_stops_at_once() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    sleep(seconds(1)).await;
    let began = Instant::now();
    server.edit(|lease| lease["spec"]["holderIdentity"] = "other".into());
    assert_eq!(competitor.task.await.unwrap(), Outcome::Lost);
    assert_eq!(Instant::now() - began, seconds(4), "at the next renewal");
    assert_eq!(server.holder(), "other");
}

#[tokio::test(start_paused = true)]
async fn what_forbids_reading_the_lease_is_tried_again_until_it_is_allowed() {
    let server = LeaseServer::new();
    let mut calls = 0;
    server.set_faults(move |_| {
        calls += 1;
        if calls <= 3 { Fault::Refuse(403) } else { Fault::None }
    });
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    assert_eq!(server.holder(), "pod-0");
}

#[tokio::test(start_paused = true)]
async fn health_fails_only_for_a_leader_that_is_stuck() {
    let server = LeaseServer::new();
    let elector = elector(&server, "pod-0", |_| {});
    let health = elector.health();
    assert_eq!(health.check(), Ok(()), "before anything was seen");
    let mut competitor = Competitor::start_elector(elector);
    competitor.leads().await;
    sleep(seconds(101)).await;
    assert_eq!(health.check(), Ok(()));
    // Stuck: the loop does not run any more, and the record is still ours.
    competitor.task.abort();
    sleep(seconds(33)).await;
    assert_eq!(health.check(), Ok(()));
    sleep(seconds(2)).await;
    let text = health.check().unwrap_err().to_string();
    assert_eq!(text, "failed election to renew leadership on lease ");
}

#[tokio::test(start_paused = true)]
async fn changes_are_reported_as_events_on_the_lease() {
    let server = LeaseServer::new();
    let dropped = Metrics::new().dropped_events().clone();
    let (sink, writer) = EventSink::new(Clock::simulated(start()), Random::seeded(1), dropped);
    let writing = tokio::spawn(writer.run(server.client(), Shutdown::default()));
    let elector = elector(&server, "pod-0", |_| {});
    let component = "hostpath.csi.k8s.io/pod-0";
    let mut competitor = Competitor::start_elector(elector.with_events(sink.recorder(component)));
    competitor.leads().await;
    assert_eq!(competitor.stop().await, Outcome::Stopped(Some(())));
    sink.flush(seconds(1)).await;
    drop(sink);
    writing.await.unwrap();
    let events: Vec<_> = server.calls().into_iter().filter(|call| call.path.ends_with("/events")).collect();
    assert_eq!(events[0].path, "/api/v1/namespaces/storage/events");
    let messages: Vec<_> = events.iter().map(|event| event.body["message"].clone()).collect();
    assert_eq!(messages, ["pod-0 became leader", "pod-0 stopped leading"]);
    for event in events.iter().map(|event| &event.body) {
        assert_eq!((&event["type"], &event["reason"]), (&json!("Normal"), &json!("LeaderElection")));
        assert_eq!(event["source"]["component"], component);
        assert_eq!(event["involvedObject"]["kind"], "Lease");
        assert_eq!(event["involvedObject"]["apiVersion"], "coordination.k8s.io/v1");
        assert_eq!(event["involvedObject"]["uid"], "f3b0");
    }
}

/// Two pods on one host's network have the same name.
#[tokio::test(start_paused = true)]
async fn a_leader_stops_when_another_process_writes_the_lease_in_its_name() {
    let server = LeaseServer::new();
    let mut first = Competitor::start(&server, "pod-0", |_| {});
    let began = first.leads().await;
    sleep(seconds(12)).await;
    // It takes the record over at once, as a restarted process does.
    let mut second = Competitor::start(&server, "pod-0", |_| {});
    second.leads().await;
    let ended = tokio::time::timeout(seconds(60), first.task).await.expect("the first gives up");
    assert_eq!(ended.unwrap(), Outcome::Lost);
    assert!(began.elapsed() <= seconds(12 + 6), "at its next renewal: {:?}", began.elapsed());
    sleep(seconds(60)).await;
    assert!(second.is_leading(), "who came last goes on");
}

#[tokio::test(start_paused = true)]
async fn a_leader_knows_its_own_record_again_although_it_never_heard_of_it() {
    let server = LeaseServer::new();
    let mut competitor = Competitor::start(&server, "pod-0", |_| {});
    competitor.leads().await;
    // Written, but the answer is lost; and then the rest of the Lease is changed by somebody.
    let mut broken = false;
    server.set_faults(move |method| {
        let breaks = *method == Method::PUT && !std::mem::replace(&mut broken, true);
        if breaks { Fault::BreakAfter } else { Fault::None }
    });
    sleep(seconds(6)).await;
    server.edit(|lease| lease["metadata"]["annotations"] = json!({"by": "somebody"}));
    sleep(seconds(60)).await;
    assert!(competitor.is_leading());
    assert_eq!(competitor.stop().await, Outcome::Stopped(Some(())));
}
