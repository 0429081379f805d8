//! Leader election and the end: one works at a time, what is in flight is finished, a standby goes at once, and groups keep
//! nobody from ending (sheet 3, 13.10).

use std::time::Duration;

use csi_client::csi::{CreateSnapshotRequest, CreateVolumeGroupSnapshotRequest, DeleteSnapshotRequest};
use serde_json::json;
use sidecar_testkit::leadership::{self, ELECT, Election, RELEASE, holder};
use testkit::api::ApiServer;
use testkit::driver::Step;

use crate::setup::{Setup, Sidecar, VGSC, VSC, has_annotation, is_ready, pass};

impl Election for Setup {
    const LEASE: &'static str = "external-snapshotter-leader-mock";

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
    setup.content("one", json!({}));
    setup.ready(VSC, "one").await;
    drop(first);
    setup.content("two", json!({}));
    setup.ready(VSC, "two").await;
    assert_eq!((holder(&setup), setup.created().len()), ("host-2".into(), 2));
    assert!(second.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_standby_ends_at_once() {
    leadership::a_standby_ends_at_once(&Setup::new()).await;
}

/// SIGTERM comes while the driver takes a snapshot and a group, and deletes a snapshot.
async fn finishes_what_is_in_flight(arguments: &[&str], code: Option<u8>, left: &str) {
    let setup = Setup::new();
    let sidecar = setup.start_as("host-1", arguments);
    setup.content("old", json!({}));
    setup.ready(VSC, "old").await;
    let slow = || [Step::late(Duration::from_secs(8))];
    setup.driver.script::<CreateSnapshotRequest>(slow());
    setup.driver.script::<DeleteSnapshotRequest>(slow());
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>(slow());
    setup.unwanted(VSC, "old");
    setup.content("new", json!({}));
    setup.group("group", json!({}));
    let groups = || setup.driver.count::<CreateVolumeGroupSnapshotRequest>();
    let asked = || setup.created().len() + setup.deleted().len() + groups();
    setup.until("the driver is asked", || asked() == 4).await;
    sidecar.terminate();
    // Work that comes after the signal is not begun.
    setup.content("late", json!({}));
    sidecar.ends_within(10, code).await;
    assert!(is_ready(&setup.vsc("new")) && is_ready(&setup.vgsc("group")) && setup.vsc("old").is_null());
    assert_eq!((asked(), holder(&setup)), (4, left.to_owned()));
    assert!(!has_annotation(&setup.vsc("late"), crate::setup::BEING_CREATED));
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
    setup.driver.script::<CreateSnapshotRequest>([Step::late(Duration::from_secs(9))]);
    setup.content("content", json!({}));
    setup.until("the driver is asked", || !setup.created().is_empty()).await;
    leadership::lose(&setup, sidecar).await;
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
    let _next = setup.start_as("host-1", &[]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.driver.snapshots().len(), 1);
    assert!(setup.get(VGSC, "none").is_null());
}
