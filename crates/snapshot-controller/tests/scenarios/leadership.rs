//! Leader election and the end: one works at a time, nothing in flight is lost, a standby goes at once (sheet 3, 13.17).

use serde_json::json;
use sidecar_testkit::leadership::{self, ELECT, Election, RELEASE, holder};
use testkit::api::ApiServer;

use crate::setup::{Controller, Setup, VS, pass};

impl Election for Setup {
    const LEASE: &'static str = "snapshot-controller-leader";

    fn server(&self) -> &ApiServer {
        &self.server
    }

    fn contender(&self, hostname: &str, arguments: &[&str]) -> Controller {
        self.start_as(hostname, arguments)
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_two_works_and_the_other_takes_over() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let (first, second) = leadership::leader_and_standby(&setup).await;
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

#[tokio::test(start_paused = true)]
async fn standby_sigterm() {
    leadership::a_standby_ends_at_once(&Setup::new()).await;
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
        controller.ends_within(3, code).await;
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
    controller.ends_within(1, None).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_with_1_at_once_and_writes_nothing_more() {
    let setup = Setup::new();
    setup.claim("claim");
    let controller = leadership::leader(&setup).await;
    leadership::lose(&setup, controller).await;
    setup.snapshot("snap", "claim", &json!({}));
    pass(60).await;
    assert_eq!(setup.calls(), Vec::<String>::new());
}
