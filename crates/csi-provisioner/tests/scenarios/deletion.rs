//! Sheet 11.9: deletion, with real attachments.

use csi_client::csi::DeleteVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, Step};
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{CLASS, DRIVER, FINALIZER, Setup, pass};

/// A released volume `pv` of our driver with `fields` on top; the claim in its reference does not exist.
fn released(setup: &Setup, fields: Value) {
    let mut volume = testkit::manifests::volume("pv", DRIVER, "handle", CLASS);
    merge(
        &mut volume,
        &json!({
            "metadata": {
                "finalizers": [FINALIZER],
                "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
            },
            "spec": {"claimRef": {
                "kind": "PersistentVolumeClaim", "apiVersion": "v1",
                "namespace": "default", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001",
            }},
        }),
    );
    merge(&mut volume, &fields);
    setup.server.create(&volume).unwrap();
}

fn attachment(setup: &Setup, name: &str, volume: &str, fields: Value) {
    let mut attachment = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
        "spec": {"attacher": DRIVER, "nodeName": "node-1", "source": {"persistentVolumeName": volume}},
    });
    merge(&mut attachment, &fields);
    setup.server.create(&attachment).unwrap();
}

fn attaching() -> Setup {
    Setup::able(&[ControllerCapability::PublishUnpublishVolume])
}

