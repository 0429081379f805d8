//! What happens in a run besides faults: users change their minds, kubelet does its part, pods come and go.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidecar_core::quantity::Quantity;
use testkit::api::Object;
use testkit::driver::NodeCapability;
use testkit::simulation::World;

use super::{IMPOSSIBLE, TROUBLE};
use crate::setup::{DRIVER, gi};

const CLAIMS: usize = 5;
const CLASSES: [&str; 3] = ["silver", "gold", "impossible"];

/// What the user of a claim wants in the end: a number of Gi, and a class or none.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) claim: String,
    pub(super) size: i64,
    pub(super) class: String,
    /// The user has nothing more to wish.
    pub(super) settled: bool,
}

pub(super) type Wishes = Arc<Mutex<Vec<Wish>>>;

/// What kind of run the seed makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Nodes have to do their part.
    nodes: bool,
    /// Kubelet acts as soon as it sees a larger volume, be the claim marked or not.
    early: bool,
    /// Volumes cannot be expanded while pods use them.
    offline: bool,
}

pub(super) fn bytes(text: &Value) -> i64 {
    text.as_str().and_then(|text| Quantity::parse(text).ok()).map_or(0, |quantity| quantity.value())
}

// Looked at after every call, so without copies.
pub(super) fn claim(world: &World, name: &str) -> Arc<Object> {
    world.api().object("PersistentVolumeClaim", "default", name).expect("claims stay")
}

pub(super) fn volume(world: &World, claim: &str) -> Arc<Object> {
    world.api().object("PersistentVolume", "", &format!("pv-{claim}")).expect("volumes stay")
}

impl Plan {
    pub(super) fn new(world: &World) -> Self {
        let bits = world.seed();
        Self { nodes: bits & 0b1 == 0, early: bits & 0b110 == 0, offline: bits & 0b1_1000 == 0 }
    }

    /// Claims that are bound and content, and classes.
    pub(super) fn prepare(self, world: &World) -> anyhow::Result<()> {
        if self.nodes {
            world.driver().configure(|config| config.node.push(NodeCapability::ExpandVolume));
        }
        world.api().set_rules(crate::setup::USER, crate::setup::rules());
        for class in CLASSES {
            world.api().create(&json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": class},
                "driverName": DRIVER, "parameters": {class: "yes"},
            }))?;
        }
        for number in 0..CLAIMS {
            let name = format!("claim-{number}");
            let mut manifest = testkit::manifests::claim(&name, "class");
            manifest["spec"]["volumeName"] = json!(format!("pv-{name}"));
            let created = world.api().create(&manifest)?;
            let mut object =
                testkit::manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
            object["spec"]["claimRef"] = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name,
                "uid": created["metadata"]["uid"],
            });
            world.api().create(&object)?;
            world.driver().add_volume(&format!("vol-{name}"), gi(1));
            let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
            world.api().patch_status("PersistentVolumeClaim", "default", &name, &status)?;
        }
        Ok(())
    }

    /// Starts users, kubelet and pods.
    pub(super) fn play(self, world: &World) -> Wishes {
        let wishes: Wishes = Arc::default();
        for number in 0..CLAIMS {
            let name = format!("claim-{number}");
            wishes.lock().unwrap().push(Wish { claim: name.clone(), size: 1, ..Wish::default() });
            tokio::spawn(user(world.clone(), number, wishes.clone()));
            if self.nodes {
                tokio::spawn(kubelet(world.clone(), name.clone(), self.early));
            }
            if self.offline && number.is_multiple_of(2) {
                tokio::spawn(pods(world.clone(), name));
            }
        }
        wishes
    }
}

fn seconds(world: &World, from: u64, to: u64) -> Duration {
    world.between(Duration::from_secs(from), Duration::from_secs(to))
}

