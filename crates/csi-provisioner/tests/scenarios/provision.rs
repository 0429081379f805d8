//! Sheet 11.4, the rows that need an API server or a driver. The rest of the table is next to the policy.

use csi_client::csi::{CreateVolumeRequest, CreateVolumeResponse, DeleteVolumeRequest};
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, Step};
use tonic::Code;

use crate::setup::{CLASS, Setup, pass};

const SECRETS: [(&str, &str); 2] = [
    ("csi.storage.k8s.io/provisioner-secret-name", "${pvc.annotations['team']}-key"),
    ("csi.storage.k8s.io/provisioner-secret-namespace", "${pvc.namespace}"),
];

fn secret_class(setup: &Setup) {
    let parameters: serde_json::Map<String, Value> =
        SECRETS.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    setup.class("secret", json!({ "parameters": parameters }));
}

fn secret_claim(setup: &Setup) {
    let fields = json!({
        "metadata": {"annotations": {"team": "red"}},
        "spec": {"storageClassName": "secret"},
    });
    setup.claim("claim", fields);
}

fn create_secret(setup: &Setup) {
    setup
        .server
        .create(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "red-key", "namespace": "default"},
            "data": {"user": "YWRtaW4="},
        }))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_request_is_what_class_and_claim_ask_for() {
    let setup = Setup::new();
    let parameters = json!({"fstype": "ext3", "pool": "fast"});
    setup.class("full", json!({"parameters": parameters, "mountOptions": ["foo=bar", "baz=qux"]}));
    let _sidecar = setup.start(&["--extra-create-metadata", "--volume-name-prefix=x"]);
    let claim = setup.claim("claim", json!({"spec": {"storageClassName": "full"}}));
    let volume = setup.bound("claim").await;
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    assert_eq!(volume, format!("x-{uid}"));

    let request = &setup.creations()[0];
    assert_eq!(request.name, volume);
    assert_eq!(request.capacity_range.unwrap().required_bytes, 100);
    let parameters: Vec<_> = request.parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        parameters,
        [
            ("csi.storage.k8s.io/pv/name", volume.as_str()),
            ("csi.storage.k8s.io/pvc/name", "claim"),
            ("csi.storage.k8s.io/pvc/namespace", "default"),
            ("fstype", "ext3"),
            ("pool", "fast"),
        ]
    );
    assert!(request.secrets.is_empty() && request.mutable_parameters.is_empty());
    let saved = setup.get_volume(&volume).unwrap();
    let annotations = &saved["metadata"]["annotations"];
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-name"], "");
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-namespace"], "");
    let identity = &saved["spec"]["csi"]["volumeAttributes"]["storage.kubernetes.io/csiProvisionerIdentity"];
    assert!(identity.as_str().unwrap().ends_with("-test-driver"), "{identity}");
    assert_eq!(saved["spec"]["mountOptions"], json!(["foo=bar", "baz=qux"]));
    assert_eq!(saved["spec"]["capacity"]["storage"], "100");
}

#[tokio::test(start_paused = true)]
async fn secret_is_fetched_and_remembered_for_deletion() {
    let setup = Setup::new();
    secret_class(&setup);
    create_secret(&setup);
    let _sidecar = setup.start(&[]);
    secret_claim(&setup);
    let volume = setup.bound("claim").await;
    assert_eq!(setup.creations()[0].secrets["user"], "admin");
    let saved = setup.get_volume(&volume).unwrap();
    let annotations = &saved["metadata"]["annotations"];
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-name"], "red-key");
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-namespace"], "default");
    setup.delete_claim("claim");
    setup.no_volumes().await;
    assert_eq!(setup.deletions()[0].secrets["user"], "admin");
}

#[tokio::test(start_paused = true)]
async fn secret_missing_in_api() {
    let setup = Setup::new();
    secret_class(&setup);
    let _sidecar = setup.start(&[]);
    secret_claim(&setup);
    let text = "error getting secret red-key in namespace default: secrets \"red-key\" not found";
    setup.event("claim", "ProvisioningFailed", text).await;
    assert!(setup.creations().is_empty());
    create_secret(&setup);
    setup.bound("claim").await;
}