#[tokio::test(start_paused = true)]
async fn pv_without_csi_source() {
    let setup = Setup::new();
    let fields = json!({"spec": {"csi": null, "hostPath": {"path": "/tmp"}}});
    released(&setup, fields);
    let _sidecar = setup.start(&[]);
    setup.event("pv", "VolumeFailedDelete", "invalid CSI PV").await;
    assert!(setup.get_volume("pv").is_some() && setup.deletions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn sc_template_name_only_is_invalid() {
    let setup = Setup::new();
    let parameters = json!({"csi.storage.k8s.io/provisioner-secret-name": "name"});
    setup.class("half", json!({ "parameters": parameters }));
    released(&setup, json!({"spec": {"storageClassName": "half"}}));
    let _sidecar = setup.start(&[]);
    setup.event("pv", "VolumeFailedDelete", "failed to get secretreference for volume pv").await;
    assert!(setup.deletions().is_empty());
}

/// Deletion waits while the attachment is there, says so once and without alarm, and goes on when it is gone.
async fn waits_for(fields: Value) {
    let setup = attaching();
    attachment(&setup, "va", "pv", fields.clone());
    released(&setup, json!({}));
    let _sidecar = setup.start(&[]);
    setup.event("pv", "VolumeDelete", "persistentvolume pv is still attached to node node-1").await;
    pass(3600).await;
    assert!(setup.deletions().is_empty() && setup.get_volume("pv").is_some());
    let events = setup.events("pv");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].0.as_str(), events[0].3), ("Normal", 1));
    setup.server.patch("VolumeAttachment", "", "va", &json!({"metadata": {"finalizers": null}})).unwrap();
    if setup.server.get("VolumeAttachment", "", "va").is_some() {
        setup.server.delete("VolumeAttachment", "", "va").unwrap();
    }
    pass(1).await;
    assert!(setup.get_volume("pv").is_none(), "the detachment brings it back at once");
    assert_eq!(setup.deletions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pv_attached() {
    waits_for(json!({})).await;
}

#[tokio::test(start_paused = true)]
async fn va_deleting() {
    let setup = attaching();
    attachment(&setup, "va", "pv", json!({"metadata": {"finalizers": ["example.com/attacher"]}}));
    setup.server.delete("VolumeAttachment", "", "va").unwrap();
    released(&setup, json!({}));
    let _sidecar = setup.start(&[]);
    setup.event("pv", "VolumeDelete", "is still attached").await;
    setup.server.patch("VolumeAttachment", "", "va", &json!({"metadata": {"finalizers": null}})).unwrap();
    setup.no_volumes().await;
}

#[tokio::test(start_paused = true)]
async fn va_exists_but_not_attached() {
    waits_for(json!({"spec": {"attacher": "other-driver"}})).await;
}

#[tokio::test(start_paused = true)]
async fn va_for_other_pv() {
    let setup = attaching();
    attachment(&setup, "va", "other", json!({}));
    released(&setup, json!({}));
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert_eq!(setup.deletions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_sc_name_with_claim_ref() {
    let setup = Setup::new();
    released(&setup, json!({"spec": {"storageClassName": null}}));
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert_eq!(setup.deletions()[0].volume_id, "handle");
}

fn annotated(name: &str, namespace: &str) -> Value {
    json!({"metadata": {"annotations": {
        "volume.kubernetes.io/provisioner-deletion-secret-name": name,
        "volume.kubernetes.io/provisioner-deletion-secret-namespace": namespace,
    }}})
}

fn create_secret(setup: &Setup, name: &str) {
    setup
        .server
        .create(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"},
            "data": {"from": "c2VjcmV0"},
        }))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn deletion_annotations_empty_sc_present_or_absent() {
    for class in [CLASS, "absent"] {
        let setup = Setup::new();
        let mut fields = annotated("", "");
        merge(&mut fields, &json!({"spec": {"storageClassName": class}}));
        released(&setup, fields);
        let _sidecar = setup.start(&[]);
        setup.no_volumes().await;
        assert!(setup.deletions()[0].secrets.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn annotations_set_sc_present_or_absent() {
    for class in [CLASS, "absent"] {
        let setup = Setup::new();
        create_secret(&setup, "annotated");
        let mut fields = annotated("annotated", "default");
        merge(&mut fields, &json!({"spec": {"storageClassName": class}}));
        released(&setup, fields);
        let _sidecar = setup.start(&[]);
        setup.no_volumes().await;
        assert_eq!(setup.deletions()[0].secrets["from"], "secret");
    }
}

#[tokio::test(start_paused = true)]
async fn annotated_secret_missing() {
    let setup = Setup::new();
    released(&setup, annotated("annotated", "default"));
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert!(setup.deletions()[0].secrets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_annotations_beta_sc_annotation_on_pv_claim_ref_present() {
    let setup = Setup::new();
    create_secret(&setup, "gone-secret");
    let parameters = json!({
        "csi.storage.k8s.io/provisioner-secret-name": "${pvc.name}-secret",
        "csi.storage.k8s.io/provisioner-secret-namespace": "${pvc.namespace}",
    });
    setup.class("secret", json!({ "parameters": parameters }));
    let annotations = json!({"volume.beta.kubernetes.io/storage-class": "secret"});
    released(&setup, json!({"metadata": {"annotations": annotations}, "spec": {"storageClassName": null}}));
    let _sidecar = setup.start(&[]);
    setup.no_volumes().await;
    assert_eq!(setup.deletions()[0].secrets["from"], "secret");
}

#[tokio::test(start_paused = true)]
async fn delete_error_pv_stays_failed_metric() {
    let setup = Setup::new();
    setup.driver.script::<DeleteVolumeRequest>(vec![Step::fail(Code::Internal, "busy"); 3]);
    released(&setup, json!({}));
    let sidecar = setup.start(&[]);
    let text = "rpc error: code = Internal desc = busy";
    setup.event("pv", "VolumeFailedDelete", text).await;
    let volume = setup.get_volume("pv").unwrap();
    assert_eq!(volume["metadata"]["finalizers"][0], FINALIZER);
    assert!(volume["metadata"]["deletionTimestamp"].is_null());
    setup.no_volumes().await;
    pass(1).await;
    let count =
        |name: &str| sidecar.metric(&format!("controller_persistentvolume_{name}{{class=\"{CLASS}\"}}"));
    assert!((count("delete_failed_total") - 3.0).abs() < 0.1);
    assert!((count("delete_total") - 1.0).abs() < 0.1);
    assert_eq!(setup.deletions().len(), 4);
}
