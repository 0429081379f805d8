//! The sheet's table 11.1. With a live cache a retry finds finalizer and annotation in place, so that it patches less
//! than the rows, whose cache never changes.

use std::collections::BTreeMap;
use std::time::Duration;

use csi_client::csi::ControllerPublishVolumeRequest;
use csi_client::csi::volume_capability::{AccessType, MountVolume};
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use tonic::Code;

use crate::setup::{
    ABLE, DRIVER, F, GIB, NODE_ID, Setup, VA, attach_failed, attachment, both, inline, marked, pass, saved,
    settle,
};

/// Attaches with nothing but the two patches and one call, which is returned.
async fn attaches(setup: &Setup) -> ControllerPublishVolumeRequest {
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    assert_eq!(setup.actions(), [marked(), saved("handle1")]);
    let mut calls = setup.published();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn va_added_pv_has_f() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let call = attaches(&setup).await;
    assert_eq!(
        (call.volume_id.as_str(), call.node_id.as_str(), call.readonly),
        ("handle1", "nodeID1", false)
    );
    assert!(call.secrets.is_empty() && call.volume_context.is_empty());
    let capability = call.volume_capability.unwrap();
    let mount = MountVolume { fs_type: "ext4".into(), ..MountVolume::default() };
    assert_eq!(capability.access_type, Some(AccessType::Mount(mount)));
}

#[tokio::test(start_paused = true)]
async fn inline_spec() {
    let setup = Setup::new();
    setup.attachment(inline(json!({})));
    assert_eq!(attaches(&setup).await.volume_id, "handle1");
}

#[tokio::test(start_paused = true)]
async fn pv_read_only() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"csi": {"readOnly": true}}}));
    setup.attachment(json!({}));
    assert!(attaches(&setup).await.readonly);
}

#[tokio::test(start_paused = true)]
async fn inline_read_only() {
    let setup = Setup::new();
    setup.attachment(inline(json!({"readOnly": true})));
    assert!(attaches(&setup).await.readonly);
}

/// A change that is not our own makes an attachment be looked at again although it is in its back-off.
async fn updated(fields: Value) {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::fail(Code::Internal, "no")]);
    setup.attachment(fields);
    let _sidecar = setup.start(&["--retry-interval-start=10m"]);
    setup.until("failed", || !setup.attach_error().is_empty()).await;
    settle().await;
    assert_eq!(setup.published().len(), 1);
    let change = json!({"metadata": {"annotations": {NODE_ID: "changed"}}});
    setup.server.patch("VolumeAttachment", "", VA, &change).unwrap();
    pass(1).await;
    assert_eq!(setup.published().len(), 2);
    assert_eq!(setup.va()["metadata"]["annotations"][NODE_ID], "nodeID1");
}

#[tokio::test(start_paused = true)]
async fn va_updated_event_pv() {
    updated(json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn va_updated_event_inline() {
    updated(inline(json!({}))).await;
}

#[tokio::test(start_paused = true)]
async fn pv_with_attributes() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"csi": {"volumeAttributes": {"foo": "bar"}}}}));
    setup.attachment(json!({}));
    assert_eq!(attaches(&setup).await.volume_context, texts(&[("foo", "bar")]));
}

#[tokio::test(start_paused = true)]
async fn inline_with_attributes() {
    let setup = Setup::new();
    setup.attachment(inline(json!({"volumeAttributes": {"foo": "bar"}})));
    assert_eq!(attaches(&setup).await.volume_context, texts(&[("foo", "bar")]));
}

pub(crate) fn with_secret(name: &str) -> Value {
    json!({"controllerPublishSecretRef": {"namespace": "default", "name": name}})
}

async fn secrets(inlined: bool, data: Value, expected: &[(&str, &str)]) {
    let setup = Setup::new();
    setup.secret("secret", data);
    if inlined {
        setup.attachment(inline(with_secret("secret")));
    } else {
        setup.volume(json!({"spec": {"csi": with_secret("secret")}}));
        setup.attachment(json!({}));
    }
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    assert_eq!(setup.actions(), ["G".to_owned(), marked(), saved("handle1")]);
    assert_eq!(setup.published()[0].secrets, texts(expected));
}

