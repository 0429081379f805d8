use sidecar_core::objects::Interned;

use super::*;
use crate::policy::fixtures::claim;

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-11-21T05:00:00Z";

fn size(text: &str) -> Size {
    Size::new(&Interned::new(text))
}

/// A claim in this state, with these conditions.
fn with(progress: &Value, conditions: &[&str]) -> Claim {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": THEN}))
        .collect();
    claim(&json!({"status": {
        "allocatedResources": {"storage": "2Gi"}, "allocatedResourceStatuses": progress, "conditions": conditions,
    }}))
}

fn resizing() -> Value {
    json!({"type": "Resizing", "status": "True", "lastProbeTime": null, "lastTransitionTime": NOW})
}

#[test]
fn pvc_patch_with_rv_check() {
    let patch = resize_started(&claim(&json!({})), &size("2Gi"), false, NOW).unwrap();
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    assert_eq!(patch["metadata"]["uid"], Value::Null);
    let patch = resize_failed(&claim(&json!({})), "x", false, NOW).unwrap();
    assert_eq!(patch["metadata"], json!({"uid": "claim-uid"}), "no version, but no other claim either");
}

#[test]
fn no_r_mark_in_progress() {
    let patch = resize_started(&claim(&json!({})), &size("2Gi"), false, NOW).unwrap();
    assert_eq!(
        patch,
        json!({
            "metadata": {"resourceVersion": "7"},
            "status": {
                "allocatedResources": {"storage": "2Gi"},
                "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
                "conditions": [resizing()],
            },
        })
    );
}

#[test]
fn a_new_target_drops_what_was_said_about_the_old_one() {
    let pending = ["FileSystemResizePending", "ControllerResizeError", "NodeResizeError", "ModifyingVolume"];
    let claim = with(&json!({"storage": "NodeResizeInfeasible"}), &pending);
    let patch = resize_started(&claim, &size("3Gi"), false, NOW).unwrap();
    let delete = |kind: &str| json!({"$patch": "delete", "type": kind});
    assert_eq!(
        patch["status"]["conditions"],
        json!([resizing(), delete(pending[0]), delete(pending[1]), delete(pending[2])])
    );
    assert_eq!(patch["status"]["allocatedResources"], json!({"storage": "3Gi"}));
}

#[test]
fn a_repeated_start_writes_nothing() {
    let claim =
        with(&json!({"storage": "ControllerResizeInfeasible"}), &["Resizing", "ControllerResizeError"]);
    assert_eq!(resize_started(&claim, &size("2048Mi"), true, NOW), None, "same amount, same state");
    let fresh = with(&json!({"storage": "NodeResizeInfeasible"}), &["NodeResizeError"]);
    let patch = resize_started(&fresh, &size("2Gi"), true, NOW).unwrap();
    assert_eq!(patch["status"], json!({"conditions": [resizing()]}), "state and other conditions stay");
}

#[test]
fn node_expansion_not_required_is_removed_on_the_next_expand() {
    let annotated =
        claim(&json!({"metadata": {"annotations": {EXPANSION_NOT_REQUIRED: "true", "other": "x"}}}));
    for patch in [resize_started(&annotated, &size("2Gi"), false, NOW), node_pending(&annotated, NOW)] {
        assert_eq!(patch.unwrap()["metadata"]["annotations"], json!({EXPANSION_NOT_REQUIRED: null}));
    }
}

#[test]
fn no_r_mark_infeasible() {
    let patch = resize_failed(&with(&json!({}), &["Resizing"]), "rpc error: x", true, NOW).unwrap();
    assert_eq!(
        patch["status"],
        json!({
            "allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"},
            "conditions": [{
                "type": "ControllerResizeError", "status": "True", "lastProbeTime": null,
                "lastTransitionTime": NOW, "message": "failed to expand pvc with rpc error: x",
            }],
        })
    );
}

#[test]
fn no_r_mark_node_pending() {
    let patch = node_pending(&with(&json!({}), &["Resizing"]), NOW).unwrap();
    assert_eq!(patch["status"]["allocatedResourceStatuses"], json!({"storage": "NodeResizePending"}));
    assert_eq!(patch["status"]["conditions"][0]["type"], "FileSystemResizePending");
    assert_eq!(patch["status"]["conditions"].as_array().unwrap().len(), 1, "Resizing stays for kubelet");
}

#[test]
fn other_resources_are_not_named() {
    let mixed = || json!({"cpu": "ControllerResizeInfeasible", "storage": "NodeResizePending"});
    let patch = resize_finished(&with(&mixed(), &[]), "2Gi", NOW).unwrap();
    assert_eq!(patch["status"]["allocatedResourceStatuses"], json!({"storage": null}));
    let patch = resize_started(&with(&mixed(), &[]), &size("3Gi"), false, NOW).unwrap();
    assert_eq!(
        patch["status"]["allocatedResourceStatuses"],
        json!({"storage": "ControllerResizeInProgress"})
    );
}

#[test]
fn finished_drops_all_about_the_expansion() {
    let claim = with(&json!({"storage": "ControllerResizeInProgress"}), &["Resizing", "ModifyingVolume"]);
    assert_eq!(
        resize_finished(&claim, "2Gi", NOW).unwrap(),
        json!({
            "metadata": {"resourceVersion": "7", "annotations": {EXPANSION_NOT_REQUIRED: "true"}},
            "status": {
                "capacity": {"storage": "2Gi"},
                "allocatedResourceStatuses": {"storage": null},
                "conditions": [{"$patch": "delete", "type": "Resizing"}],
            },
        })
    );
}

