//! Snapshots as they are when snapshot controller and snapshotter have done their work.

use serde_json::{Value, json};
use testkit::api::ApiServer;
use testkit::driver::ScriptedDriver;

use testkit::manifests::merge;

use crate::setup::DRIVER;

pub(crate) const GROUP: &str = "snapshot.storage.k8s.io";
pub(crate) const PROTECTION: &str = "provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection";

/// Creates a ready snapshot of `size` bytes in driver and API, `fields` on top of the object.
pub(crate) fn create(server: &ApiServer, driver: &ScriptedDriver, name: &str, size: i64, fields: &Value) {
    let (id, content) = (id_of(name), content_of(name));
    driver.add_snapshot(&id, "origin", size);
    let mut object = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"source": {"volumeSnapshotContentName": content}},
    });
    merge(&mut object, fields);
    let uid = server.create(&object).unwrap()["metadata"]["uid"].clone();
    let status = json!({"status": {
        "boundVolumeSnapshotContentName": content, "readyToUse": true, "restoreSize": size.to_string(),
    }});
    server.patch_status("VolumeSnapshot", "default", name, &status).unwrap();
    server
        .create(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
            "metadata": {"name": content},
            "spec": {
                "deletionPolicy": "Delete", "driver": DRIVER, "source": {"snapshotHandle": id},
                "volumeSnapshotRef": {
                    "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                    "namespace": "default", "name": name, "uid": uid,
                },
            },
        }))
        .unwrap();
    let status = json!({"status": {"snapshotHandle": id, "readyToUse": true, "restoreSize": size}});
    server.patch_status("VolumeSnapshotContent", "", &content, &status).unwrap();
}

/// What the driver calls the snapshot of this name.
pub(crate) fn id_of(name: &str) -> String {
    format!("{name}-id")
}

/// The name of its content.
pub(crate) fn content_of(name: &str) -> String {
    format!("{name}-content")
}

/// A reference to the snapshot of this name.
pub(crate) fn source(name: &str) -> Value {
    json!({"kind": "VolumeSnapshot", "apiGroup": GROUP, "name": name})
}
