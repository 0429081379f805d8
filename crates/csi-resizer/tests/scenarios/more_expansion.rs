//! 11.9 and section 13 as to sizes: what upstream never tested, and what it gets wrong.

use std::time::Duration;

use csi_client::csi::{
    ControllerExpandVolumeRequest, ControllerExpandVolumeResponse, ControllerGetCapabilitiesRequest,
    ControllerModifyVolumeRequest,
};
use serde_json::{Value, json};
use testkit::api::{Failure, Resource};
use testkit::driver::Step;
use tonic::Code;

use crate::recovery::State;
use testkit::manifests::merge;

use crate::setup::{Setup, gi, pass, wants};

const NOTE: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";
const INFEASIBLE: &str = "ControllerResizeInfeasible";

fn conflict() -> Failure {
    Failure::modified(Resource::find("PersistentVolumeClaim").unwrap(), "claim")
}

async fn looked_at(state: State) -> Setup {
    let setup = Setup::new();
    state.make(&setup);
    let _sidecar = setup.start(&[]);
    pass(1).await;
    setup
}

#[tokio::test(start_paused = true)]
async fn d4_node_pending_with_a_larger_than_p() {
    let state =
        State { wanted: 5, capacity: 1, allocated: Some(3), progress: "NodeResizePending", volume: 1 };
    let setup = looked_at(state).await;
    assert_eq!(setup.asked(), [gi(3)]);
    assert_eq!(
        (setup.progress("claim").as_str(), setup.allocated("claim").as_str()),
        ("NodeResizePending", "3Gi")
    );
}

#[tokio::test(start_paused = true)]
async fn d10_with_a_larger_than_s() {
    let state =
        State { wanted: 5, capacity: 1, allocated: Some(8), progress: "NodeResizeInfeasible", volume: 5 };
    assert_eq!(looked_at(state).await.asked(), [gi(8)]);
}

#[tokio::test(start_paused = true)]
async fn d13_to_d15_p_is_large_enough() {
    let state = |allocated| State { wanted: 5, capacity: 1, allocated, progress: "", volume: 5 };
    assert_eq!(looked_at(state(Some(4))).await.asked()[0], gi(4), "D13");
    assert_eq!(looked_at(state(None)).await.asked(), [gi(5)], "D15");
    let setup = Setup::new();
    state(None).make(&setup);
    let pending = json!([{"type": "FileSystemResizePending", "status": "True"}]);
    setup.patch_status("claim", &json!({"status": {"conditions": pending}}));
    let _sidecar = setup.start(&[]);
    pass(1).await;
    assert_eq!((setup.asked().len(), setup.writes()), (0, 0), "D14");
}

fn infeasible() -> Setup {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::fail(Code::OutOfRange, "too much"));
    setup.wanting("claim");
    setup
}

#[tokio::test(start_paused = true)]
async fn slow_set_two_rpc_lead_in() {
    let setup = infeasible();
    let _sidecar = setup.start(&[]);
    pass(295).await;
    assert_eq!(setup.asked().len(), 2, "two calls before the slow phase");
    pass(10).await;
    assert_eq!(setup.asked().len(), 3, "then one per retention, exactly when its time is over");
    pass(300).await;
    assert_eq!(setup.asked().len(), 4);
    assert_eq!(setup.progress("claim"), INFEASIBLE);
}

#[tokio::test(start_paused = true)]
async fn spec_edit_while_slow() {
    let setup = infeasible();
    setup.bound("small", "1Gi", &json!({}), &json!({}));
    let _sidecar = setup.start(&[]);
    pass(60).await;
    assert_eq!(setup.asked().len(), 2);
    setup.driver.behave();
    setup.want("claim", "1536Mi");
    pass(1).await;
    assert_eq!(setup.asked().last(), Some(&(gi(1) * 3 / 2)), "at once");
    assert_eq!(
        (setup.progress("claim").as_str(), setup.allocated("claim").as_str()),
        ("NodeResizePending", "1536Mi")
    );
}

#[tokio::test(start_paused = true)]
async fn restart_of_an_infeasible_claim_asks_once() {
    let setup = infeasible();
    let sidecar = setup.start(&[]);
    pass(60).await;
    drop(sidecar);
    let _next = setup.start(&[]);
    pass(200).await;
    assert_eq!(setup.asked().len(), 3);
}