#[tokio::test(start_paused = true)]
async fn pv_with_secret() {
    secrets(false, json!({"foo": "YmFy"}), &[("foo", "bar")]).await;
}

#[tokio::test(start_paused = true)]
async fn inline_with_secret() {
    secrets(true, json!({"foo": "YmFy"}), &[("foo", "bar")]).await;
}

#[tokio::test(start_paused = true)]
async fn pv_with_empty_secret() {
    secrets(false, json!({}), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn inline_with_empty_secret() {
    secrets(true, json!({}), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn secret_missing() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"csi": with_secret("unknownSecret")}}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=1h"]);
    setup.until("failed", || !setup.attach_error().is_empty()).await;
    settle().await;
    let message = "failed to load secret \"default/unknownSecret\": secrets \"unknownSecret\" not found";
    assert_eq!(setup.actions(), ["G!404".to_owned(), attach_failed(message, None)]);
    assert!(setup.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pv_without_f() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"finalizers": null}}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let added = format!("J {}", json!([{"op": "add", "path": "/metadata/finalizers", "value": [F]}]));
    assert_eq!(setup.actions(), [added, marked(), saved("handle1")]);
    assert_eq!(setup.pv()["metadata"]["finalizers"], json!([F]));
}

#[tokio::test(start_paused = true)]
async fn pv_with_finalizers_of_others() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"finalizers": ["kubernetes.io/pv-protection"]}}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let added = format!("J {}", json!([{"op": "add", "path": "/metadata/finalizers/-", "value": F}]));
    assert_eq!(setup.actions()[0], added);
    assert_eq!(setup.pv()["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection", F]));
}

#[tokio::test(start_paused = true)]
async fn pv_finalizer_patch_fails_once() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"finalizers": null}}));
    setup.attachment(json!({}));
    setup.refuse("persistentvolumes", 1);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let patch = json!([{"op": "add", "path": "/metadata/finalizers", "value": [F]}]);
    let message =
        "could not add PersistentVolume finalizer: persistentvolumes \"pv1\" is forbidden: Mock error";
    assert_eq!(
        setup.actions(),
        [
            format!("J!403 {patch}"),
            attach_failed(message, None),
            format!("J {patch}"),
            marked(),
            saved("handle1"),
        ]
    );
    assert_eq!((setup.published().len(), &setup.va()["status"]["attachError"]), (1, &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn already_attached_finalizer_and_annotation_present() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({
        "metadata": {"finalizers": [F], "annotations": {NODE_ID: "nodeID1"}},
        "status": {"attached": true},
    }));
    let _sidecar = setup.start(&["--resync=10s"]);
    settle().await;
    assert_eq!((setup.actions(), setup.published().len()), (Vec::new(), 0));
}

/// Nothing is asked of the driver, and all that is written is why.
async fn refused(setup: &Setup, message: &str) {
    let _sidecar = setup.start(&["--retry-interval-start=1h"]);
    setup.until("failed", || !setup.attach_error().is_empty()).await;
    settle().await;
    assert_eq!(setup.actions(), [attach_failed(message, None)]);
    assert!(setup.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pv_deleting() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"deletionTimestamp": "now", "finalizers": ["x/y"]}}));
    setup.attachment(json!({}));
    refused(&setup, "PersistentVolume \"pv1\" is marked for deletion").await;
}

#[tokio::test(start_paused = true)]
async fn publish_returns_metadata() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    attaches(&setup).await;
    assert_eq!(
        setup.va()["status"],
        json!({"attached": true, "attachmentMetadata": {"device": "/dev/handle1"}})
    );
}

