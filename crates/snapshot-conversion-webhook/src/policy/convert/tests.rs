//! Annex B, row by row.

use serde_json::json;

use super::*;

const V1: &str = "groupsnapshot.storage.k8s.io/v1";
const BETA1: &str = "groupsnapshot.storage.k8s.io/v1beta1";
const BETA2: &str = "groupsnapshot.storage.k8s.io/v1beta2";

/// A content; null stands for no annotations, and for no status.
fn content(version: &str, annotations: Value, status: Value) -> Value {
    let mut content = json!({
        "apiVersion": version, "kind": "VolumeGroupSnapshotContent", "metadata": {"name": "c", "uid": "u"},
        "spec": {"driver": "d"},
    });
    if !annotations.is_null() {
        content["metadata"]["annotations"] = annotations;
    }
    if !status.is_null() {
        content["status"] = status;
    }
    content
}

fn list() -> Value {
    json!([
        {"creationTime": 1, "readyToUse": true, "restoreSize": 2, "snapshotHandle": "s1", "volumeHandle": "v1"},
        {"snapshotHandle": "s2", "volumeHandle": "v2"},
    ])
}

fn pairs() -> Value {
    json!([{"snapshotHandle": "s1", "volumeHandle": "v1"}, {"snapshotHandle": "s2", "volumeHandle": "v2"}])
}

fn annotation() -> Value {
    json!({INFO_LIST: list().to_string()})
}

#[test]
fn beta1_to_beta2_with_annotation_and_status() {
    let status = json!({"readyToUse": true, PAIRS: pairs()});
    let mut annotations = annotation();
    annotations["other"] = "kept".into();
    let converted = convert(content(BETA1, annotations, status), BETA2).unwrap();
    let expected = content(BETA2, json!({"other": "kept"}), json!({"readyToUse": true, LIST: list()}));
    assert_eq!(converted, expected);
}

#[test]
fn beta1_to_beta2_with_annotation_without_status() {
    let converted = convert(content(BETA1, annotation(), Value::Null), BETA2).unwrap();
    assert_eq!(converted, content(BETA2, Value::Null, json!({LIST: list()})));
}

#[test]
fn beta1_to_beta2_without_annotation_with_status() {
    let status = json!({"readyToUse": false, PAIRS: pairs()});
    let converted = convert(content(BETA1, json!({"other": "kept"}), status), BETA2).unwrap();
    let expected = content(BETA2, json!({"other": "kept"}), json!({"readyToUse": false, LIST: pairs()}));
    assert_eq!(converted, expected);
}

#[test]
fn beta1_to_beta2_without_annotation_and_status() {
    let converted = convert(content(BETA1, Value::Null, Value::Null), BETA2).unwrap();
    assert_eq!(converted, content(BETA2, Value::Null, Value::Null));
}

#[test]
fn beta2_to_beta1_with_a_list() {
    let status = json!({"readyToUse": true, LIST: list()});
    let converted = convert(content(BETA2, json!({"other": "kept"}), status), BETA1).unwrap();
    let text = concat!(
        r#"[{"creationTime":1,"readyToUse":true,"restoreSize":2,"snapshotHandle":"s1","volumeHandle":"v1"},"#,
        r#"{"snapshotHandle":"s2","volumeHandle":"v2"}]"#,
    );
    let annotations = json!({"other": "kept", INFO_LIST: text});
    assert_eq!(converted, content(BETA1, annotations, json!({"readyToUse": true, PAIRS: pairs()})));
}

#[test]
fn beta2_to_beta1_without_a_list() {
    for status in [Value::Null, json!({"readyToUse": true})] {
        let converted = convert(content(BETA2, Value::Null, status.clone()), BETA1).unwrap();
        assert_eq!(converted, content(BETA1, Value::Null, status));
    }
}

/// 13.15.
#[test]
fn v1_is_the_same_as_beta2() {
    let status = json!({LIST: list()});
    for (from, to) in [(V1, BETA2), (BETA2, V1)] {
        let converted = convert(content(from, Value::Null, status.clone()), to).unwrap();
        assert_eq!(converted, content(to, Value::Null, status.clone()));
    }
    let old = convert(content(V1, Value::Null, status.clone()), BETA1).unwrap();
    assert_eq!(old, content(BETA1, annotation(), json!({PAIRS: pairs()})));
    assert_eq!(convert(old, V1).unwrap(), content(V1, Value::Null, status), "nothing is lost there and back");
}

fn refused(object: Value, wanted: &str) -> String {
    convert(object, wanted).unwrap_err().to_string()
}

#[test]
fn a_version_is_not_converted_to_itself() {
    let expected = "conversion from a version to itself should not call the webhook: groupsnapshot.storage.k8s.io/v1beta1";
    assert_eq!(refused(content(BETA1, Value::Null, Value::Null), BETA1), expected);
}

#[test]
fn other_kinds_are_refused() {
    let group = json!({"apiVersion": BETA1, "kind": "VolumeGroupSnapshot", "metadata": {"name": "g"}});
    assert_eq!(refused(group, BETA2), r#"unexpected conversion kind "VolumeGroupSnapshot""#);
}

#[test]
fn other_versions_and_groups_are_refused() {
    for (from, to) in [
        (BETA1, "groupsnapshot.storage.k8s.io/v2"),
        ("groupsnapshot.storage.k8s.io/v1alpha1", BETA2),
        (BETA1, "snapshot.storage.k8s.io/v1"),
        ("v1beta1", BETA2),
    ] {
        let expected = format!("unexpected conversion version from {from:?} to {to:?}");
        assert_eq!(refused(content(from, Value::Null, Value::Null), to), expected);
    }
}

#[test]
fn a_bad_annotation_is_refused() {
    let prefix = r#"unable to deserialize annotation "groupsnapshot.storage.kubernetes.io/volume-snapshot-info-list": "#;
    for text in ["", "[", "no json"] {
        let error = refused(content(BETA1, json!({INFO_LIST: text}), Value::Null), BETA2);
        assert!(error.strip_prefix(prefix).is_some_and(|reason| !reason.is_empty()), "{error}");
    }
}

/// UPSTREAM-BUG: the connection breaks, as upstream's program panics.
#[test]
fn an_annotation_that_is_no_list_is_refused() {
    for text in ["{}", "null", "1", "\"list\""] {
        let error = refused(content(BETA1, json!({INFO_LIST: text}), Value::Null), BETA2);
        assert!(error.ends_with("volume-snapshot-info-list\": it is not a list"), "{error}");
    }
}