/// A user asks for more, for too much, takes it back, and tries other classes.
async fn user(world: World, number: usize, wishes: Wishes) {
    for _ in 0..3 {
        tokio::time::sleep(seconds(&world, 0, 20)).await;
        let name = format!("claim-{number}");
        let has = bytes(&claim(&world, &name)["status"]["capacity"]["storage"]);
        // The API server takes nothing that is not more than the claim has.
        let more = has / gi(1) + 1 + i64::try_from(world.seed() % 5).unwrap();
        let size = if world.seed().is_multiple_of(4) { IMPOSSIBLE } else { more };
        let mut spec = json!({"resources": {"requests": {"storage": format!("{size}Gi")}}});
        let mut wishes = wishes.lock().unwrap();
        let wish = &mut wishes[number];
        wish.size = size;
        if !number.is_multiple_of(3) {
            let class = CLASSES.get(usize::try_from(world.seed() % 5).unwrap()).copied().unwrap_or_default();
            class.clone_into(&mut wish.class);
            spec["volumeAttributesClassName"] = if class.is_empty() { Value::Null } else { json!(class) };
        }
        world.note(&format!("the user of {name} wants {size}Gi and class {:?}", wish.class));
        let patched = world.api().patch("PersistentVolumeClaim", "default", &name, &json!({ "spec": spec }));
        patched.expect("a good patch");
    }
    wishes.lock().unwrap()[number].settled = true;
}

/// Kubelet's part: it marks the claim, takes its time, and writes the volume's size into the claim, or gives up.
async fn kubelet(world: World, name: String, early: bool) {
    loop {
        tokio::time::sleep(seconds(&world, 1, 4)).await;
        let (pvc, pv) = (claim(&world, &name), volume(&world, &name));
        let progress =
            pvc["status"]["allocatedResourceStatuses"]["storage"].as_str().unwrap_or_default().to_owned();
        let larger = bytes(&pv["spec"]["capacity"]["storage"]) > bytes(&pvc["status"]["capacity"]["storage"]);
        let asked = ["NodeResizePending", "NodeResizeInProgress"].contains(&progress.as_str());
        if !larger || !(asked || early) {
            continue;
        }
        if asked && world.seed().is_multiple_of(8) && world.elapsed() < TROUBLE {
            world.note(&format!("kubelet cannot grow the file system of {name}"));
            patch_progress(&world, &name, &json!("NodeResizeInfeasible"));
            continue;
        }
        if asked {
            patch_progress(&world, &name, &json!("NodeResizeInProgress"));
            tokio::time::sleep(seconds(&world, 0, 3)).await;
        }
        // What it has grown to is what the volume object said when it began.
        world.note(&format!("kubelet has grown the file system of {name}"));
        let size = pv["spec"]["capacity"]["storage"].clone();
        let status = json!({"capacity": {"storage": size}, "allocatedResourceStatuses": null});
        let patch = json!({ "status": without_resize_conditions(&world, &name, status) });
        world.api().patch_status("PersistentVolumeClaim", "default", &name, &patch).expect("a good patch");
    }
}

fn patch_progress(world: &World, name: &str, progress: &Value) {
    let patch = json!({"status": {"allocatedResourceStatuses": {"storage": progress}}});
    world.api().patch_status("PersistentVolumeClaim", "default", name, &patch).expect("a good patch");
}

fn without_resize_conditions(world: &World, name: &str, mut status: Value) -> Value {
    let conditions = claim(world, name)["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let others = conditions.into_iter().filter(|condition| {
        let kind = condition["type"].as_str().unwrap_or_default();
        !["Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"].contains(&kind)
    });
    status["conditions"] = others.collect();
    status
}

/// A pod uses the claim for a while, several times.
async fn pods(world: World, name: String) {
    for number in 0..3 {
        tokio::time::sleep(seconds(&world, 0, 20)).await;
        let pod = format!("{name}-{number}");
        world.api().create(&testkit::manifests::pod(&pod, &name)).expect("a good pod");
        world.driver().set_in_use(&format!("vol-{name}"), true);
        world.note(&format!("pod {pod} uses {name}"));
        tokio::time::sleep(seconds(&world, 5, 60)).await;
        world.driver().set_in_use(&format!("vol-{name}"), false);
        world.note(&format!("pod {pod} ends"));
        if world.seed().is_multiple_of(2) {
            world.api().delete("Pod", "default", &pod).expect("it is there");
        } else {
            let phase = json!({"status": {"phase": "Succeeded"}});
            world.api().patch_status("Pod", "default", &pod, &phase).expect("it is there");
        }
    }
}