#[tokio::test(start_paused = true)]
async fn va_of_unknown_driver() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({"spec": {"attacher": "other"}}));
    let _sidecar = setup.start(&["--resync=10s"]);
    settle().await;
    assert_eq!((setup.actions(), setup.published().len()), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn pv_unknown() {
    let setup = Setup::new();
    setup.attachment(json!({}));
    refused(&setup, "persistentvolume \"pv1\" not found").await;
}

#[tokio::test(start_paused = true)]
async fn pv_unknown_and_saving_fails_twice() {
    let setup = Setup::new();
    setup.attachment(json!({}));
    setup.refuse("volumeattachments/status", 2);
    let _sidecar = setup.start(&[]);
    setup.until("saved", || !setup.attach_error().is_empty()).await;
    let saved = attach_failed("persistentvolume \"pv1\" not found", None);
    let refused = saved.replacen('S', "S!403", 1);
    assert_eq!(setup.actions(), [refused.clone(), refused, saved]);
}

#[tokio::test(start_paused = true)]
async fn both_sources() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(both(inline(json!({})), json!({"spec": {"source": {"persistentVolumeName": "pv1"}}})));
    refused(&setup, "both InlineCSIVolumeSource and PersistentVolumeName specified in VA source").await;
}

#[tokio::test(start_paused = true)]
async fn no_csinode_even_if_annotation_is_on_the_va() {
    let setup =
        Setup::bare(DriverConfig { name: DRIVER.into(), controller: ABLE.into(), ..DriverConfig::default() });
    setup.create(testkit::manifests::node("node1"));
    setup.volume(json!({}));
    setup.attachment(json!({"metadata": {"annotations": {NODE_ID: "nodeID1"}}}));
    refused(&setup, "csinode.storage.k8s.io \"node1\" not found").await;
}

#[tokio::test(start_paused = true)]
async fn csinode_without_driver() {
    let setup =
        Setup::bare(DriverConfig { name: DRIVER.into(), controller: ABLE.into(), ..DriverConfig::default() });
    setup.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node1"},
        "spec": {"drivers": [{"name": "other", "nodeID": "x"}]},
    }));
    setup.volume(json!({}));
    setup.attachment(json!({}));
    refused(&setup, "CSINode node1 does not contain driver csi/test").await;
}

#[tokio::test(start_paused = true)]
async fn va_finalizer_patch_and_error_save_both_fail_then_succeed() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.refuse("", 2);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let message = "could not save VolumeAttachment: volumeattachments.storage.k8s.io \"pv1-node1\" is \
                   forbidden: Mock error";
    assert_eq!(
        setup.actions(),
        [
            marked().replacen('P', "P!403", 1),
            attach_failed(message, None).replacen('S', "S!403", 1),
            marked(),
            saved("handle1"),
        ]
    );
    assert_eq!(setup.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn saving_attached_fails_once() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.refuse("volumeattachments/status", 1);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let refused = saved("handle1").replacen('S', "S!403", 1);
    assert_eq!(setup.actions(), [marked(), refused, saved("handle1")]);
    assert_eq!(setup.published().len(), 2);
}

/// The first publish goes wrong in this way, which leaves this error; the second works.
async fn fails_once(step: Step, arguments: &[&str], message: &str, code: Option<i32>) {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.script::<ControllerPublishVolumeRequest>([step]);
    let _sidecar = setup.start(arguments);
    setup.attached().await;
    assert_eq!(setup.actions(), [marked(), attach_failed(message, code), saved("handle1")]);
    assert_eq!((setup.published().len(), &setup.va()["status"]["attachError"]), (2, &Value::Null));
}

/// With the gate off no code is written, as for upstream's mock, which is no gRPC error.
#[tokio::test(start_paused = true)]
async fn publish_fails_once() {
    let gate = ["--feature-gates=MutableCSINodeAllocatableCount=false"];
    let message = "rpc error: code = Unknown desc = mock error";
    fails_once(Step::fail(Code::Unknown, "mock error"), &gate, message, None).await;
}