/// The answer to the last patch is a conflict: read again and written at once, no failure is reported.
#[tokio::test(start_paused = true)]
async fn conflict_on_w4_then_recovery_at_once() {
    let setup = Setup::new();
    setup.wanting("claim");
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        (seen == 2 && call.is("patch", "persistentvolumeclaims/status")).then(conflict)
    });
    let _sidecar = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    pass(60).await;
    assert_eq!(setup.asked().len(), 1, "the driver has done its part");
    assert_eq!(setup.reasons("claim"), ["Resizing", "FileSystemResizeRequired"]);
    assert_eq!(setup.server.count("get", "persistentvolumeclaims"), 1);
}

/// W4 fails for good this time: D12 repeats the call, which is idempotent, and the volume object is not written again.
#[tokio::test(start_paused = true)]
async fn failure_of_w4_then_d12_recovery() {
    let setup = Setup::new();
    setup.wanting("claim");
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        (seen == 2 && call.is("patch", "persistentvolumeclaims/status")).then(|| Failure::bad_request("no"))
    });
    let _sidecar = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    pass(1).await;
    assert_eq!(setup.asked(), [gi(2), gi(2)]);
    let text = "mark PVC \"default/claim\" as node expansion required failed: can't patch status of  PVC default/claim \
                with no";
    setup.event("claim", "VolumeResizeFailed", text).await;
    assert_eq!(setup.calls().iter().filter(|call| call.starts_with("patch persistentvolumes ")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn kubelet_may_be_ahead_of_w4() {
    let setup = Setup::new();
    setup.wanting("claim");
    let server = setup.server.clone();
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        // Kubelet's write comes first, so the patch meets another version.
        (seen == 2 && call.is("patch", "persistentvolumeclaims/status")).then(conflict)
    });
    let expanded = json!({"status": {"capacity": {"storage": "2Gi"}, "allocatedResourceStatuses": null, "conditions": null}});
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(1))]);
    let _sidecar = setup.start(&[]);
    setup
        .until("the volume object has grown", || {
            let grown = setup.volume("claim")["spec"]["capacity"]["storage"] == "2Gi";
            if grown {
                server.patch_status("PersistentVolumeClaim", "default", "claim", &expanded).unwrap();
            }
            grown
        })
        .await;
    pass(60).await;
    assert_eq!(setup.capacity("claim"), "2Gi");
    assert_eq!(setup.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn conflict_on_w1_decides_anew_at_once() {
    let setup = Setup::new();
    setup.wanting("claim");
    setup.server.fail_next("patch", "persistentvolumeclaims/status", 1, &conflict());
    let _sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    setup.until_progress("claim", "NodeResizePending").await;
    pass(1).await;
    assert_eq!(setup.reasons("claim"), ["Resizing", "FileSystemResizeRequired"], "and nothing failed");
}

#[tokio::test(start_paused = true)]
async fn restart_with_edited_s_finishes_a_first() {
    let setup = Setup::new();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::fail(Code::Internal, "no")]);
    State { wanted: 10, capacity: 3, allocated: None, progress: "", volume: 3 }.make(&setup);
    let sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    setup.until("the driver has refused", || setup.conditions("claim").len() == 2).await;
    drop(sidecar);
    setup.want("claim", "5Gi");
    let _next = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.asked(), [gi(10), gi(10)], "that it was final is forgotten");
}

#[tokio::test(start_paused = true)]
async fn non_final_error_leaves_the_pvc_untouched() {
    for code in
        [Code::DeadlineExceeded, Code::Aborted, Code::Unavailable, Code::ResourceExhausted, Code::Cancelled]
    {
        let setup = Setup::new();
        setup.driver.always::<ControllerExpandVolumeRequest>(Step::fail(code, "no"));
        setup.wanting("claim");
        let _sidecar = setup.start(&[]);
        pass(1).await;
        let claim = setup.claim("claim");
        pass(600).await;
        assert_eq!(setup.claim("claim"), claim, "{code:?}");
        assert_eq!(setup.writes(), 1);
        assert!(setup.reasons("claim").iter().any(|reason| reason == "VolumeResizeFailed"));
    }
}

