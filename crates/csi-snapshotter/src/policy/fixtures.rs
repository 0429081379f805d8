//! Objects for tests: content `content1` of driver `mock`, to be taken of `volume-handle1` for `snap1` with class
//! `class-gold`; group content `group1` likewise of two volumes.

use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json};
use sidecar_core::objects::{GroupContent, Interest, Kind, Projected, SnapshotClass, SnapshotContent};

/// The content with `overlay` merged over it.
pub(crate) fn content(overlay: &Value) -> SnapshotContent {
    project(
        json!({
            "metadata": {"name": "content1", "uid": "content-uid", "resourceVersion": "7"},
            "spec": {
                "driver": "mock", "deletionPolicy": "Delete", "volumeSnapshotClassName": "class-gold",
                "source": {"volumeHandle": "volume-handle1"},
                "volumeSnapshotRef": {"name": "snap1", "namespace": "default", "uid": "snapuid1"},
            },
        }),
        overlay,
    )
}

/// The content of a group with `overlay` merged over it.
pub(crate) fn group(overlay: &Value) -> GroupContent {
    project(
        json!({
            "metadata": {"name": "group1", "uid": "content-uid", "resourceVersion": "7"},
            "spec": {
                "driver": "mock", "deletionPolicy": "Delete", "volumeGroupSnapshotClassName": "class-gold",
                "source": {"volumeHandles": ["volume-handle1", "volume-handle2"]},
                "volumeGroupSnapshotRef": {"name": "snap1", "namespace": "default", "uid": "snapuid1"},
            },
        }),
        overlay,
    )
}

/// `class-gold` with `overlay` merged over it.
pub(crate) fn class(overlay: &Value) -> SnapshotClass {
    project(
        json!({"metadata": {"name": "class-gold"}, "driver": "mock", "deletionPolicy": "Delete"}),
        overlay,
    )
}

fn project<T: Kind>(mut base: Value, overlay: &Value) -> T {
    merge(&mut base, overlay);
    let bytes = serde_json::to_vec(&base).unwrap();
    match Json.object(&bytes, &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        other => panic!("not kept: {other:?}"),
    }
}

fn merge(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                if change.is_null() {
                    fields.remove(key);
                } else {
                    merge(fields.entry(key.clone()).or_insert(json!({})), change);
                }
            }
        }
        (base, overlay) => *base = overlay.clone(),
    }
}