#[tokio::test(start_paused = true)]
async fn publish_exceeds_deadline_once() {
    let message = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    fails_once(
        Step::Late(Duration::from_millis(50), Box::new(Step::fail(Code::Internal, "late"))),
        &["--timeout=10ms"],
        message,
        Some(4),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn publish_grpc_resource_exhausted_gate_on() {
    let message = "rpc error: code = ResourceExhausted desc = mock rpc error";
    fails_once(Step::fail(Code::ResourceExhausted, "mock rpc error"), &[], message, Some(8)).await;
}

#[tokio::test(start_paused = true)]
async fn csinode_has_driver_node_bare() {
    let setup = Setup::new();
    setup.create(testkit::manifests::node("node1"));
    setup.volume(json!({}));
    setup.attachment(json!({}));
    attaches(&setup).await;
}

#[tokio::test(start_paused = true)]
async fn driver_without_publish_readonly_pv_rw_and_pv_read_only() {
    for read_only in [false, true] {
        let setup = Setup::able(&[ControllerCapability::PublishUnpublishVolume]);
        setup.volume(json!({"spec": {"csi": {"readOnly": read_only}}}));
        setup.attachment(json!({}));
        assert!(!attaches(&setup).await.readonly);
    }
}

#[tokio::test(start_paused = true)]
async fn an_access_mode_without_counterpart_is_told() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"]}}));
    setup.attachment(json!({}));
    let message = "CSI does not support ReadOnlyMany and ReadWriteOnce on the same PersistentVolume";
    refused(&setup, message).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_of_no_csi_driver_is_told() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"csi": null, "hostPath": {"path": "/x"}}}));
    setup.create(attachment("x", "pv1", "node1"));
    let _sidecar = setup.start(&["--retry-interval-start=1h"]);
    let message = || setup.get_va("x")["status"]["attachError"]["message"].clone();
    setup.until("refused", || !message().is_null()).await;
    assert_eq!(message(), "pv spec contained non-csi source that was not migrated");
}

pub(crate) const GCE: &str = "pd.csi.storage.gke.io";

/// A cluster whose driver replaces the GCE plugin, and a volume of that plugin.
pub(crate) fn gce(controller: &[ControllerCapability]) -> Setup {
    let setup = Setup::with(DriverConfig {
        name: GCE.into(),
        controller: controller.into(),
        ..DriverConfig::default()
    });
    let label = json!({"failure-domain.beta.kubernetes.io/zone": "testZone"});
    setup.volume(json!({
        "metadata": {
            "labels": label, "finalizers": ["external-attacher/pd-csi-storage-gke-io"],
            "annotations": {"pv.kubernetes.io/migrated-to": GCE},
        },
        "spec": {"csi": null, "gcePersistentDisk": {"pdName": "testpd"}},
    }));
    setup
}

#[tokio::test(start_paused = true)]
async fn gce_in_tree_pv() {
    let setup = gce(&ABLE);
    setup.driver.add_volume("projects/UNSPECIFIED/zones/testZone/disks/testpd", GIB);
    setup.attachment(json!({"spec": {"attacher": GCE}}));
    let sidecar = setup.start(&[]);
    setup.attached().await;
    let call = setup.published().remove(0);
    assert_eq!(call.volume_id, "projects/UNSPECIFIED/zones/testZone/disks/testpd");
    assert_eq!(call.volume_context, texts(&[("partition", "")]));
    let capability = call.volume_capability.unwrap().access_mode.unwrap();
    assert_eq!(capability.mode().as_str_name(), "SINGLE_NODE_WRITER", "RWX counts as RWO");
    assert_eq!(setup.actions().len(), 2);
    let migrated = format!(
        "csi_sidecar_operations_seconds_count{{driver_name=\"{GCE}\",grpc_status_code=\"OK\",\
         method_name=\"/csi.v1.Controller/ControllerPublishVolume\",migrated=\"true\"}}"
    );
    assert!((sidecar.metric(&migrated) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_translated_is_told() {
    let setup =
        Setup::with(DriverConfig { name: GCE.into(), controller: ABLE.into(), ..DriverConfig::default() });
    let label = json!({"failure-domain.beta.kubernetes.io/zone": "a__b"});
    setup.volume(json!({
        "metadata": {"labels": label, "finalizers": ["external-attacher/pd-csi-storage-gke-io"]},
        "spec": {"csi": null, "gcePersistentDisk": {"pdName": "testpd"}},
    }));
    setup.attachment(json!({"spec": {"attacher": GCE}}));
    let _sidecar = setup.start(&["--retry-interval-start=1h"]);
    setup.until("failed", || !setup.attach_error().is_empty()).await;
    let error = setup.attach_error();
    assert!(error.starts_with("failed to translate in tree pv to CSI: "), "{error}");
    assert!(error.contains("failed to get region from zones"), "{error}");
}
