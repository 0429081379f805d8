//! The objects of the crowded cluster, as their makers in a real one would have made them.

use std::collections::BTreeMap;

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use super::{CLASS, DRIVER, NAMESPACES, NODES, VOLUMES};
use crate::bench::load;

pub(super) async fn populate(client: &kube::Client) -> Result<()> {
    load::class(client, CLASS, DRIVER).await?;
    for number in 0..NAMESPACES {
        let namespace = format!("tenant-{number}");
        load::namespace(client, &namespace).await?;
        // The controller manager would make it, and no pod can be made without.
        let account = json!({"metadata": {"name": "default"}});
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        load::call(client, Method::POST, &accounts, &account).await?;
    }
    let what = "making claims, volumes, attachments and pods through the API server";
    load::each(what, VOLUMES, async |number| volume(client, number).await).await?;
    let waiting = claim("waiting", None);
    load::call(client, Method::POST, &format!("{}?{BY_MANAGER}", claims("tenant-0")), &waiting).await?;
    Ok(())
}

/// A snapshot of each claim with its content, ready and bound.
pub(super) async fn snapshots(client: &kube::Client) -> Result<()> {
    let class = json!({
        "apiVersion": SNAPSHOT_API, "kind": "VolumeSnapshotClass", "metadata": {"name": CLASS},
        "driver": DRIVER, "deletionPolicy": "Delete",
    });
    load::call(client, Method::POST, &format!("/apis/{SNAPSHOT_API}/volumesnapshotclasses"), &class).await?;
    let what = "making snapshots and their contents through the API server";
    load::each(what, VOLUMES, async |number| snapshot(client, number).await).await
}

const SNAPSHOT_API: &str = "snapshot.storage.k8s.io/v1";
/// Who appears in the managed fields.
const BY_CONTROLLER: &str = "fieldManager=snapshot-controller";
const BY_SNAPSHOTTER: &str = "fieldManager=csi-snapshotter";

async fn snapshot(client: &kube::Client, number: usize) -> Result<()> {
    let namespace = format!("tenant-{}", number % NAMESPACES);
    let name = format!("data-database-{number}-daily");
    let content = format!("snapcontent-{number:08x}-5eed-4b1d-8a5e-{number:012x}");
    let finalizers = |names: [&str; 2]| names.map(|name| format!("snapshot.storage.kubernetes.io/{name}"));
    let object = json!({
        "apiVersion": SNAPSHOT_API, "kind": "VolumeSnapshot",
        "metadata": {
            "name": name,
            "finalizers": finalizers(["volumesnapshot-as-source-protection", "volumesnapshot-bound-protection"]),
        },
        "spec": {
            "volumeSnapshotClassName": CLASS,
            "source": {"persistentVolumeClaimName": format!("data-database-{number}")},
        },
    });
    let snapshots = format!("/apis/{SNAPSHOT_API}/namespaces/{namespace}/volumesnapshots");
    let made = load::call(client, Method::POST, &format!("{snapshots}?{BY_CONTROLLER}"), &object).await?;
    let object = json!({
        "apiVersion": SNAPSHOT_API, "kind": "VolumeSnapshotContent",
        "metadata": {
            "name": content,
            "finalizers": ["snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"],
        },
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "volumeSnapshotClassName": CLASS,
            "sourceVolumeMode": "Filesystem",
            "source": {"volumeHandle": format!("{number:08x}-c0de-11f0-9d3f-{number:012x}")},
            "volumeSnapshotRef": {
                "apiVersion": SNAPSHOT_API, "kind": "VolumeSnapshot", "namespace": namespace, "name": name,
                "uid": made.pointer("/metadata/uid"),
                "resourceVersion": made.pointer("/metadata/resourceVersion"),
            },
        },
    });
    let contents = format!("/apis/{SNAPSHOT_API}/volumesnapshotcontents");
    load::call(client, Method::POST, &format!("{contents}?{BY_CONTROLLER}"), &object).await?;
    let status = json!({"status": {
        "snapshotHandle": format!("{number:08x}-5a45-11f0-9d3f-{number:012x}"), "readyToUse": true,
        "creationTime": 1_795_238_500_823_000_000_i64, "restoreSize": 10_737_418_240_i64,
    }});
    load::call(client, Method::PATCH, &format!("{contents}/{content}/status?{BY_SNAPSHOTTER}"), &status)
        .await?;
    let status = json!({"status": {
        "boundVolumeSnapshotContentName": content, "readyToUse": true,
        "creationTime": "2026-11-21T05:01:40Z", "restoreSize": "10Gi",
    }});
    load::call(client, Method::PATCH, &format!("{snapshots}/{name}/status?{BY_CONTROLLER}"), &status).await?;
    Ok(())
}

