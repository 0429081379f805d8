//! Start-up: what ends the process, with which code and words, and what is there while it waits (sheet 2, 3, row M); which
//! objects are looked for where (sheet 4, 13.9, 13.11).

use std::time::Duration;

use csi_client::csi::{
    ControllerGetCapabilitiesRequest, ControllerGetCapabilitiesResponse, ControllerServiceCapability,
    GetPluginInfoRequest, GetPluginInfoResponse, GroupControllerGetCapabilitiesRequest, ProbeRequest,
    ProbeResponse,
};
use serde_json::json;
use snapshot_api::names::labels;
use testkit::api::Rule;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use tonic::Code;

use crate::setup::{CLASS, DRIVER, Setup, VGSC, VSC, able, is_ready, pass, rules, settle};

#[tokio::test(start_paused = true)]
async fn bad_flags_end_with_a_clear_text() {
    let setup = Setup::new();
    let length = "must be -1 or at least 0 and at most 32";
    for (arguments, code, text) in [
        (&["--worker-threads=0"][..], 1, "--worker-threads must be at least 1"),
        (&["--timeout=0"], 1, "--timeout must be positive"),
        (&["--snapshot-name-prefix="], 1, "Snapshot name prefix cannot be of length 0"),
        (&["--groupsnapshot-name-prefix="], 1, "Group snapshot name prefix cannot be of length 0"),
        (&["--snapshot-name-uuid-length=-2"], 2, length),
        (&["--snapshot-name-uuid-length=33"], 2, length),
        (&["--groupsnapshot-name-uuid-length=33"], 2, length),
        (&["--snapshot-name-uuid-length=x"], 2, "invalid value \"x\" for flag -snapshot-name-uuid-length"),
        (&["--node-deployment", "--leader-election"], 1, "exclude each other"),
        (&["--feature-gates=NoSuchGate=true"], 255, "unrecognized feature gate: NoSuchGate"),
        (
            &["--http-endpoint=:0", "--metrics-address=:0"],
            1,
            "only one of `--metrics-address` and `--http-endpoint` can be set.",
        ),
        (&["--no-such-flag"], 2, "flag provided but not defined: -no-such-flag"),
    ] {
        setup.start(arguments).ends_with(code, text).await;
    }
    let off = ["--groupsnapshot-name-uuid-length=33", "--feature-gates=CSIVolumeGroupSnapshot=false"];
    let _sidecar = setup.start(&off);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
}

#[tokio::test(start_paused = true)]
async fn node_deployment_needs_a_node_name() {
    let setup = Setup::new();
    setup.start_as("", &["--node-deployment"]).ends_with(255, "NODE_NAME").await;
}

#[tokio::test(start_paused = true)]
async fn version_is_printed_and_ends_with_0() {
    Setup::new().start(&["--version"]).ends_with(0, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_answer_well_ends_the_process() {
    let refused = || Step::fail(Code::Internal, "mock");
    let setup = Setup::new();
    setup.driver.script::<GetPluginInfoRequest>([refused()]);
    setup.start(&[]).ends_with(1, "").await;
    let nameless = Step::edit(|answer: &mut GetPluginInfoResponse| answer.name.clear());
    setup.driver.script::<GetPluginInfoRequest>([nameless]);
    setup.start(&[]).ends_with(1, "").await;
    setup.driver.script::<ProbeRequest>([refused()]);
    setup.start(&[]).ends_with(1, "").await;
}

#[tokio::test(start_paused = true)]
async fn an_unready_driver_is_waited_for() {
    let setup = Setup::new();
    let unready = || Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false));
    setup.driver.script::<ProbeRequest>([unready(), unready(), Step::fail(Code::DeadlineExceeded, "slow")]);
    setup.content("content", json!({}));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.driver.count::<ProbeRequest>(), 4);
}

