//! What goes over the wire.

use serde_json::{Value, json};

use super::*;

fn sent<T: Serialize>(object: &T) -> Value {
    serde_json::to_value(object).unwrap()
}

#[test]
fn absent_fields_are_not_sent() {
    let snapshot = VolumeSnapshot::default();
    let expected = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {},
        "spec": {"source": {}},
    });
    assert_eq!(sent(&snapshot), expected);

    let content = VolumeSnapshotContent::default();
    let expected = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent", "metadata": {},
        "spec": {"deletionPolicy": "Retain", "driver": "", "source": {}, "volumeSnapshotRef": {}},
    });
    assert_eq!(sent(&content), expected, "sourceVolumeMode is left out, too");

    let expected = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass", "metadata": {},
        "deletionPolicy": "Retain", "driver": "",
    });
    assert_eq!(sent(&VolumeGroupSnapshotClass::default()), expected);
}

/// Reads an object as `T`, writes it, and expects the same.
fn round_trip<T: Serialize + for<'a> Deserialize<'a>>(object: &Value) {
    let read: T = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(&sent(&read), object);
}

#[test]
fn every_field_of_annex_a_is_read_and_written() {
    let error = json!({"message": "no", "time": "2026-01-02T03:04:05Z"});
    round_trip::<VolumeSnapshot>(&json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "s", "namespace": "n", "uid": "u"},
        "spec": {
            "source": {"persistentVolumeClaimName": "c", "volumeSnapshotContentName": "v"},
            "volumeSnapshotClassName": "k",
        },
        "status": {
            "boundVolumeSnapshotContentName": "v", "creationTime": "2026-01-02T03:04:05Z", "error": error,
            "readyToUse": true, "restoreSize": "1Gi", "volumeGroupSnapshotName": "g",
        },
    }));
    round_trip::<VolumeSnapshotContent>(&json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent", "metadata": {"name": "v"},
        "spec": {
            "deletionPolicy": "Delete", "driver": "d", "source": {"snapshotHandle": "h", "volumeHandle": "w"},
            "sourceVolumeMode": "Block", "volumeSnapshotClassName": "k",
            "volumeSnapshotRef": {
                "apiVersion": "snapshot.storage.k8s.io/v1", "fieldPath": "f", "kind": "VolumeSnapshot", "name": "s",
                "namespace": "n", "resourceVersion": "7", "uid": "u",
            },
        },
        "status": {
            "creationTime": 1, "error": error, "readyToUse": false, "restoreSize": 2, "snapshotHandle": "h",
            "volumeGroupSnapshotHandle": "g",
        },
    }));
    round_trip::<VolumeSnapshotClass>(&json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": "k"},
        "deletionPolicy": "Delete", "driver": "d", "parameters": {"a": "b"},
    }));
    round_trip::<VolumeGroupSnapshot>(&json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshot", "metadata": {"name": "g"},
        "spec": {
            "source": {
                "selector": {
                    "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}],
                    "matchLabels": {"c": "d"},
                },
                "volumeGroupSnapshotContentName": "v",
            },
            "volumeGroupSnapshotClassName": "k",
        },
        "status": {
            "boundVolumeGroupSnapshotContentName": "v", "creationTime": "2026-01-02T03:04:05Z", "error": error,
            "readyToUse": true,
        },
    }));
    round_trip::<VolumeGroupSnapshotContent>(&json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotContent",
        "metadata": {"name": "v"},
        "spec": {
            "deletionPolicy": "Delete", "driver": "d",
            "source": {
                "groupSnapshotHandles": {"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["h"]},
                "volumeHandles": ["w"],
            },
            "volumeGroupSnapshotClassName": "k", "volumeGroupSnapshotRef": {"name": "g", "namespace": "n"},
        },
        "status": {
            "creationTime": "2026-01-02T03:04:05Z", "error": error, "readyToUse": true,
            "volumeGroupSnapshotHandle": "g",
            "volumeSnapshotInfoList": [{
                "creationTime": 1, "readyToUse": true, "restoreSize": 2, "snapshotHandle": "h", "volumeHandle": "w",
            }],
        },
    }));
}

#[test]
fn another_version_is_not_taken_for_v1() {
    let beta = json!({"apiVersion": "snapshot.storage.k8s.io/v1beta1", "spec": {"source": {}}});
    let error = serde_json::from_value::<VolumeSnapshot>(beta).unwrap_err().to_string();
    assert!(error.contains("v1beta1"), "{error}");
}
