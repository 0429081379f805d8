//! Objects for tests, as upstream's fixtures have them: driver `test-driver`, claim `fake-ns/fake-pvc` with UID
//! `testid` that asks for 100 bytes, volume names `test-` and five characters.

use serde_json::{Value, json};
use sidecar_core::objects::{Attachment, AttributesClass, Claim, Class, Interest, Kind, Projected, Volume};
use testkit::manifests::merge;

use super::driver::{Capabilities, Driver};
use super::names::{Provisioner, VolumeNaming};
use super::prepare::Settings;

pub(crate) fn settings() -> Settings {
    Settings {
        naming: VolumeNaming { prefix: "test".into(), uuid_length: Some(5) },
        default_fs_type: "ext4".into(),
        extra_create_metadata: false,
        controller_publish_readonly: false,
        topology: true,
        attributes_class: true,
        cross_namespace: false,
        keep_volume_mode: true,
        identity: "test-provisioner".into(),
    }
}

pub(crate) fn driver() -> Driver {
    Driver {
        names: Provisioner::new("test-driver"),
        capabilities: Capabilities {
            controller_service: true,
            create_delete_volume: true,
            ..Capabilities::default()
        },
    }
}

/// The fixture's claim with `overlay` merged over it.
pub(crate) fn claim(overlay: &Value) -> Claim {
    project(
        json!({
            "metadata": {
                "namespace": "fake-ns",
                "name": "fake-pvc",
                "uid": "testid",
                "resourceVersion": "7",
                "annotations": {"volume.kubernetes.io/storage-provisioner": "test-driver"},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "100"}},
                "storageClassName": "fake-sc",
            },
        }),
        overlay,
    )
}

/// The fixture's class with `overlay` merged over it.
pub(crate) fn class(overlay: &Value) -> Class {
    project(
        json!({
            "metadata": {"name": "fake-sc", "uid": "class-uid"},
            "provisioner": "test-driver",
            "reclaimPolicy": "Delete",
            "parameters": {},
        }),
        overlay,
    )
}

/// A bound dynamic volume with `overlay` merged over it.
pub(crate) fn volume(overlay: &Value) -> Volume {
    project(
        json!({
            "metadata": {
                "name": "pv",
                "uid": "volume-uid",
                "resourceVersion": "9",
                "annotations": {"pv.kubernetes.io/provisioned-by": "test-driver"},
            },
            "spec": {
                "csi": {"driver": "test-driver", "volumeHandle": "vol-id-1"},
                "claimRef": {"namespace": "fake-ns", "name": "fake-pvc", "uid": "testid"},
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "fake-sc",
            },
            "status": {"phase": "Bound"},
        }),
        overlay,
    )
}

pub(crate) fn attachment(volume: &str, node: &str) -> Attachment {
    project(
        json!({
            "metadata": {"name": "va", "uid": "attachment-uid"},
            "spec": {
                "attacher": "test-driver",
                "nodeName": node,
                "source": {"persistentVolumeName": volume},
            },
        }),
        &json!({}),
    )
}

pub(crate) fn attributes_class(driver: &str, parameters: &[(&str, &str)]) -> AttributesClass {
    let parameters: serde_json::Map<_, _> =
        parameters.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    project(json!({"metadata": {"name": "gold"}, "driverName": driver, "parameters": parameters}), &json!({}))
}

pub(crate) fn project<T: Kind>(mut base: Value, overlay: &Value) -> T {
    merge(&mut base, overlay);
    let text = base.to_string();
    let wire: T::Wire<'_> = serde_json::from_str(&text).unwrap();
    match T::project(wire, &Interest::everything()) {
        Projected::Own(object) => object,
        other => panic!("{other:?}"),
    }
}

/// Lays one overlay over another: what the upper one removes, both remove.
pub(crate) fn stack(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                stack(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}
