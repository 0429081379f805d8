//! Leader election and the end: one works at a time, nothing in flight is lost, a standby goes at once (sheet 3, 13.17).

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::setup::{Setup, VS, pass};

const ELECT: &str = "--leader-election";
const RELEASE: &str = "--feature-gates=ReleaseLeaderElectionOnExit=true";
const LEASE: &str = "snapshot-controller-leader";

fn holder(setup: &Setup) -> String {
    let lease = setup.server.get("Lease", "default", LEASE).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_works_and_the_other_takes_over() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let first = setup.start_as("host-1", &[ELECT]);
    setup.until("host-1 leads", || holder(&setup) == "host-1").await;
    let second = setup.start_as("host-2", &[ELECT]);
    pass(20).await;
    assert_eq!(setup.server.watchers(VS), 1, "a standby watches nothing");
    setup.snapshot("one", "claim", &json!({}));
    setup.until_ready("one").await;
    drop(first);
    setup.snapshot("two", "claim", &json!({}));
    setup.until_ready("two").await;
    assert_eq!(holder(&setup), "host-2");
    assert_eq!(setup.server.list("VolumeSnapshotContent").len(), 2);
    assert!(second.is_running());
}

/// Upstream's standby swallows the first signal.
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

#[tokio::test(start_paused = true)]
async fn sigterm_of_a_leader() {
    for (arguments, code, left) in
        [(&[][..], None, ""), (&[ELECT], None, "host-1"), (&[ELECT, RELEASE], Some(1), "")]
    {
        let setup = Setup::new();
        setup.claim("claim");
        let controller = setup.start(arguments);
        setup.snapshot("snap", "claim", &json!({}));
        setup.until("it is bound", || !setup.content("snap").is_null()).await;
        controller.terminate();
        let start = Instant::now();
        assert_eq!(controller.end().await.err().map(|exit| exit.code), code);
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(holder(&setup), left);
    }
}

/// While the definitions are waited for, too.
#[tokio::test(start_paused = true)]
async fn sigterm_while_waiting_for_definitions() {
    let setup = Setup::new();
    setup.server.hide(VS);
    let controller = setup.start(&[]);
    pass(5).await;
    controller.terminate();
    let start = Instant::now();
    assert!(controller.end().await.is_ok());
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_with_1_at_once_and_writes_nothing_more() {
    let setup = Setup::new();
    setup.claim("claim");
    let controller = setup.start(&[ELECT]);
    setup.until("it leads", || holder(&setup) == "host-1").await;
    let other = json!({"spec": {"holderIdentity": "somebody", "renewTime": "2026-11-21T06:00:00.000000Z"}});
    setup.server.patch("Lease", "default", LEASE, &other).unwrap();
    let exit = controller.end().await.expect_err("the lease is lost");
    assert_eq!(exit.code, 1);
    setup.server.forget_calls();
    setup.snapshot("snap", "claim", &json!({}));
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
}
