//! What happens in a run besides faults: users take snapshots, restore from them, and delete them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use snapshot_api::names::finalizers::PROVISIONER_SOURCE;
use testkit::simulation::World;
use tokio::task::JoinHandle;

use crate::setup::{DRIVER, PVC, USER, VGS, VS, rules, strings, text};

const CLAIMS: usize = 3;
const SNAPSHOTS: usize = 6;
const GROUPS: usize = 2;

/// What is to be there in the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// Whether it is to be there.
    pub(super) kept: bool,
}

/// What users wish, by the name of the snapshot or group, and what claims are being filled from, by the claim's name.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) snapshots: BTreeMap<String, Wish>,
    pub(super) groups: BTreeMap<String, Wish>,
    /// Handles that a volume is being filled from.
    pub(super) sources: BTreeMap<String, String>,
    /// Handles that have stood in the status of a content.
    pub(super) told: BTreeSet<String>,
    /// Those of contents that are to be retained.
    pub(super) retained: BTreeSet<String>,
}

pub(super) type Wishes = Arc<Mutex<State>>;

/// What kind of run the seed makes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Two controllers, with election.
    pub(super) replicas: bool,
    /// Snapshots take their time to become ready.
    slow: bool,
}

impl Plan {
    pub(super) fn new(world: &World) -> Self {
        let bits = world.seed();
        Self { replicas: bits.is_multiple_of(3), slow: bits & 0b1000 == 0 }
    }

    /// Claims that are bound, classes, and a content that is a copy from another cluster.
    pub(super) fn prepare(self, world: &World) -> anyhow::Result<()> {
        let api = world.api();
        api.install("snapshot.storage.k8s.io");
        api.install("groupsnapshot.storage.k8s.io");
        api.set_rules(USER, rules());
        if self.slow {
            world.driver().configure(|config| config.snapshot_time = Duration::from_secs(20));
        }
        for (name, policy) in [("delete", "Delete"), ("retain", "Retain")] {
            for (group, kind) in
                [("snapshot", "VolumeSnapshotClass"), ("groupsnapshot", "VolumeGroupSnapshotClass")]
            {
                api.create(&json!({
                    "apiVersion": format!("{group}.storage.k8s.io/v1"), "kind": kind, "metadata": {"name": name},
                    "driver": DRIVER, "deletionPolicy": policy,
                }))?;
            }
        }
        for number in 0..CLAIMS {
            let name = format!("claim-{number}");
            let mut manifest = testkit::manifests::claim(&name, "class");
            manifest["metadata"]["labels"] = json!({"app": "db"});
            manifest["spec"]["volumeName"] = json!(format!("pv-{name}"));
            let created = api.create(&manifest)?;
            let mut object =
                testkit::manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
            object["spec"]["claimRef"] = json!({
                "apiVersion": "v1", "kind": PVC, "namespace": "default", "name": name, "uid": created["metadata"]["uid"],
            });
            api.create(&object)?;
            world.driver().add_volume(&format!("vol-{name}"), 1 << 30);
            api.patch_status(PVC, "default", &name, &json!({"status": {"phase": "Bound"}}))?;
        }
        world.driver().add_snapshot("copied", "vol-claim-0", 1 << 30);
        api.create(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
            "metadata": {
                "name": "copied",
                "annotations": {"snapshot.storage.kubernetes.io/volumesnapshot-being-deleted": "yes"},
            },
            "spec": {
                "deletionPolicy": "Delete", "driver": DRIVER, "source": {"snapshotHandle": "copied"},
                "volumeSnapshotRef": {"namespace": "default", "name": "snap-0", "uid": "of-another-cluster"},
            },
        }))?;
        Ok(())
    }
}

/// Starts the users.
pub(super) fn play(world: &World, wishes: &Wishes) -> Vec<JoinHandle<()>> {
    let snapshots =
        (0..SNAPSHOTS).map(|number| tokio::spawn(snapshot(world.clone(), wishes.clone(), number)));
    let snapshots: Vec<_> = snapshots.collect();
    let groups = (0..GROUPS).map(|number| tokio::spawn(group(world.clone(), wishes.clone(), number)));
    snapshots.into_iter().chain(groups).collect()
}

fn seconds(world: &World, from: u64, to: u64) -> Duration {
    world.between(Duration::from_secs(from), Duration::from_secs(to))
}

fn pick(world: &World, choices: u64) -> u64 {
    world.seed() % choices
}

