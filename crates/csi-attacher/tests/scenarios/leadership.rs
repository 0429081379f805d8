//! Leader election and the end: one works at a time, what is in flight is finished, a standby goes at once (sheet 3,
//! 13.13).

use std::time::Duration;

use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::json;
use sidecar_testkit::leadership::{self, ELECT, Election, RELEASE, holder};
use testkit::api::ApiServer;
use testkit::driver::Step;

use crate::setup::{DRIVER, Setup, Sidecar, VA, detaching, is_attached, pass};

impl Election for Setup {
    const LEASE: &'static str = "external-attacher-leader-csi-test";

    fn server(&self) -> &ApiServer {
        &self.server
    }

    fn contender(&self, hostname: &str, arguments: &[&str]) -> Sidecar {
        self.start_as(hostname, arguments)
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_works_and_the_other_takes_over() {
    let setup = Setup::new();
    let (first, second) = leadership::leader_and_standby(&setup).await;
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
    leadership::a_standby_ends_at_once(&Setup::new()).await;
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
    sidecar.ends_within(10, code).await;
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
    let sidecar = leadership::leader(&setup).await;
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::late(Duration::from_secs(9))]);
    let wanted = setup.pair(1, "node1");
    setup.until("the driver is asked", || !setup.published().is_empty()).await;
    leadership::lose(&setup, sidecar).await;
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
    let lease = setup.server.get("Lease", "default", Setup::LEASE).unwrap();
    assert_eq!(lease["metadata"]["labels"]["a"], "b");
    let series = format!("leader_election_master_status{{name=\"{}\"}}", Setup::LEASE);
    assert!((sidecar.metric(&series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
    assert!(setup.get_va(VA).is_null() && !DRIVER.is_empty());
}
