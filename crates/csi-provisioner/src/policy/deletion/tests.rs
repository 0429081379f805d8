//! Sheet 11.9 and the volume rows of 11.12.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // fixtures in the shape of what they stand for

use serde_json::{Value, json};

use super::*;
use crate::policy::fixtures::{attachment, class, driver, volume};

fn owned(driver: &str, overlay: &Value) -> bool {
    is_owned(&Provisioner::new(driver), &volume(overlay))
}

fn provisioned_by(name: Value, migrated_to: Value, spec: Value) -> Value {
    json!({
        "metadata": {"annotations": {
            "pv.kubernetes.io/provisioned-by": name,
            "pv.kubernetes.io/migrated-to": migrated_to,
        }},
        "spec": spec,
    })
}

const EBS: &str = "ebs.csi.aws.com";
const EBS_IN_TREE: &str = "kubernetes.io/aws-ebs";

fn in_tree_spec() -> Value {
    json!({"csi": null, "awsElasticBlockStore": {"volumeID": "vol-1"}})
}

#[test]
fn ownership_provisioned_by_ours() {
    assert!(owned("test-driver", &json!({})));
    assert!(owned(EBS, &provisioned_by(json!(EBS), json!(null), json!({}))));
    assert!(owned(EBS, &provisioned_by(json!(EBS_IN_TREE), json!(null), in_tree_spec())));
}

#[test]
fn ownership_provisioned_by_and_migrated_to_ours() {
    assert!(owned(EBS, &provisioned_by(json!(EBS_IN_TREE), json!(EBS), in_tree_spec())));
    assert!(owned(EBS, &provisioned_by(json!("other"), json!(EBS), in_tree_spec())));
}

#[test]
fn ownership_static_csi_with_our_driver() {
    assert!(owned("test-driver", &provisioned_by(json!(null), json!(null), json!({}))));
}

#[test]
fn ownership_static_in_tree_with_migrated_to_ours() {
    assert!(owned(EBS, &provisioned_by(json!(null), json!(EBS), in_tree_spec())));
}

#[test]
fn ownership_provisioned_by_other_with_or_without_migrated_to_other() {
    for spec in [json!({}), in_tree_spec()] {
        assert!(!owned("test-driver", &provisioned_by(json!("other"), json!(null), spec.clone())));
        assert!(!owned("test-driver", &provisioned_by(json!("other"), json!("other.csi"), spec)));
    }
}

#[test]
fn ownership_static_csi_other_driver() {
    let spec = json!({"csi": {"driver": "other"}});
    assert!(!owned("test-driver", &provisioned_by(json!(null), json!(null), spec)));
}

#[test]
fn ownership_static_in_tree_without_migrated_to_or_migrated_to_other() {
    assert!(!owned(EBS, &provisioned_by(json!(null), json!(null), in_tree_spec())));
    assert!(!owned(EBS, &provisioned_by(json!(null), json!("other"), in_tree_spec())));
}

const OURS: &str = VOLUME_FINALIZER;

