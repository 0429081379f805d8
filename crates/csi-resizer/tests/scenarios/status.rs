//! 11.2, what is written into the claim's status, as the API server has it afterwards.

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::Step;
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{Setup, pass, wants};

async fn after(setup: Setup, statuses: Value) -> Value {
    let mut claim = wants("2Gi");
    merge(&mut claim, &json!({"status": {"allocatedResourceStatuses": statuses}}));
    setup.bound("claim", "1Gi", &claim, &json!({}));
    let _sidecar = setup.start(&[]);
    pass(1).await;
    setup.status("claim")["allocatedResourceStatuses"].clone()
}

fn failing(code: Code) -> Setup {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::fail(code, "no"));
    setup
}

#[tokio::test(start_paused = true)]
async fn no_r_mark_node_pending() {
    assert_eq!(after(Setup::new(), json!({})).await, json!({"storage": "NodeResizePending"}));
}

#[tokio::test(start_paused = true)]
async fn other_resource_mark_node_pending() {
    let cpu = json!({"cpu": "ControllerResizeInfeasible"});
    let expected = json!({"cpu": "ControllerResizeInfeasible", "storage": "NodeResizePending"});
    assert_eq!(after(Setup::new(), cpu).await, expected);
}

#[tokio::test(start_paused = true)]
async fn no_r_mark_in_progress() {
    let statuses = after(failing(Code::Internal), json!({})).await;
    assert_eq!(statuses, json!({"storage": "ControllerResizeInProgress"}));
}

#[tokio::test(start_paused = true)]
async fn no_r_mark_infeasible() {
    let statuses = after(failing(Code::OutOfRange), json!({})).await;
    assert_eq!(statuses, json!({"storage": "ControllerResizeInfeasible"}));
}

#[tokio::test(start_paused = true)]
async fn other_resource_mark_finished() {
    let both = json!({"cpu": "ControllerResizeInfeasible", "storage": "NodeResizeInfeasible"});
    assert_eq!(after(Setup::without_nodes(), both).await, json!({"cpu": "ControllerResizeInfeasible"}));
}

/// Conditions, from the first try over its failure to the end.
#[tokio::test(start_paused = true)]
async fn conditions_to_the_letter() {
    let setup = failing(Code::Internal);
    let mut claim = wants("2Gi");
    let other = json!({"type": "Custom", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    merge(&mut claim, &json!({"status": {"conditions": [other]}}));
    setup.bound("claim", "1Gi", &claim, &json!({}));
    let _sidecar = setup.start(&[]);
    setup.until("it has failed", || setup.conditions("claim").len() == 3).await;
    assert_eq!(setup.conditions("claim"), ["Custom", "Resizing", "ControllerResizeError"]);
    let failed = setup.condition("claim", "ControllerResizeError");
    assert_eq!(failed["message"], "failed to expand pvc with rpc error: code = Internal desc = no");
    assert_eq!((&failed["status"], failed.get("reason")), (&json!("True"), None));
    let since = failed["lastTransitionTime"].clone();
    pass(60).await;
    let later = setup.condition("claim", "ControllerResizeError");
    assert_eq!(later["lastTransitionTime"], since, "it says the same, so its time stays");

    setup.driver.behave();
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(
        setup.conditions("claim"),
        ["Custom", "Resizing", "ControllerResizeError", "FileSystemResizePending"],
        "they stay until kubelet clears them"
    );
    let pending = setup.condition("claim", "FileSystemResizePending");
    assert_eq!(
        pending["message"],
        "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
    );
    setup.patch_status("claim", &json!({"status": {"conditions": [other]}}));
    setup.node_expanded("claim");
    setup.want("claim", "3Gi");
    setup.until("the next round", || setup.allocated("claim") == "3Gi").await;
    assert_eq!(setup.condition("claim", "ControllerResizeError"), Value::Null);
}