/// Row M.
#[tokio::test(start_paused = true)]
async fn capability_probe_success_error_not_supported_without_type_empty_list() {
    let setup = Setup::new();
    setup.driver.script::<ControllerGetCapabilitiesRequest>([Step::fail(Code::Internal, "mock")]);
    setup.start(&[]).ends_with(1, "").await;
    let typeless = Step::edit(|answer: &mut ControllerGetCapabilitiesResponse| {
        answer.capabilities = vec![ControllerServiceCapability { r#type: None }];
    });
    setup.driver.script::<ControllerGetCapabilitiesRequest>([typeless]);
    setup.start(&[]).ends_with(1, "CREATE_DELETE_SNAPSHOT").await;
    for controller in [vec![], vec![ControllerCapability::ListSnapshots]] {
        let setup = Setup::with(DriverConfig { controller, ..able() });
        setup.start(&[]).ends_with(1, "").await;
    }
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
}

/// A driver without group service has single snapshots all the same; upstream gives it groups too, and so do we.
#[tokio::test(start_paused = true)]
async fn a_driver_without_groups_is_no_reason_to_end() {
    let setup = Setup::with(DriverConfig { group: vec![], ..able() });
    setup.driver.script::<GroupControllerGetCapabilitiesRequest>([Step::fail(Code::Unimplemented, "mock")]);
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    setup.ready(VSC, "content").await;
    setup.ready(VGSC, "group").await;
}

/// 13.11: upstream looks once, at its start; 8.6 does nothing at all then.
#[tokio::test(start_paused = true)]
async fn groups_may_come_later() {
    let setup = Setup::without_groups(able());
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
    pass(3600).await;
    let lists = setup.server.calls().iter().filter(|call| call.resource.starts_with("volumegroup")).count();
    assert!(lists <= 20, "{lists} looks for groups in an hour");
    setup.server.install("groupsnapshot.storage.k8s.io");
    setup.create(json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
        "metadata": {"name": CLASS}, "driver": DRIVER, "deletionPolicy": "Delete",
    }));
    setup.group("group", json!({}));
    pass(6 * 60).await;
    assert!(is_ready(&setup.vgsc("group")));
}

#[tokio::test(start_paused = true)]
async fn groups_may_be_forbidden_or_off() {
    let setup = Setup::new();
    let allowed = rules();
    let denied: Vec<Rule> =
        allowed.iter().filter(|rule| !format!("{rule:?}").contains("groupsnapshot")).cloned().collect();
    assert!(denied.len() < allowed.len());
    setup.server.set_rules("csi-snapshotter", denied);
    let first = setup.start(&[]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    setup.ready(VSC, "content").await;
    pass(3600).await;
    assert!(setup.vgsc("group").get("status").is_none());
    drop(first);
    setup.server.set_rules("csi-snapshotter", allowed);
    setup.server.forget_calls();
    let off = setup.start(&["--feature-gates=CSIVolumeGroupSnapshot=false"]);
    pass(3600).await;
    assert!(setup.server.calls().iter().all(|call| !call.resource.starts_with("volumegroup")));
    drop(off);
    let _on = setup.start(&[]);
    setup.ready(VGSC, "group").await;
}

/// Every node has its own contents; classes have no node, and are found all the same (13.9).
#[tokio::test(start_paused = true)]
async fn node_deployment() {
    let setup = Setup::new();
    let on = |node: &str| json!({"metadata": {"labels": {labels::MANAGED_BY: node}}});
    setup.content("one", on("host-1"));
    setup.content("two", on("host-2"));
    setup.content("none", json!({}));
    let first = setup.start_as("host-1", &["--node-deployment"]);
    setup.ready(VSC, "one").await;
    assert_eq!(setup.created().len(), 1);
    let lists = setup.server.calls().into_iter();
    let contents: Vec<_> = lists.filter(|call| call.resource == "volumesnapshotcontents").collect();
    assert!(!contents.is_empty());
    let _second = setup.start_as("host-2", &["--node-deployment"]);
    setup.ready(VSC, "two").await;
    setup.unwanted(VSC, "one");
    setup.gone(VSC, "one").await;
    pass(Duration::from_secs(3600).as_secs()).await;
    assert!(setup.vsc("none").get("status").is_none());
    assert_eq!((setup.created().len(), setup.deleted().len()), (2, 1));
    assert!(first.is_running());
}

#[tokio::test(start_paused = true)]
async fn queues_and_calls_are_counted() {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.group("group", json!({}));
    setup.ready(VSC, "content").await;
    setup.ready(VGSC, "group").await;
    settle().await;
    for queue in ["csi-snapshotter-content", "csi-snapshotter-groupsnapshotcontent"] {
        let series = format!("workqueue_adds_total{{name=\"{queue}\"}}");
        assert!(sidecar.metric(&series) >= 1.0, "{}", sidecar.metrics.text());
    }
    let series = format!(
        "csi_sidecar_operations_seconds_count{{driver_name=\"{DRIVER}\",grpc_status_code=\"OK\",method_name=\"/csi.v1.\
         Controller/CreateSnapshot\"}}"
    );
    assert!((sidecar.metric(&series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}