fn state(phase: &str, policy: &str, finalizers: &[&str], deleting: bool) -> Volume {
    volume(&json!({
        "metadata": {
            "finalizers": finalizers,
            "deletionTimestamp": deleting.then_some("2026-11-21T00:00:00Z"),
        },
        "spec": {"persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }))
}

#[test]
fn should_delete_released_delete_finalizer_deleting_or_not() {
    assert!(should_delete(&state("Released", "Delete", &[OURS], false)));
    assert!(should_delete(&state("Released", "Delete", &[OURS], true)));
    assert!(should_delete(&state("Released", "Delete", &[], false)));
}

#[test]
fn should_delete_phase_failed_bound_policy_retain_deletion_timestamp_set_without_finalizer() {
    assert!(!should_delete(&state("Failed", "Delete", &[OURS], false)));
    assert!(!should_delete(&state("Bound", "Delete", &[OURS], false)));
    assert!(!should_delete(&state("Available", "Delete", &[OURS], false)));
    assert!(!should_delete(&state("Released", "Retain", &[OURS], false)));
    assert!(!should_delete(&state("Released", "Delete", &[], true)));
    assert!(!should_delete(&state("Released", "Delete", &["foreign"], true)));
}

#[test]
fn finalizer_is_added_to_bound_volumes_that_will_be_deleted() {
    assert_eq!(finalizer_change(&state("Bound", "Delete", &[], false)), Some(FinalizerChange::Add));
    assert_eq!(finalizer_change(&state("Bound", "Delete", &["x"], false)), Some(FinalizerChange::Add));
    for unchanged in [
        state("Bound", "Delete", &[OURS], false),
        state("Bound", "Delete", &[], true),
        state("Released", "Delete", &[], false),
        state("Bound", "Retain", &[], false),
    ] {
        assert_eq!(finalizer_change(&unchanged), None);
    }
}

#[test]
fn policy_retain_with_finalizer() {
    for policy in ["Retain", "Recycle"] {
        for phase in ["Bound", "Released", "Pending"] {
            let volume = state(phase, policy, &["x", OURS], false);
            assert_eq!(finalizer_change(&volume), Some(FinalizerChange::Remove));
        }
    }
}

#[test]
fn delete_without_csi_source() {
    let volume = volume(&json!({"spec": {"csi": null, "nfs": {"server": "s", "path": "/"}}}));
    assert_eq!(doomed(&driver(), &volume).unwrap_err(), "invalid CSI PV");
}

#[test]
fn delete_needs_capabilities() {
    let mut driver = driver();
    let expected = Doomed { handle: "vol-id-1".into(), migrated: false };
    assert_eq!(doomed(&driver, &volume(&json!({}))).unwrap(), expected);
    driver.capabilities.create_delete_volume = false;
    assert!(doomed(&driver, &volume(&json!({}))).unwrap_err().contains("CREATE_DELETE_VOLUME"));
}

#[test]
fn delete_in_tree_pv_and_csi_pv() {
    let mut driver = driver();
    driver.names = Provisioner::new(EBS);
    let expected = Doomed { handle: "vol-1".into(), migrated: true };
    let in_tree =
        json!({"spec": {"csi": null, "awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-1"}}});
    assert_eq!(doomed(&driver, &volume(&in_tree)).unwrap(), expected, "translated handle");
    let expected = Doomed { handle: "vol-id-1".into(), migrated: false };
    assert_eq!(doomed(&driver, &volume(&json!({}))).unwrap(), expected, "own handle");
    let broken = json!({"spec": {"csi": null, "awsElasticBlockStore": {"volumeID": "aws://x/y/z"}}});
    assert!(doomed(&driver, &volume(&broken)).is_err());
}

#[test]
fn still_attached_names_volume_and_node() {
    let text = still_attached(&volume(&json!({})), &attachment("pv", "node-1"));
    assert_eq!(text, "persistentvolume pv is still attached to node node-1");
}

const NAME: &str = "volume.kubernetes.io/provisioner-deletion-secret-name";
const NAMESPACE: &str = "volume.kubernetes.io/provisioner-deletion-secret-namespace";

fn with_secrets(name: Value, namespace: Value) -> Value {
    json!({"metadata": {"annotations": {NAME: name, NAMESPACE: namespace}}})
}

fn class_with_secret() -> Class {
    class(&json!({"parameters": {
        "csi.storage.k8s.io/provisioner-secret-name": "class-secret-${pvc.name}",
        "csi.storage.k8s.io/provisioner-secret-namespace": "default",
    }}))
}

#[test]
fn sc_template_name_only_is_invalid() {
    let class = class(&json!({"parameters": {"csi.storage.k8s.io/provisioner-secret-name": "name"}}));
    let volume = volume(&with_secrets(json!(null), json!(null)));
    let error = secret(&driver().names, &volume, Some(&class)).unwrap_err().to_string();
    assert!(error.starts_with("failed to get secretreference for volume pv: "), "{error}");
}

#[test]
fn deletion_annotations_empty_class_present_or_absent() {
    let volume = volume(&with_secrets(json!(""), json!("")));
    assert_eq!(secret(&driver().names, &volume, Some(&class_with_secret())).unwrap(), SecretChoice::Without);
    assert_eq!(secret(&driver().names, &volume, None).unwrap(), SecretChoice::Without);
}

#[test]
fn exactly_one_annotation_empty_is_no_secret() {
    let volume = volume(&with_secrets(json!("name"), json!("")));
    assert_eq!(secret(&driver().names, &volume, Some(&class_with_secret())).unwrap(), SecretChoice::Without);
}

#[test]
fn annotations_set_class_present_absent_modified() {
    let volume = volume(&with_secrets(json!("annotated"), json!("ns")));
    let expected = SecretChoice::Fetch(SecretRef { name: "annotated".into(), namespace: "ns".into() });
    for class in [Some(class_with_secret()), None, Some(class(&json!({})))] {
        assert_eq!(secret(&driver().names, &volume, class.as_ref()).unwrap(), expected);
    }
}

#[test]
fn no_annotations_beta_class_annotation_on_volume_with_claim_ref() {
    for missing in [(json!(null), json!(null)), (json!("half"), json!(null))] {
        let mut overlay = with_secrets(missing.0, missing.1);
        overlay["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"] = json!("fake-sc");
        let volume = volume(&overlay);
        assert_eq!(volume.class.as_deref(), Some("fake-sc"));
        let expected = SecretChoice::Fetch(SecretRef {
            name: "class-secret-fake-pvc".into(),
            namespace: "default".into(),
        });
        assert_eq!(secret(&driver().names, &volume, Some(&class_with_secret())).unwrap(), expected);
        assert!(matches!(secret(&driver().names, &volume, None).unwrap(), SecretChoice::Unknown(_)));
    }
}

#[test]
fn no_class_name_or_no_claim_ref() {
    let mut overlay = with_secrets(json!(null), json!(null));
    overlay["spec"] = json!({"storageClassName": ""});
    assert_eq!(
        secret(&driver().names, &volume(&overlay), Some(&class_with_secret())).unwrap(),
        SecretChoice::Without
    );
    overlay["spec"] = json!({"claimRef": null});
    let unknown = secret(&driver().names, &volume(&overlay), Some(&class_with_secret())).unwrap();
    assert!(matches!(unknown, SecretChoice::Unknown(_)));
}

#[test]
fn add_and_remove_finalizer_helpers() {
    let of = |finalizers: &[&str], change| {
        let volume = state("Bound", "Delete", finalizers, false);
        finalizers_after(&volume, change).join(" ")
    };
    assert_eq!(of(&["a", "b"], FinalizerChange::Add), format!("a b {OURS}"), "appended at the end");
    assert_eq!(of(&["a", OURS, "b"], FinalizerChange::Add), format!("a b {OURS}"), "never twice");
    assert_eq!(of(&["a", OURS, "b"], FinalizerChange::Remove), "a b", "order kept");
    assert_eq!(of(&["a"], FinalizerChange::Remove), "a");
    assert_eq!(of(&[OURS], FinalizerChange::Remove), "");
}
