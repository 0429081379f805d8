//! Manifests that many tests need, as short calls.

/// Merges a manifest over another one; `null` removes.
pub use json_patch::merge;
use serde_json::{Value, json};

use crate::api::doc;

/// Both, the second on top; its nulls are kept, for whoever merges the outcome.
#[must_use]
pub fn both(mut one: Value, other: Value) -> Value {
    match (&mut one, other) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                let field = fields.remove(&key).unwrap_or_else(|| json!({}));
                fields.insert(key, both(field, change));
            }
            one
        }
        (_, other) => other,
    }
}

/// A StorageClass that deletes and binds immediately.
pub fn class(name: &str, provisioner: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name}, "provisioner": provisioner,
    })
}

/// A StorageClass that waits for the first consumer.
pub fn late_class(name: &str, provisioner: &str) -> Value {
    let mut class = class(name, provisioner);
    doc::set(&mut class, &["volumeBindingMode"], "WaitForFirstConsumer");
    class
}

/// A claim of 1 GiB, ReadWriteOnce, in the namespace `default`.
pub fn claim(name: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    })
}

/// A pod in the namespace `default` that uses a claim.
pub fn pod(name: &str, claim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "containers": [{"name": "main", "image": "none"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })
}

/// A node.
pub fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
    })
}

/// A volume of 1 GiB of a CSI driver.
pub fn volume(name: &str, driver: &str, handle: &str, class: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Delete",
            "csi": {"driver": driver, "volumeHandle": handle},
        },
    })
}
