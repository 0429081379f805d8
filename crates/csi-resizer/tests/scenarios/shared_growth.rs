//! The shared scenarios on the API server in this process, where a task of this module plays the provisioner.

use std::time::Duration;

use serde_json::json;
use sidecar_core::quantity::Quantity;
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::stage::claims::Stage;
use tokio::task::AbortHandle;

use crate::setup::{DRIVER, Setup, Sidecar, able};
use crate::shared::growth;

struct Theatre {
    setup: Setup,
    stage: Stage,
    _sidecar: Sidecar,
    _controllers: KubeControllers,
    provisioner: AbortHandle,
}

impl Drop for Theatre {
    fn drop(&mut self) {
        self.provisioner.abort();
    }
}

fn theatre(nodes: bool) -> Theatre {
    let mut config = able(true, nodes, true);
    config.capacity = 1 << 40;
    let setup = Setup::with(config);
    let controllers = KubeControllers::start(&setup.server, KubeOptions::default());
    let sidecar = setup.start(&[]);
    let stage = Stage {
        client: setup.server.client(),
        driver: DRIVER.into(),
        namespace: "default".into(),
        prefix: "shared".into(),
    };
    let (server, driver) = (setup.server.clone(), setup.driver.clone());
    let provisioner = tokio::spawn(async move {
        loop {
            for claim in server.list("PersistentVolumeClaim") {
                let name = claim["metadata"]["name"].as_str().unwrap();
                let volume = format!("pv-{name}");
                if claim["spec"]["volumeName"].is_null()
                    && server.get("PersistentVolume", "", &volume).is_none()
                {
                    let class = claim["spec"]["storageClassName"].as_str().unwrap();
                    let size = claim["spec"]["resources"]["requests"]["storage"].clone();
                    let mut object = testkit::manifests::volume(&volume, DRIVER, &volume, class);
                    driver.add_volume(&volume, Quantity::parse(size.as_str().unwrap()).unwrap().value());
                    object["spec"]["capacity"]["storage"] = size;
                    object["spec"]["claimRef"] = json!({
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name,
                        "uid": claim["metadata"]["uid"],
                    });
                    server.create(&object).unwrap();
                }
            }
            for volume in server.list("PersistentVolume") {
                if volume["status"]["phase"] == "Released" {
                    server
                        .delete("PersistentVolume", "", volume["metadata"]["name"].as_str().unwrap())
                        .unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    Theatre {
        setup,
        stage,
        _sidecar: sidecar,
        _controllers: controllers,
        provisioner: provisioner.abort_handle(),
    }
}

fn nothing_is_left(theatre: &Theatre) {
    for kind in ["PersistentVolumeClaim", "PersistentVolume", "StorageClass", "VolumeAttributesClass"] {
        assert_eq!(theatre.setup.server.list(kind), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_grows() {
    for nodes in [false, true] {
        let theatre = theatre(nodes);
        growth::a_claim_grows(&theatre.stage).await.unwrap();
        nothing_is_left(&theatre);
    }
}

#[tokio::test(start_paused = true)]
async fn a_size_that_cannot_be_had_is_taken_back() {
    let theatre = theatre(true);
    growth::a_size_that_cannot_be_had_is_taken_back(&theatre.stage).await.unwrap();
    nothing_is_left(&theatre);
}

#[tokio::test(start_paused = true)]
async fn classes_are_applied_one_after_the_other() {
    let theatre = theatre(true);
    growth::classes_are_applied_one_after_the_other(&theatre.stage).await.unwrap();
    nothing_is_left(&theatre);
}

#[tokio::test(start_paused = true)]
async fn a_class_that_comes_later_is_applied() {
    let theatre = theatre(true);
    growth::a_class_that_comes_later_is_applied(&theatre.stage).await.unwrap();
    nothing_is_left(&theatre);
}

#[tokio::test(start_paused = true)]
async fn a_claim_grows_and_is_modified_at_once() {
    let theatre = theatre(true);
    growth::a_claim_grows_and_is_modified_at_once(&theatre.stage).await.unwrap();
    nothing_is_left(&theatre);
}
