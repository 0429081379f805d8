//! Objects as a real API server sends them, managed fields included.

use serde_json::{Value, json};

use super::super::{Decoder, Json};
use crate::objects::{Interest, Kind, Projected};

pub(super) const DRIVER: &str = "hostpath.csi.k8s.io";
pub(super) const CLAIM_UID: &str = "3d0a31a6-2b1c-4c9f-9b0c-0123456789ab";

pub(super) fn managed_fields() -> Value {
    json!([{
        "manager": "csi-provisioner", "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T05:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:pv.kubernetes.io/provisioned-by": {}}}}
    }])
}

pub(super) fn volume(name: &str, driver: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name, "uid": "5c8d1f63-5f0a-4f0e-8a51-0123456789ab", "resourceVersion": "1234",
            "creationTimestamp": "2026-11-21T05:00:00Z",
            "annotations": {
                "pv.kubernetes.io/provisioned-by": driver,
                "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
                "kubectl.kubernetes.io/last-applied-configuration": "{\"apiVersion\":\"v1\"}\n"
            },
            "finalizers": ["kubernetes.io/pv-protection", "external-provisioner.volume.kubernetes.io/finalizer"],
            "managedFields": managed_fields()
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data", "namespace": "default",
                "resourceVersion": "1200", "uid": CLAIM_UID
            },
            "csi": {
                "driver": driver, "volumeHandle": format!("handle-of-{name}"), "fsType": "ext4",
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": "1-2-x"},
                "controllerExpandSecretRef": {"name": "s", "namespace": "n"}
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "topology.hostpath.csi/node", "operator": "In", "values": ["node-1"]}
            ]}]}},
            "mountOptions": ["noatime"],
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "csi-hostpath-sc",
            "volumeMode": "Filesystem"
        },
        "status": {"phase": "Bound", "lastPhaseTransitionTime": "2026-11-21T05:00:01Z"}
    })
}

pub(super) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name, "namespace": "default", "uid": CLAIM_UID, "resourceVersion": "1200",
            "annotations": {
                "volume.beta.kubernetes.io/storage-provisioner": "the.beta.one",
                "volume.kubernetes.io/storage-provisioner": DRIVER,
                "volume.kubernetes.io/selected-node": "node-1"
            },
            "finalizers": ["kubernetes.io/pvc-protection"], "managedFields": managed_fields()
        },
        "spec": {
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "csi-hostpath-sc", "volumeMode": "Block", "volumeName": "pv-1",
            "volumeAttributesClassName": "gold",
            "dataSource": {"kind": "PersistentVolumeClaim", "name": "source"},
            "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "source"}
        },
        "status": {
            "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"},
            "allocatedResources": {"storage": "2Gi"},
            "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            "conditions": [{
                "type": "FileSystemResizePending", "status": "True", "message": "Waiting",
                "lastProbeTime": null, "lastTransitionTime": "2026-11-21T05:00:02Z"
            }],
            "currentVolumeAttributesClassName": "silver",
            "modifyVolumeStatus": {"status": "InProgress", "targetVolumeAttributesClassName": "gold"}
        }
    })
}

/// Projects an object through the JSON decoder.
pub(super) fn project<T: Kind>(object: &Value, interest: &Interest) -> Projected<T> {
    Json.object(&serde_json::to_vec(object).unwrap(), interest).unwrap()
}

/// Projects an object that must be wanted.
pub(super) fn own<T: Kind>(object: &Value, interest: &Interest) -> T {
    match project(object, interest) {
        Projected::Own(object) => object,
        other => panic!("not wanted: {other:?}"),
    }
}
