//! 11.4, without `RecoverVolumeExpansionFailure`.

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::Step;
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{Setup, gi, pass, wants};

const OFF: &str = "--feature-gates=RecoverVolumeExpansionFailure=false";

#[tokio::test(start_paused = true)]
async fn success_and_node_resize() {
    let setup = Setup::new();
    setup.wanting("claim");
    let _sidecar = setup.start(&[OFF]);
    setup.event("claim", "FileSystemResizeRequired", "Require file system resize of volume on node").await;
    assert_eq!(setup.reasons("claim"), ["Resizing", "FileSystemResizeRequired"]);
    let note =
        &setup.volume("claim")["metadata"]["annotations"]["volume.alpha.kubernetes.io/pre-resize-capacity"];
    assert_eq!(note, "1Gi");
    assert_eq!(setup.conditions("claim"), ["FileSystemResizePending"]);
    assert_eq!((setup.allocated("claim").as_str(), setup.progress("claim").as_str()), ("", ""));
    pass(600).await;
    assert_eq!(setup.asked(), [gi(2)], "the node's turn");
}

#[tokio::test(start_paused = true)]
async fn success_without_node() {
    let setup = Setup::without_nodes();
    setup.wanting("claim");
    let _sidecar = setup.start(&[OFF]);
    setup.event("claim", "VolumeResizeSuccessful", "Resize volume succeeded").await;
    assert_eq!(setup.capacity("claim"), "2Gi");
    assert!(setup.conditions("claim").is_empty());
    assert_eq!(setup.claim("claim")["metadata"]["annotations"], Value::Null);
    let calls = setup.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("patch persistentvolumeclaims")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn driver_error() {
    let setup = Setup::new();
    setup
        .driver
        .always::<ControllerExpandVolumeRequest>(Step::fail(Code::InvalidArgument, "expansion failed"));
    setup.wanting("claim");
    let _sidecar = setup.start(&[OFF]);
    let text = "resize volume \"pv-claim\" by resizer \"foo\" failed: rpc error: code = InvalidArgument desc = \
                expansion failed";
    setup.event("claim", "VolumeResizeFailed", text).await;
    pass(3600).await;
    assert!(setup.asked().len() > 15, "no slow set here: {}", setup.asked().len());
    assert_eq!(setup.conditions("claim"), ["Resizing"]);
    assert_eq!(setup.writes(), 1);
}

/// Upstream's conflict can only come from the resizer itself; here a claim that changed is read again at once.
#[tokio::test(start_paused = true)]
async fn a_conflict_is_no_failure() {
    let setup = Setup::new();
    setup.wanting("claim");
    setup.server.fail_next("patch", "persistentvolumeclaims/status", 2, &conflict());
    let _sidecar = setup.start(&[OFF]);
    pass(1).await;
    assert_eq!(setup.reasons("claim"), ["Resizing", "FileSystemResizeRequired"]);
}

fn conflict() -> testkit::api::Failure {
    let claims = testkit::api::Resource::find("PersistentVolumeClaim").unwrap();
    testkit::api::Failure::modified(claims, "claim")
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_already_waits_for_its_node_only_if_it_says_so() {
    let setup = Setup::new();
    let mut waiting = wants("2Gi");
    let pending = json!([{"type": "FileSystemResizePending", "status": "True"}]);
    merge(&mut waiting, &json!({"status": {"capacity": {"storage": "1Gi"}, "conditions": pending}}));
    setup.bound("waiting", "2Gi", &waiting, &json!({}));
    let mut repeated = wants("2Gi");
    merge(&mut repeated, &json!({"status": {"capacity": {"storage": "1Gi"}}}));
    setup.bound("repeated", "2Gi", &repeated, &json!({}));
    let _sidecar = setup.start(&[OFF]);
    pass(30).await;
    let volumes: Vec<_> = setup.expansions().into_iter().map(|request| request.volume_id).collect();
    assert_eq!(volumes, ["vol-repeated"]);
}
