//! 11.3 and 11.5, volumes in use: pods are watched when a driver has refused, and as long as that matters.

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::json;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, Sidecar, able, pass};

fn refusing() -> Step {
    Step::fail(Code::FailedPrecondition, "volume is published")
}

fn offline() -> Setup {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(refusing());
    setup.wanting("claim");
    setup
}

/// A claim that the driver refused once because it is in use.
async fn refused(setup: &Setup, arguments: &[&str]) -> Sidecar {
    let sidecar = setup.start(arguments);
    setup.until("the driver has refused", || setup.conditions("claim").len() == 2).await;
    sidecar
}

const IN_USE: &str = "Unable to expand default/claim because CSI driver foo only supports offline expansion and volume \
                      is currently in-use";

#[tokio::test(start_paused = true)]
async fn in_use_flag_and_pod_using_pvc() {
    let setup = offline();
    setup.pod("pod", "claim", "Running");
    let _sidecar = refused(&setup, &[]).await;
    setup.event("claim", "VolumeResizeFailed", IN_USE).await;
    pass(3600).await;
    assert_eq!(setup.asked().len(), 1, "not while the pod is there");
    assert_eq!(setup.writes(), 2, "started, failed, and nothing more");
    let refusal = "resize volume \"pv-claim\" by resizer \"foo\" failed: rpc error: code = FailedPrecondition desc = \
                   volume is published";
    setup.event("claim", "VolumeResizeFailed", refusal).await;
}

#[tokio::test(start_paused = true)]
async fn pod_using_pvc_but_no_flag() {
    let setup = Setup::new();
    setup.wanting("claim");
    setup.pod("pod", "claim", "Running");
    let _sidecar = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.server.count("", "pods"), 0, "nobody asked for pods");
}

#[tokio::test(start_paused = true)]
async fn flag_but_no_pod() {
    let setup = offline();
    let _sidecar = refused(&setup, &[]).await;
    pass(60).await;
    assert!(setup.asked().len() > 3, "asked again at the pace of the back-off");
}

#[tokio::test(start_paused = true)]
async fn handler_disabled() {
    let setup = offline();
    setup.pod("pod", "claim", "Running");
    let _sidecar = refused(&setup, &["--handle-volume-inuse-error=false"]).await;
    pass(60).await;
    assert!(setup.asked().len() > 3);
    assert_eq!(setup.server.count("", "pods"), 0);
}

/// A pod in that phase; whether the claim counts as in use.
async fn is_in_use(phase: &str) -> bool {
    let setup = offline();
    setup.pod("pod", "claim", phase);
    let _sidecar = refused(&setup, &[]).await;
    pass(60).await;
    setup.asked().len() == 1
}

#[tokio::test(start_paused = true)]
async fn add_pending_pod() {
    assert!(is_in_use("Pending").await);
}

#[tokio::test(start_paused = true)]
async fn add_failed_or_succeeded_pod() {
    assert!(!is_in_use("Failed").await);
    assert!(!is_in_use("Succeeded").await);
}

#[tokio::test(start_paused = true)]
async fn pods_of_other_claims_and_namespaces_do_not_count() {
    let setup = offline();
    setup.server.add_namespace("other");
    setup.pod("other", "other-claim", "Running");
    let mut pod = testkit::manifests::pod("pod", "claim");
    pod["metadata"]["namespace"] = json!("other");
    setup.server.create(&pod).unwrap();
    let _sidecar = refused(&setup, &[]).await;
    pass(60).await;
    assert!(setup.asked().len() > 3);
}

#[tokio::test(start_paused = true)]
async fn generic_ephemeral_volumes_count() {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(refusing());
    setup.wanting("pod-claim");
    setup
        .server
        .create(&json!({
            "kind": "Pod", "metadata": {"name": "pod", "namespace": "default"},
            "spec": {
                "containers": [{"name": "main", "image": "none"}],
                "volumes": [{"name": "claim", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}],
            },
        }))
        .unwrap();
    let _sidecar = setup.start(&[]);
    pass(300).await;
    assert_eq!(setup.asked().len(), 1);
}

/// The pod goes in some way, and the claim is expanded at once, not at its next back-off.
async fn woken(setup: Setup, end: impl Fn(&Setup)) {
    setup.pod("pod", "claim", "Running");
    setup.pod("second", "claim", "Running");
    let _sidecar = refused(&setup, &[]).await;
    pass(1000).await;
    assert_eq!(setup.asked().len(), 1);
    setup.driver.behave();
    setup.phase("second", "Succeeded");
    pass(5).await;
    assert_eq!(setup.asked().len(), 1, "one pod is still there");
    end(&setup);
    pass(2).await;
    assert_eq!(setup.asked().len(), 2);
    setup.until_progress("claim", "NodeResizePending").await;
    pass(1).await;
    assert_eq!(setup.server.watchers("Pod"), 0, "pods do not matter any more");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_last_pod_wakes_the_claim() {
    woken(offline(), |setup| setup.phase("pod", "Failed")).await;
}

#[tokio::test(start_paused = true)]
async fn the_deletion_of_the_last_pod_wakes_the_claim() {
    woken(offline(), |setup| setup.server.delete("Pod", "default", "pod").unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn the_watch_of_pods_ends_with_the_claim() {
    let setup = offline();
    setup.pod("pod", "claim", "Running");
    let _sidecar = refused(&setup, &[]).await;
    setup.until("pods are watched", || setup.server.watchers("Pod") == 1).await;
    setup.server.delete("PersistentVolumeClaim", "default", "claim").unwrap();
    setup.until("nobody waits for pods", || setup.server.watchers("Pod") == 0).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_pods_the_driver_is_asked_again() {
    let setup = offline();
    let rules = vec![
        testkit::api::Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        testkit::api::Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch"]),
        testkit::api::Rule::new("", &["persistentvolumeclaims/status"], &["patch"]),
        testkit::api::Rule::new("", &["events"], &["create", "patch"]),
        testkit::api::Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["list", "watch"]),
    ];
    setup.server.set_rules(crate::setup::USER, rules);
    setup.pod("pod", "claim", "Running");
    let _sidecar = refused(&setup, &[]).await;
    setup.until("asked again", || setup.asked().len() > 3).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_driver_is_asked_once() {
    let setup = Setup::with(able(true, false, false));
    setup.driver.always::<ControllerExpandVolumeRequest>(refusing());
    setup.wanting("claim");
    setup.pod("pod", "claim", "Running");
    let sidecar = refused(&setup, &[]).await;
    pass(100).await;
    drop(sidecar);
    let _next = setup.start(&[]);
    pass(1000).await;
    assert_eq!(setup.asked().len(), 2);
}
