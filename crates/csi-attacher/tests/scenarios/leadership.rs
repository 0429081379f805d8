//! Leader election and the end: one works at a time, what is in flight is finished, a standby goes at once (sheet 3,
//! 13.13).

use std::time::Duration;

use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;

use crate::setup::{DRIVER, Setup, VA, detaching, is_attached, pass};

const ELECT: &str = "--leader-election";
const RELEASE: &str = "--feature-gates=ReleaseLeaderElectionOnExit=true";
const LEASE: &str = "external-attacher-leader-csi-test";

fn holder(setup: &Setup) -> String {
    let lease = setup.server.get("Lease", "default", LEASE).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_works_and_the_other_takes_over() {
    let setup = Setup::new();
    let first = setup.start_as("host-1", &[ELECT]);
    setup.until("host-1 leads", || holder(&setup) == "host-1").await;
    let second = setup.start_as("host-2", &[ELECT]);
    let one = setup.pair(1, "node1");
    setup.until("attached", || is_attached(&setup.get_va(&one))).await;
    drop(first);
    let two = setup.pair(2, "node1");
    setup.until("attached", || is_attached(&setup.get_va(&two))).await;
    assert_eq!((holder(&setup), setup.published().len()), ("host-2".into(), 2));
    assert!(second.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_standby_ends_at_once() {
    let setup = Setup::new();
    let _leader = setup.start_as("host-1", &[ELECT]);
    setup.until("host-1 leads", || holder(&setup) == "host-1").await;
    for (gate, code) in [(None, None), (Some(RELEASE), Some(1))] {
        let arguments: Vec<&str> = [ELECT].into_iter().chain(gate).collect();
        let standby = setup.start_as("host-2", &arguments);
        pass(20).await;
        let start = Instant::now();
        standby.terminate();
        let end = standby.end().await;
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(end.err().map(|exit| exit.code), code);
    }
    assert_eq!(holder(&setup), "host-1");
}

/// "Not tested upstream: shutdown". SIGTERM comes while the driver attaches one volume and detaches another.
async fn finishes_what_is_in_flight(arguments: &[&str], code: Option<u8>, left: &str) {
    let setup = Setup::new();
    let slow = || [Step::late(Duration::from_secs(8))];
    setup.driver.script::<ControllerPublishVolumeRequest>(slow());
    setup.driver.script::<ControllerUnpublishVolumeRequest>(slow());
    let sidecar = setup.start_as("host-1", arguments);
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    let wanted = setup.pair(1, "node1");
    setup.until("the driver is asked", || setup.published().len() + setup.unpublished().len() == 2).await;
    sidecar.terminate();
    // Work that comes after the signal is not begun.
    setup.pair(2, "node1");
    let start = Instant::now();
    let end = sidecar.end().await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(end.err().map(|exit| exit.code), code);
    assert!(is_attached(&setup.get_va(&wanted)) && setup.va().is_null());
    assert_eq!((setup.published().len(), setup.unpublished().len()), (1, 1));
    assert_eq!(holder(&setup), left);
}

#[tokio::test(start_paused = true)]
async fn sigterm_without_election_ends_with_0() {
    finishes_what_is_in_flight(&[], None, "").await;
}

#[tokio::test(start_paused = true)]
async fn sigterm_of_a_leader_keeps_the_lease_and_ends_with_0() {
    finishes_what_is_in_flight(&[ELECT], None, "host-1").await;
}

#[tokio::test(start_paused = true)]
async fn sigterm_of_a_leader_with_the_gate_releases_the_lease_and_ends_with_1() {
    finishes_what_is_in_flight(&[ELECT, RELEASE], Some(1), "").await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_with_1_at_once_and_writes_nothing_more() {
    let setup = Setup::new();
    let sidecar = setup.start(&[ELECT]);
    setup.until("it leads", || holder(&setup) == "host-1").await;
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::late(Duration::from_secs(9))]);
    let wanted = setup.pair(1, "node1");
    setup.until("the driver is asked", || !setup.published().is_empty()).await;
    let other = json!({"spec": {"holderIdentity": "somebody", "renewTime": "2026-11-21T06:00:00.000000Z"}});
    setup.server.patch("Lease", "default", LEASE, &other).unwrap();
    let exit = sidecar.end().await.expect_err("the lease is lost");
    assert_eq!(exit.code, 1);
    setup.server.forget_calls();
    pass(60).await;
    assert_eq!(setup.actions(), Vec::<String>::new());
    let _next = setup.start_as("host-1", &[]);
    setup.until("attached", || is_attached(&setup.get_va(&wanted))).await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_has_upstreams_name_and_metric() {
    let setup = Setup::new();
    let sidecar = setup.start(&[ELECT, "--leader-election-identity=me", "--leader-election-labels=a:b"]);
    setup.until("it leads", || holder(&setup) == "me").await;
    let lease = setup.server.get("Lease", "default", LEASE).unwrap();
    assert_eq!(lease["metadata"]["labels"]["a"], "b");
    let series = format!("leader_election_master_status{{name=\"{LEASE}\"}}");
    assert!((sidecar.metric(&series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
    assert!(setup.get_va(VA).is_null() && !DRIVER.is_empty());
}
