//! Leader election and the end: one works at a time, nothing in flight is lost, a standby goes at once (sheet 3, 13.14).

use std::time::Duration;

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;

use crate::setup::{Setup, pass};

const ELECT: &str = "--leader-election";
const RELEASE: &str = "--feature-gates=ReleaseLeaderElectionOnExit=true";
const LEASE: &str = "external-resizer-foo";

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
    pass(20).await;
    assert_eq!(setup.server.watchers("PersistentVolumeClaim"), 1, "a standby watches nothing");
    setup.wanting("one");
    setup.until_progress("one", "NodeResizePending").await;
    drop(first);
    setup.wanting("two");
    setup.until_progress("two", "NodeResizePending").await;
    assert_eq!(holder(&setup), "host-2");
    assert_eq!(setup.asked().len(), 2);
    assert!(second.is_running());
}

#[tokio::test(start_paused = true)]
async fn standby_sigterm() {
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

/// SIGTERM comes while the driver expands a volume; the end of it is written down all the same.
async fn finishes_what_is_in_flight(arguments: &[&str], code: Option<u8>, left: &str) {
    let setup = Setup::new();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(8))]);
    let sidecar = setup.start_as("host-1", arguments);
    setup.wanting("claim");
    setup.until("the driver is asked", || !setup.asked().is_empty()).await;
    sidecar.terminate();
    setup.wanting("late");
    let start = Instant::now();
    let end = sidecar.end().await;
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
    assert_eq!(end.err().map(|exit| exit.code), code);
    assert_eq!(setup.progress("claim"), "NodeResizePending");
    setup.event("claim", "FileSystemResizeRequired", "Require file system resize of volume on node").await;
    assert_eq!(setup.asked().len(), 1, "nothing new is begun");
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
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(9))]);
    setup.wanting("claim");
    setup.until("the driver is asked", || !setup.asked().is_empty()).await;
    let other = json!({"spec": {"holderIdentity": "somebody", "renewTime": "2026-11-21T06:00:00.000000Z"}});
    setup.server.patch("Lease", "default", LEASE, &other).unwrap();
    let exit = sidecar.end().await.expect_err("the lease is lost");
    assert_eq!(exit.code, 1);
    setup.server.forget_calls();
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
    let _next = setup.start_as("host-1", &[]);
    setup.until_progress("claim", "NodeResizePending").await;
}
