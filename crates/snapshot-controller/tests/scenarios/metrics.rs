//! Sheet 9, and row M of section 11.

use std::time::Duration;

use prometheus::{Encoder, Registry, TextEncoder};
use serde_json::json;
use sidecar_core::objects::Uid;
use snapshot_controller::metrics::{Metrics, Operation, Origin};

use crate::groups::{cut, group, is_ready, status};
use crate::setup::{Controller, Setup, VGS, VS, cut_status, pass, text};

fn text_of(registry: &Registry) -> String {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn gauge(registry: &Registry) -> f64 {
    let text = text_of(registry);
    let value = text.lines().find_map(|line| line.strip_prefix("snapshot_controller_operations_in_flight "));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn row_m_record_and_drop_of_unknown_op_is_a_no_op_nil_status_unknown_gauge_1_2_1_51() {
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let uid = |number: usize| Uid::new(&format!("uid-{number}"));
    let begin = |number| metrics.begin(Operation::Create, &uid(number), Origin::Dynamic, || None);
    metrics.end(Operation::Create, &uid(0), Some("driver"));
    metrics.forget(&uid(0));
    assert!(!text_of(&registry).contains("operation_total_seconds_count"));
    begin(1);
    assert!((gauge(&registry) - 1.0).abs() < f64::EPSILON);
    begin(2);
    begin(2);
    assert!((gauge(&registry) - 2.0).abs() < f64::EPSILON);
    metrics.end(Operation::Create, &uid(2), None);
    assert!((gauge(&registry) - 1.0).abs() < f64::EPSILON);
    (10..60).for_each(begin);
    assert!((gauge(&registry) - 51.0).abs() < f64::EPSILON);
    let series = "snapshot_controller_operation_total_seconds_count{driver_name=\"unknown\",operation_name=\"CreateSnapshot\",operation_status=\"success\",snapshot_type=\"dynamic\"} 1";
    assert!(text_of(&registry).contains(series), "{}", text_of(&registry));
}

fn count(controller: &Controller, operation: &str, origin: &str, status: &str) -> f64 {
    controller.metric(&format!(
        "snapshot_controller_operation_total_seconds_count{{driver_name=\"csi-mock-plugin\",operation_name=\"{operation}\",operation_status=\"{status}\",snapshot_type=\"{origin}\"}}"
    ))
}

fn is(value: f64, expected: f64) {
    assert!((value - expected).abs() < f64::EPSILON, "{value} instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_snapshot_is_measured() {
    let setup = Setup::new();
    setup.claim("claim");
    let controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    is(controller.metric("snapshot_controller_operations_in_flight"), 2.0);
    pass(40).await;
    let name = text(&setup.content("snap")["metadata"]["name"]);
    setup.cut(&name, true);
    setup.until_ready("snap").await;
    pass(1).await;
    for operation in ["CreateSnapshot", "CreateSnapshotAndReady"] {
        is(count(&controller, operation, "dynamic", "success"), 1.0);
    }
    // Both have taken about 42 seconds.
    for (bound, number) in [("30", 0.0), ("60", 1.0), ("600", 1.0), ("+Inf", 1.0)] {
        is(
            controller.metric(&format!(
                "snapshot_controller_operation_total_seconds_bucket{{driver_name=\"csi-mock-plugin\",operation_name=\"CreateSnapshot\",operation_status=\"success\",snapshot_type=\"dynamic\",le=\"{bound}\"}}"
            )),
            number,
        );
    }
    let _sidecar = setup.play_sidecar();
    setup.delete(VS, "snap");
    setup.until_gone(VS, "snap").await;
    pass(1).await;
    is(count(&controller, "DeleteSnapshot", "dynamic", "success"), 1.0);
    is(controller.metric("snapshot_controller_operations_in_flight"), 0.0);
    let metrics = controller.metrics.text();
    assert!(metrics.contains("# HELP snapshot_controller_operation_total_seconds [ALPHA] Total number of seconds spent by the controller on an operation\n"));
    assert!(metrics.contains(
        "# HELP snapshot_controller_operations_in_flight [ALPHA] Total number of operations in flight\n"
    ));
    assert!(metrics.contains("workqueue_depth{name=\"snapshot-controller-snapshot\"}"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn what_was_there_is_told_from_what_was_taken() {
    let setup = Setup::new();
    let controller = setup.start(&[]);
    setup.content_by_hand("content", "snap", &json!({"status": cut_status("content", true)}));
    let source = json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": "content"});
    setup.snapshot("snap", "", &json!({"spec": {"source": source}}));
    setup.until_ready("snap").await;
    pass(1).await;
    is(count(&controller, "CreateSnapshotAndReady", "pre-provisioned", "success"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_cancels_what_is_unfinished() {
    let setup = Setup::new();
    setup.claim("claim");
    let controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    setup.delete(VS, "snap");
    let _sidecar = setup.play_sidecar();
    setup.until_gone(VS, "snap").await;
    pass(1).await;
    for operation in ["CreateSnapshot", "CreateSnapshotAndReady"] {
        is(count(&controller, operation, "dynamic", "cancel"), 1.0);
    }
    is(controller.metric("snapshot_controller_operations_in_flight"), 0.0);
}

/// Upstream forgets to: its gauge only grows (13.13).
#[tokio::test(start_paused = true)]
async fn row_m_group_record_works_for_both_types_and_a_deletion_cancels() {
    let setup = crate::groups::setup();
    let controller = setup.start(&[]);
    group(&setup, &json!({}));
    setup.until("it is bound", || status(&setup)["boundVolumeGroupSnapshotContentName"].is_string()).await;
    cut(&setup, true);
    setup.until("it is ready", || is_ready(&setup)).await;
    pass(1).await;
    is(count(&controller, "CreateGroupSnapshotAndReady", "dynamic", "success"), 1.0);

    let setup = crate::groups::setup();
    let controller = setup.start(&[]);
    let source = json!({"selector": null, "volumeGroupSnapshotContentName": "content"});
    group(&setup, &json!({"spec": {"source": source}}));
    setup.until("it waits", || !status(&setup).is_null()).await;
    is(controller.metric("snapshot_controller_operations_in_flight"), 2.0);
    setup.delete(VGS, "group");
    setup.until_gone(VGS, "group").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    is(controller.metric("snapshot_controller_operations_in_flight"), 0.0);
}
