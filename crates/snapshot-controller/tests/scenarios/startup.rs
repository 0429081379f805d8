//! Start-up: the definitions that are waited for, and what ends the process (sheet 3, 13.14).

use std::time::Duration;

use serde_json::json;
use sidecar_testkit::api_server;
use tokio::time::Instant;

use crate::groups::{class, group, labelled, status};
use crate::setup::{Setup, USER, VGSC, pass, rules};

#[tokio::test(start_paused = true)]
async fn bad_flags_end_with_a_clear_text() {
    let setup = Setup::new();
    for (arguments, code, text) in [
        (&["--worker-threads=0"][..], 1, "--worker-threads must be at least 1"),
        (&["--feature-gates=NoSuchGate=true"], 255, "unrecognized feature gate: NoSuchGate"),
        (&["--no-such-flag"], 2, "flag provided but not defined: -no-such-flag"),
        (&["--resync-period=10"], 2, "invalid value \"10\" for flag -resync-period"),
        (
            &["--leader-election", "--leader-election-lease-duration=5s"],
            2,
            "leaseDuration must be greater than renewDeadline",
        ),
    ] {
        setup.start(arguments).ends_with(code, text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn version_is_printed_and_ends_with_0() {
    Setup::new().start(&["--version"]).ends_with(0, "").await;
}

/// A cluster without any definitions.
fn bare() -> Setup {
    let server = api_server();
    server.set_rules(USER, rules());
    Setup { server }
}

#[tokio::test(start_paused = true)]
async fn without_the_definitions_it_ends_with_1_after_30_s_or_as_long_as_it_was_told() {
    for (flag, seconds) in
        [("--v=0", 30), ("--retry-crd-interval-max=5s", 5), ("--retry-crd-interval-max=0", 1)]
    {
        let (setup, start) = (bare(), Instant::now());
        let exit = setup.start(&[flag]).end().await.expect_err("there are no definitions");
        assert_eq!(exit.code, 1);
        assert!(
            exit.to_string().contains("Exiting due to failure to ensure CRDs exist during startup"),
            "{exit}"
        );
        assert!(exit.to_string().contains("failed to list volumesnapshots"), "{exit}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{flag}");
    }
}

#[tokio::test(start_paused = true)]
async fn definitions_that_come_in_time_are_waited_for() {
    let setup = bare();
    let controller = setup.start(&[]);
    pass(20).await;
    setup.server.install("snapshot.storage.k8s.io");
    setup.class("class", "Delete", &json!({}));
    setup.claim("claim");
    setup.snapshot("snap", "claim", &json!({}));
    pass(25).await;
    assert!(!setup.content("snap").is_null(), "{}", setup.story());
    assert!(controller.is_running());
}

/// Upstream waits for the definitions of groups for half a minute at every start, before it serves or competes.
#[tokio::test(start_paused = true)]
async fn without_the_definitions_of_groups_nothing_is_delayed() {
    let setup = bare();
    setup.server.install("snapshot.storage.k8s.io");
    setup.class("class", "Delete", &json!({}));
    setup.claim("claim");
    setup.snapshot("snap", "claim", &json!({}));
    let _controller = setup.start(&[]);
    let start = Instant::now();
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn groups_are_worked_on_when_their_definitions_come_without_a_restart() {
    let setup = bare();
    setup.server.install("snapshot.storage.k8s.io");
    let controller = setup.start(&[]);
    pass(600).await;
    setup.server.install("groupsnapshot.storage.k8s.io");
    class(&setup, "group", "Delete", &json!({}));
    setup.claim_with("a", &labelled(), &json!({}));
    group(&setup, &json!({}));
    pass(90).await;
    assert!(status(&setup)["boundVolumeGroupSnapshotContentName"].is_string(), "{}", setup.story());
    assert!(controller.is_running());
}

#[tokio::test(start_paused = true)]
async fn with_the_gate_off_groups_are_not_looked_at() {
    let setup = crate::groups::setup();
    let _controller = setup.start(&["--feature-gates=CSIVolumeGroupSnapshot=false"]);
    group(&setup, &json!({}));
    pass(120).await;
    assert!(setup.server.list(VGSC).is_empty());
    assert_eq!(setup.server.count("", "volumegroupsnapshots"), 0);
}

/// Without rights on groups single snapshots are worked on all the same.
#[tokio::test(start_paused = true)]
async fn without_rights_on_groups_snapshots_work() {
    let setup = Setup::new();
    let rules = rules().into_iter().filter(|rule| rule.groups != ["groupsnapshot.storage.k8s.io"]);
    setup.server.set_rules(USER, rules.collect());
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until_ready("snap").await;
}
