//! Clones where several drivers are: who may let a source go (sheet 5.8).

use std::mem::replace;

use csi_client::csi::CreateVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver, Step};
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{CLASS, DRIVER, Setup, pass};

const PROTECTION: &str = "provisioner.storage.kubernetes.io/cloning-protection";
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

fn setup() -> Setup {
    Setup::able(&[ControllerCapability::CloneVolume])
}

fn is_protected(claim: &Value) -> bool {
    claim["metadata"]["finalizers"].as_array().is_some_and(|list| list.contains(&json!(PROTECTION)))
}

/// A claim `source`, `fields` on top, with a volume of the driver of `setup` that an administrator has made for it.
async fn source(setup: &Setup, fields: Value) {
    setup.driver.add_volume("by-hand", 100);
    let mut volume = testkit::manifests::volume("by-hand", DRIVER, "by-hand", CLASS);
    merge(&mut volume, &json!({"spec": {"claimRef": {"namespace": "default", "name": "source"}}}));
    setup.server.create(&volume).unwrap();
    setup.claim("source", fields);
    assert_eq!(setup.bound("source").await, "by-hand");
}

fn clone(setup: &Setup, class: &str) {
    let data = json!({"kind": "PersistentVolumeClaim", "name": "source"});
    setup.claim("clone", json!({"spec": {"dataSource": data, "storageClassName": class}}));
}

#[tokio::test(start_paused = true)]
async fn the_provisioner_of_another_driver_leaves_a_source_that_is_being_cloned() {
    let mut setup = setup();
    let _cloning = setup.start(&[]);
    let controller = vec![ControllerCapability::CreateDeleteVolume, ControllerCapability::CloneVolume];
    let config = DriverConfig { name: "other-driver".into(), controller, ..DriverConfig::default() };
    let other = ScriptedDriver::new(config);
    let driver = replace(&mut setup.driver, other);
    let _idle = setup.start_as("host-2", &[]);
    let other = replace(&mut setup.driver, driver);
    source(&setup, json!({})).await;
    assert_eq!(setup.get_claim("source")["metadata"]["annotations"][PROVISIONER], Value::Null);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Aborted, "pending"));
    clone(&setup, CLASS);
    setup.until("the source is protected", || is_protected(&setup.get_claim("source"))).await;
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    setup.delete_claim("source");
    pass(120).await;
    assert!(is_protected(&setup.get_claim("source")), "its volume would go while it is being cloned");
    setup.driver.behave();
    setup.bound("clone").await;
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
    setup.until("so is its volume", || setup.driver.volumes().len() == 1).await;
    assert_eq!(other.count::<CreateVolumeRequest>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_source_without_volume_stays_while_a_claim_of_any_driver_is_cloned_from_it() {
    let setup = setup();
    setup.class("third", json!({"provisioner": "third-driver"}));
    let _sidecar = setup.start(&[]);
    let fields = json!({"metadata": {"finalizers": [PROTECTION]}, "spec": {"volumeName": "lost"}});
    setup.claim("source", fields);
    clone(&setup, "third");
    setup
        .until("it has its provisioner", || {
            setup.get_claim("clone")["metadata"]["annotations"][PROVISIONER] == "third-driver"
        })
        .await;
    setup.delete_claim("source");
    pass(600).await;
    assert!(is_protected(&setup.get_claim("source")));
    setup.delete_claim("clone");
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_is_let_go_by_the_driver_of_its_volume_whatever_provisioner_it_names() {
    let setup = setup();
    let _sidecar = setup.start(&[]);
    source(&setup, json!({"metadata": {"annotations": {PROVISIONER: "gone-driver"}}})).await;
    clone(&setup, CLASS);
    setup.bound("clone").await;
    assert!(is_protected(&setup.get_claim("source")));
    setup.delete_claim("source");
    setup.until("the source is gone", || setup.get_claim("source").is_null()).await;
}
