//! Leader election and the end: one works at a time, nothing in flight is lost, a standby goes at once (sheet 3, 13.14).

use std::time::Duration;

use csi_client::csi::ControllerExpandVolumeRequest;
use sidecar_testkit::leadership::{self, ELECT, Election, RELEASE, holder};
use testkit::api::ApiServer;
use testkit::driver::Step;

use crate::setup::{Setup, Sidecar, pass};

impl Election for Setup {
    const LEASE: &'static str = "external-resizer-foo";

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
    leadership::a_standby_ends_at_once(&Setup::new()).await;
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
    sidecar.ends_within(12, code).await;
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
    let sidecar = leadership::leader(&setup).await;
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(9))]);
    setup.wanting("claim");
    setup.until("the driver is asked", || !setup.asked().is_empty()).await;
    leadership::lose(&setup, sidecar).await;
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
    let _next = setup.start_as("host-1", &[]);
    setup.until_progress("claim", "NodeResizePending").await;
}
