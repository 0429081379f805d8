//! 11.3, the controller's loop: who is expanded and who is not.

use csi_client::csi::volume_capability::AccessType;
use serde_json::{Value, json};
use testkit::manifests::merge;

use crate::setup::{Setup, able, gi, pass, wants};

const NOTE: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";

/// A claim that wants more, with something else about claim or volume.
async fn with(claim: Value, volume: Value) -> Setup {
    let setup = Setup::new();
    let mut wanting = wants("2Gi");
    merge(&mut wanting, &claim);
    setup.bound("claim", "1Gi", &wanting, &volume);
    let _sidecar = setup.start(&[]);
    pass(30).await;
    setup
}

async fn nothing_happens(claim: Value, volume: Value) {
    let setup = with(claim, volume).await;
    assert_eq!((setup.asked(), setup.writes()), (vec![], 0), "{}", setup.story());
    assert!(setup.events("claim").is_empty());
}

#[tokio::test(start_paused = true)]
async fn request_equals_capacity() {
    nothing_happens(wants("1Gi"), json!({})).await;
    nothing_happens(wants("1024Mi"), json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn pv_not_in_cache() {
    let setup = Setup::new();
    setup.bound("claim", "1Gi", &wants("2Gi"), &json!({}));
    setup.server.delete("PersistentVolume", "", "pv-claim").unwrap();
    let _sidecar = setup.start(&[]);
    pass(30).await;
    assert_eq!((setup.asked(), setup.writes()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_comes_after_its_claim_is_expanded_at_once() {
    let setup = Setup::new();
    setup.bound("claim", "1Gi", &wants("2Gi"), &json!({}));
    let mut volume = setup.volume("claim");
    setup.server.delete("PersistentVolume", "", "pv-claim").unwrap();
    let _sidecar = setup.start(&["--retry-interval-start=1h", "--retry-interval-max=1h"]);
    pass(5).await;
    volume["metadata"] = json!({"name": "pv-claim"});
    setup.server.create(&volume).unwrap();
    pass(5).await;
    assert_eq!(setup.asked(), [gi(2)]);
}

#[tokio::test(start_paused = true)]
async fn pvc_deleted_while_queued() {
    let setup = Setup::new();
    setup.wanting("claim");
    let sidecar = setup.start(&["--workers=1"]);
    setup.server.delete("PersistentVolumeClaim", "default", "claim").unwrap();
    pass(30).await;
    assert!(sidecar.is_running());
    assert!(setup.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn claim_ref_with_other_uid() {
    nothing_happens(
        json!({}),
        json!({"spec": {"claimRef": {"uid": "00000000-0000-4000-8000-000000000000"}}}),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn claim_ref_in_other_namespace() {
    nothing_happens(json!({}), json!({"spec": {"claimRef": {"namespace": "kube-system"}}})).await;
}

#[tokio::test(start_paused = true)]
async fn no_claim_ref() {
    nothing_happens(json!({}), json!({"spec": {"claimRef": null}})).await;
}

#[tokio::test(start_paused = true)]
async fn not_bound_yet() {
    nothing_happens(json!({"status": {"phase": "Pending"}}), json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn volume_of_another_driver() {
    nothing_happens(json!({}), json!({"spec": {"csi": {"driver": "other"}}})).await;
}

#[tokio::test(start_paused = true)]
async fn claim_that_was_handed_to_another_driver_but_bound_to_our_volume() {
    let other = json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "other"}}});
    let setup = with(other, json!({})).await;
    assert_eq!(setup.asked(), [gi(2)]);
}

fn access_type(setup: &Setup) -> AccessType {
    let request = setup.expansions().remove(0);
    assert_eq!(request.volume_id, "vol-claim");
    assert_eq!(request.capacity_range.unwrap().limit_bytes, 0);
    request.volume_capability.unwrap().access_type.unwrap()
}

#[tokio::test(start_paused = true)]
async fn normal_without_node_resize() {
    let setup = Setup::without_nodes();
    setup.bound(
        "claim",
        "1Gi",
        &wants("2Gi"),
        &json!({"spec": {"csi": {"fsType": "ext4"}, "mountOptions": ["o"]}}),
    );
    let _sidecar = setup.start(&[]);
    setup.until("it has grown", || setup.capacity("claim") == "2Gi").await;
    setup.event("claim", "Resizing", "External resizer is resizing volume pv-claim").await;
    setup.event("claim", "VolumeResizeSuccessful", "Resize volume succeeded").await;
    let AccessType::Mount(mount) = access_type(&setup) else { panic!("not mounted") };
    assert_eq!((&*mount.fs_type, mount.mount_flags), ("ext4", vec!["o".to_owned()]));
    assert_eq!(setup.volume("claim")["metadata"]["annotations"], Value::Null, "no node, no note");
}

#[tokio::test(start_paused = true)]
async fn normal_with_node_resize() {
    let setup = with(json!({}), json!({})).await;
    assert_eq!(setup.asked(), [gi(2)]);
    setup.event("claim", "FileSystemResizeRequired", "Require file system resize of volume on node").await;
    assert_eq!(
        (setup.capacity("claim").as_str(), setup.progress("claim").as_str()),
        ("1Gi", "NodeResizePending")
    );
    assert_eq!(setup.volume("claim")["spec"]["capacity"]["storage"], "2Gi");
    let reasons = setup.reasons("claim");
    assert_eq!(reasons, ["Resizing", "FileSystemResizeRequired"]);
    let component = &setup.server.list("Event")[0];
    assert_eq!(component["source"]["component"], "external-resizer foo");
    assert_eq!(component["reportingComponent"], "external-resizer foo");
}

#[tokio::test(start_paused = true)]
async fn annotation_is_there_until_the_node_is_done() {
    let setup = Setup::new();
    setup.wanting("claim");
    let _sidecar = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.volume("claim")["metadata"]["annotations"][NOTE], "1Gi");
    setup.node_expanded("claim");
    setup
        .until("the note is gone", || setup.volume("claim")["metadata"]["annotations"][NOTE].is_null())
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_the_gate_there_is_no_annotation() {
    let setup = Setup::new();
    setup.wanting("claim");
    let _sidecar = setup.start(&["--feature-gates=AnnotateFsResize=false"]);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.volume("claim")["metadata"]["annotations"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn block_volume_mode() {
    let setup = Setup::without_nodes();
    let block = json!({"spec": {"volumeMode": "Block"}});
    let mut claim = wants("2Gi");
    merge(&mut claim, &block);
    setup.bound("claim", "1Gi", &claim, &block);
    let _sidecar = setup.start(&[]);
    setup.until("it has grown", || setup.capacity("claim") == "2Gi").await;
    assert!(matches!(access_type(&setup), AccessType::Block(_)));
}

#[tokio::test(start_paused = true)]
async fn trivial_resizer() {
    let setup = Setup::with(able(false, true, false));
    setup.bound("claim", "1G", &wants("2G"), &json!({}));
    let _sidecar = setup.start(&[]);
    setup.until_progress("claim", "NodeResizePending").await;
    assert_eq!(setup.volume("claim")["spec"]["capacity"]["storage"], "2G", "written as it was asked for");
    assert!(setup.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pv_with_expand_secret_ref_and_without() {
    let setup = Setup::new();
    setup
        .server
        .create(&json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"k": "dg=="}}))
        .unwrap();
    let reference =
        json!({"spec": {"csi": {"controllerExpandSecretRef": {"namespace": "default", "name": "s"}}}});
    setup.bound("with", "1Gi", &wants("2Gi"), &reference);
    let _sidecar = setup.start(&[]);
    setup.until_progress("with", "NodeResizePending").await;
    assert_eq!(setup.expansions()[0].secrets, [("k".to_owned(), "v".to_owned())].into());
    setup.wanting("without");
    setup.until_progress("without", "NodeResizePending").await;
    assert!(setup.expansions()[1].secrets.is_empty());
    assert_eq!(setup.server.count("get", "secrets"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_there_is_reported_and_nothing_else_written() {
    let reference =
        json!({"spec": {"csi": {"controllerExpandSecretRef": {"namespace": "default", "name": "s"}}}});
    let setup = with(json!({}), reference).await;
    assert!(setup.asked().is_empty());
    let text = "resize volume \"pv-claim\" by resizer \"foo\" failed: error getting secret s in namespace default: \
                secrets \"s\" not found";
    setup.event("claim", "VolumeResizeFailed", text).await;
    assert_eq!(setup.conditions("claim"), ["Resizing"]);
    assert_eq!(setup.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn in_tree_pv_unknown_driver() {
    let volume = json!({"spec": {"csi": null, "nfs": {"server": "s", "path": "/"}}});
    nothing_happens(json!({}), volume).await;
}

#[tokio::test(start_paused = true)]
async fn everything_wanted_from_before_the_start_is_served() {
    let setup = Setup::new();
    for number in 0..30 {
        setup.wanting(&format!("claim-{number}"));
    }
    let _sidecar = setup.start(&["--workers=3"]);
    for number in 0..30 {
        setup.until_progress(&format!("claim-{number}"), "NodeResizePending").await;
    }
    assert_eq!(setup.asked().len(), 30);
}
