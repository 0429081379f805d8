//! The stand-in controllers.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::api::ApiServer;
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests;

fn started(options: KubeOptions) -> (ApiServer, KubeControllers) {
    let server = ApiServer::new();
    let controllers = KubeControllers::start(&server, options);
    (server, controllers)
}

async fn until(server: &ApiServer, what: &str, check: impl Fn() -> bool) {
    let mut versions = server.versions();
    let wait = async {
        while !check() {
            versions.changed().await.expect("the server lives");
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("not {what}"));
}

fn claim(server: &ApiServer) -> Value {
    server.get("PersistentVolumeClaim", "default", "c").unwrap_or_default()
}

fn volume(server: &ApiServer) -> Value {
    server.get("PersistentVolume", "", "v").unwrap_or_default()
}

fn provisioner_of(claim: &Value) -> &Value {
    &claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"]
}

/// The volume that a provisioner would make for the claim.
fn provisioned(server: &ApiServer) -> Value {
    let mut volume = manifests::volume("v", "driver.example", "handle", "fast");
    volume["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": "driver.example"});
    volume["spec"]["claimRef"] =
        json!({"namespace": "default", "name": "c", "uid": claim(server)["metadata"]["uid"]});
    volume
}

#[tokio::test(start_paused = true)]
async fn immediate_claim_gets_its_provisioner() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::claim("c", "fast")).unwrap();
    server.create(&manifests::class("fast", "driver.example")).unwrap();
    until(&server, "annotated", || provisioner_of(&claim(&server)) == "driver.example").await;
}

#[tokio::test(start_paused = true)]
async fn late_claim_waits_for_its_node() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::late_class("fast", "driver.example")).unwrap();
    server.create(&manifests::claim("c", "fast")).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(provisioner_of(&claim(&server)).is_null());
    let node = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n"}}});
    server.patch("PersistentVolumeClaim", "default", "c", &node).unwrap();
    until(&server, "annotated", || provisioner_of(&claim(&server)) == "driver.example").await;
}

#[tokio::test(start_paused = true)]
async fn provisioned_volume_is_bound_and_released() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::class("fast", "driver.example")).unwrap();
    server.create(&manifests::claim("c", "fast")).unwrap();
    server.create(&provisioned(&server)).unwrap();
    until(&server, "bound", || claim(&server)["status"]["phase"] == "Bound").await;
    assert_eq!(claim(&server)["spec"]["volumeName"], "v");
    assert_eq!(claim(&server)["status"]["capacity"]["storage"], "1Gi");
    assert_eq!(volume(&server)["status"]["phase"], "Bound");
    server.delete("PersistentVolumeClaim", "default", "c").unwrap();
    until(&server, "released", || volume(&server)["status"]["phase"] == "Released").await;
}

#[tokio::test(start_paused = true)]
async fn static_volume_is_available_and_then_bound() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::volume("v", "driver.example", "handle", "")).unwrap();
    until(&server, "available", || volume(&server)["status"]["phase"] == "Available").await;
    server.create(&manifests::claim("c", "")).unwrap();
    until(&server, "bound", || claim(&server)["status"]["phase"] == "Bound").await;
    assert_eq!(volume(&server)["spec"]["claimRef"]["uid"], claim(&server)["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn claim_of_a_vanished_volume_is_lost() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::claim("c", "fast")).unwrap();
    server.create(&provisioned(&server)).unwrap();
    until(&server, "bound", || claim(&server)["status"]["phase"] == "Bound").await;
    server.delete("PersistentVolume", "", "v").unwrap();
    // The claim is looked at when it or its volume changes.
    until(&server, "lost", || claim(&server)["status"]["phase"] == "Lost").await;
}

#[tokio::test(start_paused = true)]
async fn second_volume_of_a_claim_is_released() {
    let (server, _controllers) = started(KubeOptions::default());
    server.create(&manifests::claim("c", "fast")).unwrap();
    let mut second = provisioned(&server);
    second["metadata"]["name"] = json!("w");
    server.create(&provisioned(&server)).unwrap();
    until(&server, "bound", || claim(&server)["status"]["phase"] == "Bound").await;
    server.create(&second).unwrap();
    let phase = || server.get("PersistentVolume", "", "w").unwrap()["status"]["phase"].clone();
    until(&server, "released", || phase() == "Released").await;
}

#[tokio::test(start_paused = true)]
async fn protection_holds_what_is_in_use() {
    let (server, _controllers) = started(KubeOptions { protection: true, ..KubeOptions::default() });
    server.create(&manifests::claim("c", "fast")).unwrap();
    server.create(&manifests::pod("p", "c")).unwrap();
    until(&server, "protected", || claim(&server)["metadata"]["finalizers"].is_array()).await;
    server.delete("PersistentVolumeClaim", "default", "c").unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!claim(&server).is_null(), "went while a pod uses it");
    server.delete("Pod", "default", "p").unwrap();
    until(&server, "gone", || claim(&server).is_null()).await;
}