#[tokio::test(start_paused = true)]
async fn response_capacity_80_of_100() {
    let setup = Setup::new();
    let shrink = |answer: &mut CreateVolumeResponse| {
        answer.volume.as_mut().unwrap().capacity_bytes = 80;
    };
    setup.driver.script::<CreateVolumeRequest>([Step::edit(shrink)]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    let text = "created volume capacity 80 less than requested capacity 100";
    setup.event("claim", "ProvisioningFailed", text).await;
    assert_eq!(setup.deletions().len(), 1, "the volume of no use is deleted once");
    setup.bound("claim").await;
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn clean_up_that_fails_is_said_to_leave_an_orphan() {
    let setup = Setup::new();
    let shrink = |answer: &mut CreateVolumeResponse| {
        answer.volume.as_mut().unwrap().capacity_bytes = 80;
    };
    setup.driver.script::<CreateVolumeRequest>([Step::edit(shrink)]);
    setup.driver.script::<DeleteVolumeRequest>(vec![Step::fail(Code::Internal, "no"); 5]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup
        .event(
            "claim",
            "ProvisioningFailed",
            "failed, volume is orphaned: rpc error: code = Internal desc = no",
        )
        .await;
    assert_eq!(setup.deletions().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn response_capacity_0() {
    let setup = Setup::new();
    let silent = |answer: &mut CreateVolumeResponse| {
        answer.volume.as_mut().unwrap().capacity_bytes = 0;
    };
    setup.driver.script::<CreateVolumeRequest>([Step::edit(silent)]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    let volume = setup.bound("claim").await;
    assert_eq!(setup.get_volume(&volume).unwrap()["spec"]["capacity"]["storage"], "100");
}

#[tokio::test(start_paused = true)]
async fn response_without_volume_or_with_an_empty_id_is_asked_for_again() {
    let setup = Setup::new();
    let nothing = |answer: &mut CreateVolumeResponse| answer.volume = None;
    let nameless = |answer: &mut CreateVolumeResponse| {
        answer.volume.as_mut().unwrap().volume_id.clear();
    };
    setup.driver.script::<CreateVolumeRequest>([Step::edit(nothing), Step::edit(nameless)]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "without a volume").await;
    setup.event("claim", "ProvisioningFailed", "with an empty volume id").await;
    setup.bound("claim").await;
    assert_eq!(setup.driver.volumes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn data_source_kind_my_populator() {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    let source = json!({"kind": "MyPopulator", "apiGroup": "my.example.io", "name": "x"});
    setup.claim("claim", json!({"spec": {"dataSourceRef": source}}));
    let text = "Assuming an external populator will provision the volume";
    setup.event("claim", "Provisioning", text).await;
    pass(60).await;
    assert!(setup.creations().is_empty());
    assert!(setup.events("claim").iter().all(|(kind, ..)| kind == "Normal"));
    let series =
        "controller_persistentvolumeclaim_provision_failed_total{class=\"fake-sc\",source=\"MyPopulator\"}";
    assert!(sidecar.metric(series) > 0.5, "ignored provision: no PV, failed metric");
}

fn attributes_class(setup: &Setup, name: &str, driver: &str) {
    setup
        .server
        .create(&json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
            "metadata": {"name": name}, "driverName": driver, "parameters": {"iops": "100"},
        }))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn vac_with_gate_on_and_modify_volume() {
    let setup = Setup::able(&[ControllerCapability::ModifyVolume]);
    attributes_class(&setup, "gold", "test-driver");
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({"spec": {"volumeAttributesClassName": "gold"}}));
    let volume = setup.bound("claim").await;
    assert_eq!(setup.creations()[0].mutable_parameters["iops"], "100");
    assert_eq!(setup.get_volume(&volume).unwrap()["spec"]["volumeAttributesClassName"], "gold");
}

#[tokio::test(start_paused = true)]
async fn vac_gate_off_because_the_api_server_has_none() {
    let setup = Setup::able(&[ControllerCapability::ModifyVolume]);
    setup.server.hide("VolumeAttributesClass");
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({"spec": {"volumeAttributesClassName": "gold"}}));
    let volume = setup.bound("claim").await;
    assert!(setup.creations()[0].mutable_parameters.is_empty());
    assert!(setup.get_volume(&volume).unwrap()["spec"]["volumeAttributesClassName"].is_null());
}

#[tokio::test(start_paused = true)]
async fn vac_missing() {
    let setup = Setup::able(&[ControllerCapability::ModifyVolume]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({"spec": {"volumeAttributesClassName": "gold"}}));
    setup.event("claim", "ProvisioningFailed", "\"gold\" not found").await;
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn vac_for_other_driver() {
    let setup = Setup::able(&[ControllerCapability::ModifyVolume]);
    attributes_class(&setup, "gold", "other");
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({"spec": {"volumeAttributesClassName": "gold"}}));
    let text = "VAC gold referenced in PVC is for driver other which does not match driver name test-driver";
    setup.event("claim", "ProvisioningFailed", text).await;
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn topology_of_later_versions_is_refused_with_an_event() {
    let setup = Setup::new();
    setup.driver.configure(|config| {
        config.plugin.push(testkit::driver::PluginCapability::VolumeAccessibilityConstraints);
    });
    let sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "--feature-gates=Topology=false").await;
    assert!(setup.creations().is_empty());
    drop(sidecar);
    let _sidecar = setup.start(&["--feature-gates=Topology=false"]);
    setup.bound("claim").await;
    assert_eq!(setup.creations()[0].accessibility_requirements, None);
    assert_eq!(setup.get_claim("claim")["spec"]["storageClassName"], CLASS);
}
