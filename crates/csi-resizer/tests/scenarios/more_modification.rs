//! 11.9 and section 13 as to attributes classes.

use csi_client::csi::ControllerModifyVolumeRequest;
use serde_json::{Value, json};
use testkit::api::Failure;
use testkit::driver::Step;
use tonic::Code;

use crate::modify::setup;
use crate::setup::{Setup, pass};

fn wanting(setup: &Setup, class: &str) {
    setup.bound("claim", "1Gi", &json!({"spec": {"volumeAttributesClassName": class}}), &json!({}));
}

fn is_applied(setup: &Setup, class: &str) -> bool {
    setup.status("claim")["modifyVolumeStatus"].is_null()
        && setup.status("claim")["currentVolumeAttributesClassName"] == class
}

fn failing(codes: impl IntoIterator<Item = Code>) -> Setup {
    let setup = setup();
    let steps = codes.into_iter().map(|code| Step::fail(code, "no"));
    setup.driver.script::<ControllerModifyVolumeRequest>(steps);
    wanting(&setup, "target-vac");
    setup
}

#[tokio::test(start_paused = true)]
async fn vac_pending_then_vac_created() {
    let setup = setup();
    wanting(&setup, "late-vac");
    let _sidecar = setup.start(&[]);
    setup.until("it is pending", || setup.status("claim")["modifyVolumeStatus"]["status"] == "Pending").await;
    pass(60).await;
    setup.attributes_class("late-vac", &json!({"iops": "1"}));
    pass(1).await;
    assert!(is_applied(&setup, "late-vac"), "{}", setup.story());
}

#[tokio::test(start_paused = true)]
async fn infeasible_to_internal_ends_the_slow_phase() {
    let setup = failing([Code::InvalidArgument, Code::Internal, Code::Internal]);
    let _sidecar = setup.start(&[]);
    pass(290).await;
    assert_eq!(setup.modifications().len(), 1);
    pass(30).await;
    assert!(setup.modifications().len() >= 3, "the verdict has changed: {}", setup.modifications().len());
}

/// The last patch names no version, so a conflict can only be somebody else's, such as a webhook's.
#[tokio::test(start_paused = true)]
async fn m2_ok_and_m3_answered_with_a_conflict_then_retry() {
    let setup = failing([]);
    let claims = testkit::api::Resource::find("PersistentVolumeClaim").unwrap();
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        (seen == 2 && call.is("patch", "persistentvolumeclaims/status"))
            .then(|| Failure::modified(claims, "claim"))
    });
    let _sidecar = setup.start(&[]);
    setup.until("it is applied", || is_applied(&setup, "target-vac")).await;
}

#[tokio::test(start_paused = true)]
async fn m2_ok_and_m3_failed_then_retry() {
    let setup = failing([]);
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        (seen == 2 && call.is("patch", "persistentvolumeclaims/status")).then(|| Failure::bad_request("no"))
    });
    let _sidecar = setup.start(&[]);
    setup.until("it is applied", || is_applied(&setup, "target-vac")).await;
    assert_eq!(setup.modifications().len(), 2);
    let failures = setup.reasons("claim").into_iter().filter(|reason| reason == "VolumeModifyFailed").count();
    assert_eq!(failures, 0, "no event for what is not the driver's answer");
    assert_eq!(setup.calls().iter().filter(|call| call.starts_with("patch persistentvolumes ")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn both_secrets_annotations_required() {
    const NAME: &str = "volume.kubernetes.io/controller-modify-secret-name";
    const NAMESPACE: &str = "volume.kubernetes.io/controller-modify-secret-namespace";
    for (annotations, expected) in [
        (json!({NAME: "modify", NAMESPACE: "default"}), "modify"),
        (json!({NAME: "modify"}), "expand"),
        (json!({NAMESPACE: "default"}), "expand"),
    ] {
        let setup = setup();
        for name in ["modify", "expand"] {
            let data = json!({"name": if name == "modify" { "bW9kaWZ5" } else { "ZXhwYW5k" }});
            setup
                .server
                .create(&json!({"kind": "Secret", "metadata": {"name": name, "namespace": "default"}, "data": data}))
                .unwrap();
        }
        let volume = json!({
            "metadata": {"annotations": annotations},
            "spec": {"csi": {"controllerExpandSecretRef": {"namespace": "default", "name": "expand"}}},
        });
        setup.bound("claim", "1Gi", &json!({"spec": {"volumeAttributesClassName": "target-vac"}}), &volume);
        let _sidecar = setup.start(&[]);
        setup.until("it is applied", || is_applied(&setup, "target-vac")).await;
        assert_eq!(setup.modifications()[0].secrets["name"], expected);
    }
}

#[tokio::test(start_paused = true)]
async fn rolling_back_to_the_current_class() {
    let setup = setup();
    setup
        .driver
        .script::<ControllerModifyVolumeRequest>([Step::Normal, Step::fail(Code::InvalidArgument, "no")]);
    wanting(&setup, "test-vac");
    let _sidecar = setup.start(&[]);
    setup.until("the first class", || is_applied(&setup, "test-vac")).await;
    setup.want_class("claim", "target-vac");
    setup.until("infeasible", || setup.status("claim")["modifyVolumeStatus"]["status"] == "Infeasible").await;
    setup.want_class("claim", "test-vac");
    setup.until("back", || is_applied(&setup, "test-vac")).await;
    assert_eq!(setup.modifications().len(), 3);
    assert!(setup.conditions("claim").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_class_for_another_driver_is_applied_with_a_warning() {
    let setup = setup();
    setup
        .server
        .create(&json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "foreign"},
            "driverName": "other", "parameters": {"iops": "1"},
        }))
        .unwrap();
    wanting(&setup, "foreign");
    let _sidecar = setup.start(&[]);
    setup.until("it is applied", || is_applied(&setup, "foreign")).await;
    let text = "VAC \"foreign\" is for driver other, it is given to driver foo all the same";
    setup.event("claim", "VolumeModify", text).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_changes_meanwhile_is_read_again_at_once() {
    let setup = failing([Code::Internal]);
    let claims = testkit::api::Resource::find("PersistentVolumeClaim").unwrap();
    let mut seen = 0;
    setup.server.intercept(move |call| {
        seen += usize::from(call.is("patch", "persistentvolumeclaims/status"));
        let conflicts = [1, 3].contains(&seen) && call.is("patch", "persistentvolumeclaims/status");
        conflicts.then(|| Failure::modified(claims, "claim"))
    });
    let _sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    pass(5).await;
    assert_eq!(setup.conditions("claim"), ["ModifyingVolume", "ModifyVolumeError"]);
    assert_eq!(setup.reasons("claim"), ["VolumeModify", "VolumeModifyFailed"]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_made_anew_inherits_no_uncertainty() {
    let setup = failing([Code::Aborted]);
    let _sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    setup.until("it is uncertain", || setup.conditions("claim").len() == 2).await;
    setup.server.delete("PersistentVolumeClaim", "default", "claim").unwrap();
    setup.server.delete("PersistentVolume", "", "pv-claim").unwrap();
    pass(1).await;
    let begun = json!({
        "spec": {"volumeAttributesClassName": "test-vac"},
        "status": {"modifyVolumeStatus": {"status": "InProgress", "targetVolumeAttributesClassName": "target-vac"}},
    });
    setup.bound("claim", "1Gi", &begun, &json!({}));
    setup.until("it is applied", || is_applied(&setup, "test-vac")).await;
    assert_eq!(setup.modifications().len(), 2);
    assert_eq!(setup.status("claim").get("modifyVolumeStatus"), None::<&Value>);
}
