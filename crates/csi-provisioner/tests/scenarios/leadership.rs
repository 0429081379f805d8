//! Leader election and the end: one works at a time, nothing in flight is lost, a standby goes at once (sheet 3.3, 13.6).

use std::time::Duration;

use csi_client::csi::CreateVolumeRequest;
use serde_json::json;
use sidecar_testkit::leadership::{self, ELECT, Election, RELEASE, holder};
use testkit::api::{ApiServer, Failure};
use testkit::driver::Step;

use crate::setup::{Setup, Sidecar, pass};

impl Election for Setup {
    const LEASE: &'static str = "test-driver";

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
    setup.claim("one", json!({}));
    setup.bound("one").await;
    drop(first);
    setup.claim("two", json!({}));
    setup.bound("two").await;
    assert_eq!(holder(&setup), "host-2");
    assert_eq!(setup.creations().len(), 2);
    assert!(second.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_standby_ends_at_once() {
    leadership::a_standby_ends_at_once(&Setup::new()).await;
}

/// SIGTERM comes while the driver makes a volume; the volume is saved all the same.
async fn finishes_what_is_in_flight(arguments: &[&str], code: Option<u8>, left: &str) {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::late(Duration::from_secs(8))]);
    let sidecar = setup.start_as("host-1", arguments);
    setup.claim("claim", json!({}));
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    // Work that comes after the signal is not begun.
    setup.claim("late", json!({}));
    sidecar.terminate();
    setup.server.fail_next("create", "persistentvolumes", 2, &Failure::internal("no"));
    sidecar.ends_within(12, code).await;
    setup.bound("claim").await;
    setup.event("claim", "ProvisioningSucceeded", "").await;
    assert_eq!(setup.creations().len(), 1);
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
    setup.driver.script::<CreateVolumeRequest>([Step::late(Duration::from_secs(9))]);
    setup.claim("claim", json!({}));
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    leadership::lose(&setup, sidecar).await;
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
    assert!(setup.volumes().is_empty());
    let _next = setup.start_as("host-1", &[]);
    setup.bound("claim").await;
    assert_eq!(setup.driver.volumes().len(), 1);
}
