//! 11.6, volumes of in-tree plugins: translated in memory, never written (sheet 5.9).

use serde_json::{Value, json};
use testkit::driver::DriverConfig;
use testkit::manifests::merge;

use crate::setup::{Setup, Sidecar, able, gi, pass, wants};

/// A driver of that name with a claim whose volume has this source, and the volume under its handle.
async fn expanded(driver: &str, node: bool, resizer: &str, handle: &str, volume: Value) -> (Setup, Sidecar) {
    let setup = Setup::with(DriverConfig { name: driver.into(), ..able(true, node, true) });
    let mut claim = wants("2Gi");
    merge(
        &mut claim,
        &json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-resizer": resizer}}}),
    );
    setup.bound("claim", "1Gi", &claim, &volume);
    setup.driver.add_volume(handle, gi(1));
    let sidecar = setup.start(&[]);
    pass(2).await;
    (setup, sidecar)
}

fn in_tree(source: Value) -> Value {
    let mut volume = json!({"spec": {"csi": null}});
    merge(&mut volume["spec"], &source);
    volume
}

const EBS: &str = "ebs.csi.aws.com";

#[tokio::test(start_paused = true)]
async fn ebs_in_tree_pv_with_matching_driver() {
    for node in [false, true] {
        let source = in_tree(
            json!({"awsElasticBlockStore": {"volumeID": "aws://us-east-1a/vol-1", "fsType": "ext4"}}),
        );
        let (setup, sidecar) = expanded(EBS, node, EBS, "vol-1", source.clone()).await;
        assert_eq!((setup.asked(), &*setup.expansions()[0].volume_id), (vec![gi(2)], "vol-1"));
        assert_eq!(setup.progress("claim") == "NodeResizePending", node, "the driver's word is passed on");
        let series = "csi_sidecar_operations_seconds_count{driver_name=\"ebs.csi.aws.com\",grpc_status_code=\"OK\",\
                      method_name=\"/csi.v1.Controller/ControllerExpandVolume\",migrated=\"true\"}";
        assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
        let volume = setup.volume("claim");
        assert_eq!(volume["spec"]["awsElasticBlockStore"], source["spec"]["awsElasticBlockStore"]);
        assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
    }
}

#[tokio::test(start_paused = true)]
async fn gce_in_tree_pv_with_matching_driver() {
    let mut source = in_tree(json!({"gcePersistentDisk": {"pdName": "disk"}}));
    source["metadata"] = json!({"labels": {"topology.kubernetes.io/zone": "us-central1-a"}});
    let handle = "projects/UNSPECIFIED/zones/us-central1-a/disks/disk";
    let (setup, _sidecar) =
        expanded("pd.csi.storage.gke.io", false, "pd.csi.storage.gke.io", handle, source).await;
    assert_eq!((setup.asked(), &*setup.expansions()[0].volume_id), (vec![gi(2)], handle));
    assert_eq!(setup.capacity("claim"), "2Gi");
}

/// kube-controller-manager names the driver on the claim, maybe later.
#[tokio::test(start_paused = true)]
async fn a_migrated_claim_waits_for_its_annotation() {
    let source = || in_tree(json!({"awsElasticBlockStore": {"volumeID": "vol-1"}}));
    for other in ["kubernetes.io/aws-ebs", "unknown"] {
        let (setup, _sidecar) = expanded(EBS, false, other, "vol-1", source()).await;
        pass(60).await;
        assert_eq!((setup.asked().len(), setup.writes()), (0, 0));
        setup.patch(
            "claim",
            &json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-resizer": EBS}}}),
        );
        pass(1).await;
        assert_eq!(setup.asked(), [gi(2)]);
    }
}

#[tokio::test(start_paused = true)]
async fn csi_volumes_of_a_migrated_driver_are_not_called_migrated() {
    let volume = json!({"spec": {"csi": {"driver": EBS, "volumeHandle": "vol-1"}}});
    let (setup, sidecar) = expanded(EBS, false, EBS, "vol-1", volume).await;
    assert_eq!(setup.asked(), [gi(2)]);
    let series = "csi_sidecar_operations_seconds_count{driver_name=\"ebs.csi.aws.com\",grpc_status_code=\"OK\",\
                  method_name=\"/csi.v1.Controller/ControllerExpandVolume\",migrated=\"false\"}";
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn another_drivers_volume_is_left_alone_whatever_the_claim_says() {
    let volume = json!({"spec": {"csi": {"driver": "other", "volumeHandle": "vol-1"}}});
    let (setup, _sidecar) = expanded(EBS, false, EBS, "vol-1", volume).await;
    assert_eq!((setup.asked().len(), setup.writes()), (0, 0));
}

/// A source that the driver's plugin cannot have: reported, and nothing is written but that it was tried.
#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_translated_is_reported() {
    let disk = "disk.csi.azure.com";
    let source = in_tree(json!({"azureDisk": {"diskName": "d", "diskURI": "u", "kind": "Dedicated"}}));
    let (setup, _sidecar) = expanded(disk, false, disk, "u", source).await;
    assert_eq!((setup.asked().len(), setup.writes()), (0, 1));
    let events = setup.events("claim");
    let (_, _, message, _) = events.iter().find(|(_, reason, _, _)| reason == "VolumeResizeFailed").unwrap();
    assert!(message.contains("failed: failed to translate persistent volume: "), "{message}");
}