#[tokio::test(start_paused = true)]
async fn resource_exhausted_can_be_declared_final() {
    let setup = Setup::new();
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::fail(Code::ResourceExhausted, "full"));
    setup.wanting("claim");
    let _sidecar = setup.start(&["--resource-exhausted-is-final"]);
    setup.until("it is said", || setup.conditions("claim") == ["Resizing", "ControllerResizeError"]).await;
    setup.want("claim", "1536Mi");
    setup.until("another size is tried at once", || setup.asked().contains(&(gi(1) * 3 / 2))).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_a_deadline() {
    let setup = Setup::new();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::Hang]);
    setup.wanting("claim");
    let sidecar = setup.start(&["--timeout=2s"]);
    let text = "resize volume \"pv-claim\" by resizer \"foo\" failed: rpc error: code = DeadlineExceeded desc = \
                context deadline exceeded";
    setup.event("claim", "VolumeResizeFailed", text).await;
    let series = "csi_sidecar_operations_seconds_count{driver_name=\"foo\",grpc_status_code=\"DeadlineExceeded\",\
                  method_name=\"/csi.v1.Controller/ControllerExpandVolume\"}";
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn other_resource_keys_in_a_and_r_are_preserved() {
    let setup = Setup::without_nodes();
    let mut claim = wants("2Gi");
    let others =
        json!({"status": {"allocatedResources": {"cpu": "1"}, "allocatedResourceStatuses": {"cpu": "x"}}});
    merge(&mut claim, &others);
    setup.bound("claim", "1Gi", &claim, &json!({}));
    let _sidecar = setup.start(&[]);
    setup.until("it has grown", || setup.capacity("claim") == "2Gi").await;
    assert_eq!(setup.status("claim")["allocatedResources"], json!({"cpu": "1", "storage": "2Gi"}));
    assert_eq!(setup.status("claim")["allocatedResourceStatuses"], json!({"cpu": "x"}));
}

#[tokio::test(start_paused = true)]
async fn capacity_bytes_0_and_below_target() {
    for answered in [0, gi(2) - 1] {
        let setup = Setup::new();
        setup.driver.always::<ControllerExpandVolumeRequest>(Step::edit(
            move |answer: &mut ControllerExpandVolumeResponse| answer.capacity_bytes = answered,
        ));
        setup.wanting("claim");
        let _sidecar = setup.start(&[]);
        pass(3600).await;
        assert_eq!(setup.volume("claim")["spec"]["capacity"]["storage"], "1Gi", "no write");
        let text = format!(
            "resize volume \"pv-claim\" by resizer \"foo\" failed: the driver says that the volume has {answered} bytes now \
             although it was asked for at least 2147483648"
        );
        setup.event("claim", "VolumeResizeFailed", &text).await;
        assert!((10..25).contains(&setup.asked().len()), "{}", setup.asked().len());
        assert_eq!(setup.writes(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_asked_for_is_taken() {
    let setup = Setup::without_nodes();
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::edit(
        |answer: &mut ControllerExpandVolumeResponse| answer.capacity_bytes = 3_000_000_000,
    ));
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until("it has grown", || setup.capacity("claim") == "3000000000").await;
    assert_eq!(setup.volume("claim")["spec"]["capacity"]["storage"], "3000000000");
}

#[tokio::test(start_paused = true)]
async fn pv_of_another_driver_with_stale_annotation_is_left_alone() {
    let setup = Setup::new();
    let noted = |driver: &str| json!({"metadata": {"annotations": {NOTE: "1Gi"}}, "spec": {"csi": {"driver": driver}}});
    setup.bound("theirs", "1Gi", &json!({}), &noted("other"));
    setup.bound("ours", "1Gi", &json!({}), &noted("foo"));
    let _sidecar = setup.start(&[]);
    setup.until("ours is cleared", || setup.volume("ours")["metadata"]["annotations"][NOTE].is_null()).await;
    assert_eq!(setup.volume("theirs")["metadata"]["annotations"][NOTE], "1Gi");
}

/// S was raised while the first expansion ran: a second round follows by itself.
#[tokio::test(start_paused = true)]
async fn a_second_round_follows_when_more_is_wanted_meanwhile() {
    let setup = Setup::without_nodes();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(5))]);
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until("the driver is at it", || setup.asked().len() == 1).await;
    setup.want("claim", "4Gi");
    setup.until("it has grown", || setup.capacity("claim") == "4Gi").await;
    assert_eq!(setup.asked(), [gi(2), gi(4)]);
}