/// A user takes a snapshot, or wants one that is there, perhaps restores from it, and perhaps deletes it, more than once under the same
/// name.
async fn snapshot(world: World, wishes: Wishes, number: usize) {
    let name = format!("snap-{number}");
    for _ in 0..=pick(&world, 2) {
        tokio::time::sleep(seconds(&world, 0, 20)).await;
        if world.api().object(VS, "default", &name).is_some() {
            continue;
        }
        let retained = pick(&world, 4) == 0;
        wishes.lock().unwrap().snapshots.insert(name.clone(), Wish { kept: true });
        let class = if retained { "retain" } else { "delete" };
        let source = if number == SNAPSHOTS - 1 {
            by_hand(&world, &name, retained)
        } else {
            json!({"persistentVolumeClaimName": format!("claim-{}", number % CLAIMS)})
        };
        world.note(&format!("the user wants {name} of class {class}"));
        let manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VS,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"source": source, "volumeSnapshotClassName": class},
        });
        world.api().create(&manifest).expect("a good manifest");
        if pick(&world, 2) == 0 {
            until_ready(&world, VS, &name).await;
            if pick(&world, 2) == 0 {
                restore(&world, &wishes, &name);
            }
        } else {
            tokio::time::sleep(seconds(&world, 0, 15)).await;
        }
        if pick(&world, 3) == 0 {
            continue;
        }
        world.note(&format!("the user deletes {name}"));
        wishes.lock().unwrap().snapshots.get_mut(&name).unwrap().kept = false;
        world.api().delete(VS, "default", &name).expect("it is there");
    }
}

/// The content of a snapshot that is there; the source that names it.
fn by_hand(world: &World, name: &str, retained: bool) -> Value {
    let (handle, content) = (
        format!("old-{name}-{}", world.elapsed().as_millis()),
        format!("by-hand-{}", world.elapsed().as_millis()),
    );
    world.driver().add_snapshot(&handle, "vol-claim-0", 1 << 30);
    let policy = if retained { "Retain" } else { "Delete" };
    world
        .api()
        .create(&json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent", "metadata": {"name": content},
            "spec": {
                "deletionPolicy": policy, "driver": DRIVER, "source": {"snapshotHandle": handle},
                "volumeSnapshotRef": {"namespace": "default", "name": name},
            },
        }))
        .expect("a good manifest");
    json!({ "volumeSnapshotContentName": content })
}

/// Until it is ready, or somebody has had enough.
async fn until_ready(world: &World, kind: &str, name: &str) {
    for _ in 0..120 {
        let object = world.api().object(kind, "default", name);
        if object.is_none_or(|object| object["status"]["readyToUse"] == true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What the provisioner does: it protects the snapshot, fills a volume from it, binds the claim, and lets go.
fn restore(world: &World, wishes: &Wishes, snapshot: &str) {
    let Some(object) = world.api().object(VS, "default", snapshot) else { return };
    let ready = object["status"]["readyToUse"] == true;
    if !ready || !object["metadata"]["deletionTimestamp"].is_null() {
        return;
    }
    let content = text(&object["status"]["boundVolumeSnapshotContentName"]);
    let content = world.api().object("VolumeSnapshotContent", "", &content).expect("it is ready");
    let handle = text(&content["status"]["snapshotHandle"]);
    let claim = format!("restored-{}", world.seed());
    let mut manifest = testkit::manifests::claim(&claim, "class");
    manifest["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": VS, "name": snapshot});
    world.api().create(&manifest).expect("a good manifest");
    let mut finalizers = strings(&object["metadata"]["finalizers"]);
    finalizers.push(PROVISIONER_SOURCE.to_owned());
    set_finalizers(world, snapshot, &finalizers);
    wishes.lock().unwrap().sources.insert(claim.clone(), handle);
    world.note(&format!("{claim} is being filled from {snapshot}"));
    let (world, wishes, snapshot) = (world.clone(), wishes.clone(), snapshot.to_owned());
    tokio::spawn(async move {
        tokio::time::sleep(seconds(&world, 1, 40)).await;
        wishes.lock().unwrap().sources.remove(&claim);
        world.note(&format!("{claim} is filled"));
        let bound = json!({"status": {"phase": "Bound"}});
        world.api().patch_status(PVC, "default", &claim, &bound).expect("it is there");
        let object = world.api().object(VS, "default", &snapshot).expect("it is held");
        let mut finalizers = strings(&object["metadata"]["finalizers"]);
        let ours = finalizers.iter().position(|finalizer| finalizer == PROVISIONER_SOURCE);
        finalizers.remove(ours.expect("it is protected"));
        set_finalizers(&world, &snapshot, &finalizers);
    });
}

fn set_finalizers(world: &World, snapshot: &str, finalizers: &[String]) {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    world.api().patch(VS, "default", snapshot, &patch).expect("a good patch");
}

/// A user takes a snapshot of all claims at once, and perhaps deletes it.
async fn group(world: World, wishes: Wishes, number: usize) {
    let name = format!("group-{number}");
    tokio::time::sleep(seconds(&world, 0, 20)).await;
    let retained = pick(&world, 4) == 0;
    wishes.lock().unwrap().groups.insert(name.clone(), Wish { kept: true });
    let class = if retained { "retain" } else { "delete" };
    world.note(&format!("the user wants {name} of class {class}"));
    let manifest = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGS,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"source": {"selector": {"matchLabels": {"app": "db"}}}, "volumeGroupSnapshotClassName": class},
    });
    world.api().create(&manifest).expect("a good manifest");
    if pick(&world, 2) == 0 {
        until_ready(&world, VGS, &name).await;
    }
    tokio::time::sleep(seconds(&world, 0, 15)).await;
    if pick(&world, 3) == 0 {
        return;
    }
    world.note(&format!("the user deletes {name}"));
    wishes.lock().unwrap().groups.get_mut(&name).unwrap().kept = false;
    world.api().delete(VGS, "default", &name).expect("it is there");
}
