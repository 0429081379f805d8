//! Cloning claims and protecting them meanwhile: sheet 5.6.3, 5.8, 11.8, 11.11, 13.11.

use csi_client::csi::volume_content_source::Type;
use csi_client::csi::{CreateVolumeRequest, CreateVolumeResponse};
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, Step};
use tonic::Code;

use crate::setup::{Setup, pass};

const PROTECTION: &str = "provisioner.storage.kubernetes.io/cloning-protection";

fn setup() -> Setup {
    Setup::able(&[ControllerCapability::CloneVolume])
}

fn clone(setup: &Setup, name: &str) -> Value {
    setup.claim(name, json!({"spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "source"}}}))
}

fn is_protected(setup: &Setup) -> bool {
    let finalizers = setup.get_claim("source")["metadata"]["finalizers"].clone();
    finalizers.as_array().is_some_and(|list| list.contains(&json!(PROTECTION)))
}

async fn source(setup: &Setup) -> String {
    setup.claim("source", json!({}));
    let volume = setup.bound("source").await;
    setup.get_volume(&volume).unwrap()["spec"]["csi"]["volumeHandle"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn normal_and_different_storage_classes() {
    let setup = setup();
    setup.class("another", json!({}));
    let _sidecar = setup.start(&[]);
    let handle = source(&setup).await;
    clone(&setup, "claim");
    setup.bound("claim").await;
    assert!(is_protected(&setup));
    let content = setup.creations()[1].volume_content_source.clone().unwrap();
    let Some(Type::Volume(content)) = content.r#type else { panic!("{content:?}") };
    assert_eq!(content.volume_id, handle);
    let data = json!({"kind": "PersistentVolumeClaim", "name": "source"});
    setup.claim("other", json!({"spec": {"dataSource": data, "storageClassName": "another"}}));
    setup.bound("other").await;
    assert_eq!(setup.server.count("update", "persistentvolumeclaims"), 1, "it is protected once");
}

#[tokio::test(start_paused = true)]
async fn request_101_driver_returns_100() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    source(&setup).await;
    let shrink = |answer: &mut CreateVolumeResponse| answer.volume.as_mut().unwrap().capacity_bytes = 100;
    setup.driver.script::<CreateVolumeRequest>([Step::edit(shrink)]);
    let data = json!({"kind": "PersistentVolumeClaim", "name": "source"});
    setup
        .claim("claim", json!({"spec": {"dataSource": data, "resources": {"requests": {"storage": "101"}}}}));
    setup.event("claim", "ProvisioningFailed", "created volume capacity 100 less than").await;
    assert_eq!(setup.deletions().len(), 1);
    assert!(is_protected(&setup));
}

#[tokio::test(start_paused = true)]
async fn request_99_less_than_source_100() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    source(&setup).await;
    let data = json!({"kind": "PersistentVolumeClaim", "name": "source"});
    setup.claim("claim", json!({"spec": {"dataSource": data, "resources": {"requests": {"storage": "99"}}}}));
    setup.event("claim", "ProvisioningFailed", "requested 99 but source is 100").await;
    assert!(!is_protected(&setup));
}

#[tokio::test(start_paused = true)]
async fn source_not_found() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    clone(&setup, "claim");
    let text = "error getting handle for DataSource Type PersistentVolumeClaim by Name source: error getting PVC source \
                (namespace \"default\") from api server: persistentvolumeclaims \"source\" not found";
    setup.event("claim", "ProvisioningFailed", text).await;
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn source_deleting_clone_bound() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    source(&setup).await;
    clone(&setup, "claim");
    setup.bound("claim").await;
    setup.delete_claim("source");
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn one_clone_pending() {
    let setup = setup();
    let _sidecar = setup.start(&["--retry-interval-max=10m"]);
    source(&setup).await;
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Internal, "not now"));
    clone(&setup, "claim");
    setup.until("the source is protected", || is_protected(&setup)).await;
    setup.delete_claim("source");
    pass(120).await;
    assert!(is_protected(&setup));
    // It goes on although its source is to go, and lets it go at once.
    setup.driver.behave();
    setup.bound("claim").await;
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn source_deleting_without_protection() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    source(&setup).await;
    setup
        .server
        .patch(
            "PersistentVolumeClaim",
            "default",
            "source",
            &json!({"metadata": {"finalizers": ["example.com/held"]}}),
        )
        .unwrap();
    setup.delete_claim("source");
    clone(&setup, "claim");
    setup.event("claim", "ProvisioningFailed", "the PVC DataSource source is currently being deleted").await;
    assert_eq!(setup.creations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_clones_or_no_finalizer() {
    let setup = setup();
    setup.claim("source", json!({"metadata": {"finalizers": [PROTECTION]}}));
    let _sidecar = setup.start(&[]);
    setup.bound("source").await;
    setup.delete_claim("source");
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
    let writes = setup.server.count("update", "persistentvolumeclaims");
    setup.claim("plain", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    setup.bound("plain").await;
    setup.delete_claim("plain");
    pass(60).await;
    assert_eq!(setup.server.count("update", "persistentvolumeclaims"), writes);
}

#[tokio::test(start_paused = true)]
async fn a_clone_deleted_while_it_is_made_keeps_its_source_until_the_outcome_is_known() {
    let setup = setup();
    let _sidecar = setup.start(&["--retry-interval-start=60s"]);
    source(&setup).await;
    setup.driver.script::<CreateVolumeRequest>([Step::FailAfter(Code::DeadlineExceeded, "slow".into())]);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Aborted, "pending"));
    clone(&setup, "claim");
    setup.until("the volume is made", || setup.driver.volumes().len() == 2).await;
    setup.delete_claim("claim");
    setup.delete_claim("source");
    pass(30).await;
    assert!(is_protected(&setup));
    setup.driver.behave();
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
    setup.until("the driver has no volume", || setup.driver.volumes().is_empty()).await;
    setup.no_volumes().await;
}