const VOLUMES_PATH: &str = "/api/v1/persistentvolumes";
const ATTACHMENTS_PATH: &str = "/apis/storage.k8s.io/v1/volumeattachments";
/// Who appears in the managed fields.
const BY_PROVISIONER: &str = "fieldManager=csi-provisioner";
const BY_MANAGER: &str = "fieldManager=kube-controller-manager";

fn claims(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims")
}

/// A claim with its volume, both Bound, and the attachment.
async fn volume(client: &kube::Client, number: usize) -> Result<()> {
    let namespace = format!("tenant-{}", number % NAMESPACES);
    // Shaped like the name that a provisioner gives: the claim's uid is known too late to be part of it.
    let name = format!("pvc-{number:08x}-5eed-4b1d-8a5e-{number:012x}");
    let claim_name = format!("data-database-{number}");
    let claim = claim(&claim_name, Some(&name));
    let made =
        load::call(client, Method::POST, &format!("{}?{BY_MANAGER}", claims(&namespace)), &claim).await?;
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim_name,
        "uid": made.pointer("/metadata/uid"), "resourceVersion": made.pointer("/metadata/resourceVersion"),
    });
    let post = format!("{VOLUMES_PATH}?{BY_PROVISIONER}");
    load::call(client, Method::POST, &post, &persistent_volume(&name, &reference, number)).await?;
    let bound = json!({"status": {"phase": "Bound"}});
    load::call(client, Method::PATCH, &format!("{VOLUMES_PATH}/{name}/status?{BY_MANAGER}"), &bound).await?;
    let bound = json!({"status": {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
    }});
    let path = format!("{}/{claim_name}/status?{BY_MANAGER}", claims(&namespace));
    load::call(client, Method::PATCH, &path, &bound).await?;
    let attachment = attachment(&name, number);
    load::call(client, Method::POST, ATTACHMENTS_PATH, &attachment).await?;
    let attached = json!({"status": {"attached": true}});
    let name = attachment.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    load::call(client, Method::PATCH, &format!("{ATTACHMENTS_PATH}/{name}/status"), &attached).await?;
    let pods = format!("/api/v1/namespaces/{namespace}/pods?{BY_MANAGER}");
    load::call(client, Method::POST, &pods, &pod(&claim_name, number)).await?;
    Ok(())
}

/// A pod that uses a claim, on its node.
fn pod(claim: &str, number: usize) -> Value {
    json!({
        "metadata": {
            "name": format!("database-{number}"),
            "labels": {"app.kubernetes.io/name": "database", "app.kubernetes.io/instance": claim},
        },
        "spec": {
            "nodeName": format!("node-{}", number % NODES), "automountServiceAccountToken": false,
            "containers": [{
                "name": "database", "image": "registry.example.com/database:17",
                "args": ["--data=/var/lib/database"], "ports": [{"containerPort": 5432}],
                "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
                "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "volumeMounts": [{"name": "data", "mountPath": "/var/lib/database"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    })
}

fn claim(name: &str, volume: Option<&str>) -> Value {
    let mut annotations = BTreeMap::from([
        ("volume.beta.kubernetes.io/storage-provisioner", DRIVER),
        ("volume.kubernetes.io/storage-provisioner", DRIVER),
    ]);
    if volume.is_some() {
        annotations.insert("pv.kubernetes.io/bind-completed", "yes");
        annotations.insert("pv.kubernetes.io/bound-by-controller", "yes");
    }
    json!({
        "metadata": {
            "name": name, "annotations": annotations,
            "labels": {"app.kubernetes.io/name": "database", "app.kubernetes.io/instance": name},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": CLASS, "volumeMode": "Filesystem", "volumeName": volume,
        },
    })
}

fn persistent_volume(name: &str, claim: &Value, number: usize) -> Value {
    json!({
        "metadata": {
            "name": name,
            "annotations": {
                "pv.kubernetes.io/provisioned-by": DRIVER,
                "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
            },
            "finalizers": [
                "external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-protection",
                format!("external-attacher/{}", DRIVER.replace('.', "-")),
            ],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "claimRef": claim,
            "csi": {
                "driver": DRIVER, "volumeHandle": format!("{number:08x}-c0de-11f0-9d3f-{number:012x}"), "fsType": "ext4",
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": format!("1795238500823-8081-{DRIVER}")},
            },
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": CLASS, "volumeMode": "Filesystem",
        },
    })
}

fn attachment(volume: &str, number: usize) -> Value {
    json!({
        "metadata": {
            "name": format!("csi-{:064x}", number),
            "annotations": {"csi.alpha.kubernetes.io/node-id": format!("node-{}", number % NODES)},
            "finalizers": [format!("external-attacher/{}", DRIVER.replace('.', "-"))],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": format!("node-{}", number % NODES),
            "source": {"persistentVolumeName": volume},
        },
    })
}
