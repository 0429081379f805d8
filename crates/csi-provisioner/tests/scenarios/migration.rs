//! Classes and volumes of in-tree plugins: sheet 5.10, 11.10, 13.12.

use serde_json::{Value, json};
use testkit::driver::DriverConfig;

use crate::setup::Setup;

const EBS: &str = "ebs.csi.aws.com";

/// A cluster with a class `old` of the in-tree plugin that `driver` replaces.
fn migrated(driver: &str, plugin: &str) -> Setup {
    let setup = Setup::with(DriverConfig { name: driver.into(), ..DriverConfig::default() });
    setup.class("old", json!({"provisioner": plugin, "parameters": {"fsType": "xfs", "type": "gp3"}}));
    setup
}

/// A claim of that class, as Kubernetes hands it over.
fn claim(setup: &Setup, driver: &str) {
    let annotations = json!({
        "volume.kubernetes.io/storage-provisioner": driver, "pv.kubernetes.io/migrated-to": driver,
    });
    setup.claim(
        "claim",
        json!({"metadata": {"annotations": annotations}, "spec": {"storageClassName": "old"}}),
    );
}

#[tokio::test(start_paused = true)]
async fn in_tree_class_translated_params_translated_pv() {
    let setup = migrated(EBS, "kubernetes.io/aws-ebs");
    let sidecar = setup.start(&[]);
    claim(&setup, EBS);
    let name = setup.bound("claim").await;
    let request = &setup.creations()[0];
    let parameters: Vec<_> = request.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(parameters, [("type", "gp3")]);
    let volume = setup.get_volume(&name).unwrap();
    let handle = setup.driver.volumes()[0].id.clone();
    assert_eq!(volume["spec"]["csi"], Value::Null);
    assert_eq!(volume["spec"]["awsElasticBlockStore"]["volumeID"], handle.as_str());
    assert_eq!(volume["spec"]["awsElasticBlockStore"]["fsType"], "xfs");
    assert_eq!(volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"], "kubernetes.io/aws-ebs");

    setup.delete_claim("claim");
    setup.no_volumes().await;
    assert_eq!(setup.deletions()[0].volume_id, handle);
    for method in ["CreateVolume", "DeleteVolume"] {
        let series = format!(
            "csi_sidecar_operations_seconds_count{{driver_name=\"{EBS}\",grpc_status_code=\"OK\",\
             method_name=\"/csi.v1.Controller/{method}\",migrated=\"true\"}}"
        );
        assert!(sidecar.metric(&series) > 0.5, "{method}\n{}", sidecar.metrics.text());
    }
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_translated_is_deleted() {
    // Its ids do not look like those of Google's disks.
    const DISKS: &str = "pd.csi.storage.gke.io";
    let setup = migrated(DISKS, "kubernetes.io/gce-pd");
    let _sidecar = setup.start(&[]);
    claim(&setup, DISKS);
    setup.event("claim", "ProvisioningFailed", "failed to get id components").await;
    setup.until("the driver has no volume", || setup.driver.volumes().is_empty()).await;
    assert!(setup.volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_old_volume_of_the_plugin_is_deleted_by_the_driver() {
    let setup = migrated(EBS, "kubernetes.io/aws-ebs");
    setup.driver.add_volume("vol-7", 100);
    setup
        .server
        .create(&json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": "old", "annotations": {
                "pv.kubernetes.io/provisioned-by": "kubernetes.io/aws-ebs", "pv.kubernetes.io/migrated-to": EBS,
            }},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "old",
                "persistentVolumeReclaimPolicy": "Delete",
                "awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-7"},
                "claimRef": {"namespace": "default", "name": "gone", "uid": "0a1b2c3d-1111-4222-8333-444455556666"},
            },
        }))
        .unwrap();
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert_eq!(setup.deletions()[0].volume_id, "vol-7");
}