#[tokio::test(start_paused = true)]
async fn capabilities_are_asked_for_once() {
    let setup = Setup::new();
    let _sidecar = setup.start(&[]);
    for name in ["one", "two", "three"] {
        setup.wanting(name);
        setup.until_progress(name, "NodeResizePending").await;
    }
    assert_eq!(setup.driver.count::<ControllerGetCapabilitiesRequest>(), 1);
}

/// A claim made anew under the same name inherits nothing.
#[tokio::test(start_paused = true)]
async fn flags_go_with_the_claim() {
    let setup = Setup::new();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::fail(Code::Internal, "no")]);
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until("the driver has refused", || setup.conditions("claim").len() == 2).await;
    setup.server.delete("PersistentVolumeClaim", "default", "claim").unwrap();
    setup.server.delete("PersistentVolume", "", "pv-claim").unwrap();
    pass(1).await;
    // Final error or not decides between 5 and 10 here.
    State { wanted: 5, capacity: 3, allocated: Some(10), progress: "ControllerResizeInProgress", volume: 3 }
        .make(&setup);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.asked()[1..], [gi(10)]);
}

/// Both wanted at once: one after the other, and no conflict between them.
#[tokio::test(start_paused = true)]
async fn expansion_and_modification_of_one_claim_take_turns() {
    let setup = Setup::without_nodes();
    setup.attributes_class("gold", &json!({"iops": "9"}));
    setup.driver.always::<ControllerExpandVolumeRequest>(Step::late(Duration::from_secs(3)));
    setup.driver.always::<ControllerModifyVolumeRequest>(Step::late(Duration::from_secs(3)));
    let mut claim = wants("2Gi");
    merge(&mut claim, &json!({"spec": {"volumeAttributesClassName": "gold"}}));
    setup.bound("claim", "1Gi", &claim, &json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    setup
        .until("both are done", || {
            setup.capacity("claim") == "2Gi"
                && setup.status("claim")["currentVolumeAttributesClassName"] == "gold"
        })
        .await;
    assert!(setup.conditions("claim").is_empty());
    let refused: Vec<_> = setup.calls().into_iter().filter(|call| call.contains("-> 4")).collect();
    assert_eq!(refused, Vec::<String>::new());
}

/// The annotation tells kubelet about the last expansion, not about the next one.
#[tokio::test(start_paused = true)]
async fn node_expansion_not_required_goes_with_the_next_expansion() {
    const NOT_REQUIRED: &str = "volume.kubernetes.io/node-expansion-not-required";
    let setup = Setup::without_nodes();
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until("it has grown", || setup.capacity("claim") == "2Gi").await;
    assert_eq!(setup.claim("claim")["metadata"]["annotations"][NOT_REQUIRED], "true");
    setup.driver.configure(|config| config.node.push(testkit::driver::NodeCapability::ExpandVolume));
    setup.want("claim", "3Gi");
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.claim("claim")["metadata"]["annotations"][NOT_REQUIRED], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_others_add_meanwhile_is_not_wiped() {
    let setup = Setup::without_nodes();
    setup.driver.script::<ControllerExpandVolumeRequest>([Step::late(Duration::from_secs(2))]);
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until("the driver is at it", || setup.asked().len() == 1).await;
    let custom = json!({"type": "Custom", "status": "True"});
    let mut conditions = setup.status("claim")["conditions"].as_array().unwrap().clone();
    conditions.push(custom);
    setup.patch_status("claim", &json!({"status": {"conditions": conditions}}));
    setup.patch("claim", &json!({"metadata": {"annotations": {"note": "mine"}}}));
    setup.until("it has grown", || setup.capacity("claim") == "2Gi").await;
    assert_eq!(setup.conditions("claim"), ["Custom"]);
    assert_eq!(setup.claim("claim")["metadata"]["annotations"]["note"], "mine");
}