#[test]
fn without_recovery_only_conditions_and_capacity_are_written() {
    let claim = with(&json!({"storage": "NodeResizeInfeasible"}), &["FileSystemResizePending"]);
    let delete = |kind: &str| json!({"$patch": "delete", "type": kind});
    let started = legacy_started(&claim, NOW).unwrap();
    assert_eq!(started["status"], json!({"conditions": [resizing(), delete("FileSystemResizePending")]}));
    let finished = legacy_finished(&claim, "2Gi", NOW).unwrap();
    assert_eq!(
        finished["status"],
        json!({"capacity": {"storage": "2Gi"}, "conditions": [delete("FileSystemResizePending")]})
    );
    let pending = legacy_node_pending(&with(&json!({}), &["Resizing"]), NOW).unwrap();
    assert_eq!(pending["status"]["conditions"][1], delete("Resizing"));
    assert_eq!(pending["metadata"], json!({"resourceVersion": "7"}));
}

fn modifying(status: &Value, conditions: &Value) -> Claim {
    claim(&json!({
        "spec": {"volumeAttributesClassName": "gold"},
        "status": {"modifyVolumeStatus": status, "conditions": conditions},
    }))
}

fn modify_condition(kind: &str, reason: &str, message: &str) -> Value {
    let mut condition = json!({
        "type": kind, "status": "True", "lastProbeTime": NOW, "lastTransitionTime": NOW, "message": message,
    });
    if !reason.is_empty() {
        condition["reason"] = reason.into();
    }
    condition
}

#[test]
fn mark_in_progress() {
    let patch = modify_started(&modifying(&Value::Null, &json!([])), "gold", NOW).unwrap();
    assert_eq!(
        patch,
        json!({
            "metadata": {"resourceVersion": "7"},
            "status": {
                "modifyVolumeStatus": {"status": "InProgress", "targetVolumeAttributesClassName": "gold"},
                "conditions": [modify_condition(
                    "ModifyingVolume", "", "Modifying volume to \"gold\" is in progress."
                )],
            },
        })
    );
}

#[test]
fn mark_pending_leaves_conditions_and_target_untouched() {
    let conditions = json!([{"type": "ModifyVolumeError", "status": "True"}]);
    let old = modifying(
        &json!({"status": "Infeasible", "targetVolumeAttributesClassName": "whatever"}),
        &conditions,
    );
    let patch = modify_pending(&old).unwrap();
    assert_eq!(patch["status"], json!({"modifyVolumeStatus": {"status": "Pending"}}));
    let waiting = modifying(&json!({"status": "Pending"}), &json!([]));
    assert_eq!(modify_pending(&waiting), None);
}

#[test]
fn mark_final_non_final_and_infeasible() {
    let begun = json!({"status": "InProgress", "targetVolumeAttributesClassName": "gold"});
    let claim = modifying(&begun, &json!([]));
    let error = ModifyError { uncertain: false, infeasible: false, code: "Internal", message: "no" };
    let failed = |error| modify_failed(&claim, "gold", error, NOW).unwrap()["status"].clone();
    let failure = "Modifying volume to \"gold\" failed. Waiting for retry.";
    assert_eq!(
        failed(error),
        json!({"conditions": [
            modify_condition("ModifyingVolume", "", failure),
            modify_condition("ModifyVolumeError", "Internal", "no"),
        ]})
    );
    let infeasible = failed(ModifyError { infeasible: true, code: "InvalidArgument", ..error });
    assert_eq!(infeasible["modifyVolumeStatus"], json!({"status": "Infeasible"}));
    assert_eq!(infeasible["conditions"][0]["message"], failure);
    let uncertain = failed(ModifyError { uncertain: true, code: "Aborted", ..error });
    assert_eq!(uncertain.get("modifyVolumeStatus"), None);
    assert_eq!(uncertain["conditions"][0]["message"], "Modifying volume to \"gold\" is still in progress.");
    assert_eq!(uncertain["conditions"][1]["reason"], "Aborted");
}

#[test]
fn mark_completed() {
    let begun = || json!({"status": "InProgress", "targetVolumeAttributesClassName": "gold"});
    let delete = |kind: &str| json!({"$patch": "delete", "type": kind});
    let conditions = json!([
        {"type": "ModifyingVolume", "status": "True"},
        {"type": "Custom", "status": "True"},
        {"type": "ModifyVolumeError", "status": "True"},
    ]);
    assert_eq!(
        modify_finished(&modifying(&begun(), &conditions), "gold").unwrap(),
        json!({
            "metadata": {"uid": "claim-uid"},
            "status": {
                "currentVolumeAttributesClassName": "gold",
                "modifyVolumeStatus": null,
                "conditions": [delete("ModifyingVolume"), delete("ModifyVolumeError")],
            },
        })
    );
    let late = modify_finished(&modifying(&begun(), &json!([])), "gold").unwrap();
    let both = json!([delete("ModifyingVolume"), delete("ModifyVolumeError")]);
    assert_eq!(late["status"]["conditions"], both, "a failure whose answer was lost may be there");
}

#[test]
fn canceled_drops_one_condition() {
    let conditions = json!([{"type": "ModifyingVolume", "status": "True"}, {"type": "ModifyVolumeError", "status": "True"}]);
    let patch = modify_canceled(&modifying(&json!({"status": "Infeasible"}), &conditions)).unwrap();
    assert_eq!(patch["status"], json!({"conditions": [{"$patch": "delete", "type": "ModifyingVolume"}]}));
}
