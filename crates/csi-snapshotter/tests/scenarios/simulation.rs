//! Snapshots and groups are wanted and given up while everything around the snapshotter fails, and it itself crashes.
//!
//! The test plays the snapshot controller: it makes contents, with our finalizer on them, and where one is no longer wanted
//! marks and deletes it. `SIM_SEEDS` says how many seeds are tried, `SIM_SEED` replays one. A failing seed prints its trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidecar_testkit::{command_line, simulation};
use testkit::api::doc;
use testkit::driver::{ControllerCapability, DriverConfig, Fact};
use testkit::simulation::{Incarnation, Options, World, replays_exactly, run};

use crate::setup::{
    BEING_CREATED, BEING_DELETED, CLASS, DRIVER, GIB, GROUP_BEING_CREATED, GROUP_BEING_DELETED, VGSC, VOLUME,
    VSC, able, both, content, given, group, is_ready, whole,
};

const SINGLES: usize = 12;
const GROUPS: usize = 4;
const SEEDS: u64 = 2000;
const HOUR: Duration = Duration::from_secs(3600);

fn options(test: &str) -> Options {
    let command = format!("cargo test -p csi-snapshotter --test scenarios simulation::{test}");
    let driver = DriverConfig { snapshot_time: Duration::from_secs(7), ..able() };
    // Everybody has done what he wanted by then, and what is still under way has met its faults.
    let trouble = Duration::from_secs(75);
    Options { driver, kube: None, trouble, settle: Duration::from_secs(1200), ..Options::new(&command) }
}

/// One life of a snapshotter, from its command line.
async fn life(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    let context = simulation::context(&life, life.api(), "csi-snapshotter", hostname).build();
    let defaults = [
        "--kube-api-qps=50",
        "--kube-api-burst=100",
        "--retry-interval-max=30s",
        "--worker-threads=4",
        "--timeout=15s",
    ];
    whole(command_line(&defaults, arguments), context).await.map_err(|exit| exit.to_string())
}

/// Half of the drivers tell about a snapshot without being asked to take it.
fn choose_driver(world: &World) {
    let gets = world.seed().is_multiple_of(2);
    world.driver().configure(|config| {
        if gets {
            config.controller.push(ControllerCapability::GetSnapshot);
        } else {
            config.group.clear();
        }
    });
}

// ---- what the users want ----

/// What the test knows and nobody else does.
#[derive(Default)]
struct Wishes {
    /// Contents that are to stay or to come, by name: what their snapshots are called by the driver.
    wanted: BTreeMap<String, Vec<String>>,
    /// Names that the driver may delete.
    unwanted: BTreeSet<String>,
    /// Names that stay in the driver though their content goes.
    retained: BTreeSet<String>,
}

type Shared = Arc<Mutex<Wishes>>;

/// One content, with what the driver calls its snapshots.
struct Plan {
    kind: &'static str,
    object: Value,
    snapshots: Vec<String>,
    retained: bool,
}

impl Plan {
    fn name(&self) -> &str {
        doc::text(&self.object, "/metadata/name")
    }
}

fn pick(world: &World, choices: u64) -> u64 {
    world.seed() % choices
}

/// The content of a single snapshot, which is to be taken or was there before.
fn single(world: &World, number: usize, round: u64) -> Plan {
    let name = format!("content-{number}-{round}");
    let mut object = content(&name);
    let retained = pick(world, 6) == 0;
    if retained {
        object = both(object, json!({"spec": {"deletionPolicy": "Retain"}}));
    }
    let mut snapshots = vec![format!("snapshot-snapuid-{name}")];
    if pick(world, 5) == 0 {
        snapshots = vec![format!("given-{number}-{round}")];
        world.driver().add_snapshot(&snapshots[0], VOLUME, GIB);
        object = both(object, given(&snapshots[0]));
        object["spec"]["source"].as_object_mut().expect("an object").remove("volumeHandle");
    }
    Plan { kind: VSC, object, snapshots, retained }
}

fn several(world: &World, number: usize, round: u64) -> Plan {
    let name = format!("group-{number}-{round}");
    let mut object = group(&name);
    let retained = pick(world, 6) == 0;
    if retained {
        object = both(object, json!({"spec": {"deletionPolicy": "Retain"}}));
    }
    let member = |volume: &str| format!("groupsnapshot-snapuid-{name}-{volume}");
    Plan { kind: VGSC, object, snapshots: vec![member(VOLUME), member("volume-handle2")], retained }
}

// ---- what must hold ----

/// At every moment: no snapshot was taken twice, and none is gone that is wanted.
fn holds(world: &World, wishes: &Shared) -> Result<(), String> {
    let wishes = wishes.lock().expect("nobody panics");
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for fact in world.driver().history() {
        match fact {
            Fact::SnapshotCreated { name, id } => {
                if !taken.insert(name.clone()) {
                    return Err(format!("{name} was taken twice"));
                }
                names.insert(id, name);
            }
            Fact::SnapshotDeleted { id } => {
                let name = names.get(&id).cloned().unwrap_or(id);
                if !wishes.unwanted.contains(&name) {
                    return Err(format!("{name} was deleted"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// When everything has settled: what is wanted is there, ready and known to be, nothing else is, nothing is held or marked.
fn settled(world: &World, wishes: &Shared) -> Result<(), String> {
    let wishes = wishes.lock().expect("nobody panics");
    let mut there: BTreeSet<String> = world.driver().snapshots().into_values().collect();
    let mut contents = world.api().objects(VSC);
    contents.extend(world.api().objects(VGSC));
    for object in &contents {
        let name = doc::text(object, "/metadata/name");
        let Some(snapshots) = wishes.wanted.get(name) else { return Err(format!("{name} does not go")) };
        if !is_ready(object) || doc::present(object, "/status/error") {
            return Err(format!("{name} is {}", object["status"]));
        }
        let annotations = &object["metadata"]["annotations"];
        if [BEING_CREATED, GROUP_BEING_CREATED].iter().any(|key| annotations.get(key).is_some()) {
            return Err(format!("{name} is marked"));
        }
        known(world, object, snapshots)?;
        for snapshot in snapshots {
            if !there.remove(snapshot) {
                return Err(format!("{snapshot} of {name} is not there"));
            }
        }
    }
    if contents.len() != wishes.wanted.len() {
        return Err(format!("{} contents, {} wanted", contents.len(), wishes.wanted.len()));
    }
    there.retain(|name| !wishes.retained.contains(name));
    if there.is_empty() { Ok(()) } else { Err(format!("left behind: {there:?}")) }
}

/// The handles in the status are those of the snapshots.
fn known(world: &World, object: &Value, snapshots: &[String]) -> Result<(), String> {
    let there = world.driver().snapshots();
    let named = |handle: &Value| handle.as_str().and_then(|handle| there.get(handle)).cloned();
    let status = &object["status"];
    let noted: Vec<_> = match status["volumeSnapshotInfoList"].as_array() {
        Some(members) => members.iter().map(|member| named(&member["snapshotHandle"])).collect(),
        None => vec![named(&status["snapshotHandle"])],
    };
    let wanted: Vec<_> = snapshots.iter().cloned().map(Some).collect();
    if noted == wanted { Ok(()) } else { Err(format!("{noted:?} instead of {wanted:?}")) }
}

// ---- what happens ----

async fn lives(world: World) -> anyhow::Result<()> {
    choose_driver(&world);
    world.api().install("snapshot.storage.k8s.io");
    for volume in [VOLUME, "volume-handle2"] {
        world.driver().add_volume(volume, GIB);
    }
    let wishes = Shared::default();
    let checked = wishes.clone();
    world.invariant(move |world| holds(world, &checked));
    simulation::start(&world, world.seed().is_multiple_of(3), life);
    tokio::spawn(classes(world.clone()));
    let mut users = Vec::new();
    for number in 0..SINGLES {
        users.push(tokio::spawn(user(world.clone(), wishes.clone(), number, single)));
    }
    for number in 0..GROUPS {
        users.push(tokio::spawn(user(world.clone(), wishes.clone(), number, several)));
    }
    for user in users {
        user.await?.map_err(anyhow::Error::msg)?;
    }
    let check = world.clone();
    world.converge("what is wanted is there and nothing else", move || settled(&check, &wishes)).await
}

/// Groups, and the classes, may come later than what needs them.
async fn classes(world: World) {
    let late = || world.between(Duration::ZERO, Duration::from_secs(20));
    world.api().install("groupsnapshot.storage.k8s.io");
    for (group, kind) in [("snapshot", "VolumeSnapshotClass"), ("groupsnapshot", "VolumeGroupSnapshotClass")]
    {
        tokio::time::sleep(late()).await;
        let class = json!({
            "apiVersion": format!("{group}.storage.k8s.io/v1"), "kind": kind, "metadata": {"name": CLASS},
            "driver": DRIVER, "deletionPolicy": "Delete",
        });
        world.api().create(&class).expect("it is not there");
    }
}

/// Wants a snapshot, gives it up, wants another, and in the end maybe keeps one.
async fn user(
    world: World,
    wishes: Shared,
    number: usize,
    plan: fn(&World, usize, u64) -> Plan,
) -> Result<(), String> {
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(25))).await;
    let rounds = pick(&world, 3);
    for round in 0..=rounds {
        let plan = plan(&world, number, round);
        let name = plan.name().to_owned();
        wishes.lock().expect("nobody panics").wanted.insert(name.clone(), plan.snapshots.clone());
        world.api().create(&plan.object).map_err(|failure| failure.to_string())?;
        if round == rounds && pick(&world, 2) == 0 {
            return Ok(());
        }
        used(&world, plan.kind, &name).await?;
        give_up(&world, &wishes, &plan).await?;
    }
    Ok(())
}

/// Until it is ready and a while longer, or not even that long.
async fn used(world: &World, kind: &str, name: &str) -> Result<(), String> {
    if pick(world, 3) == 0 {
        let ready = || match world.api().object(kind, "", name) {
            Some(found) if is_ready(&found) => Ok(()),
            _ => Err("it is not".to_owned()),
        };
        world.until("ready", HOUR, ready).await.map_err(|error| error.to_string())?;
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(12))).await;
    Ok(())
}

/// What the snapshot controller does, in either order if a user has deleted the content before.
async fn give_up(world: &World, wishes: &Shared, plan: &Plan) -> Result<(), String> {
    let name = plan.name();
    let text = |failure: testkit::api::Failure| failure.to_string();
    let early = pick(world, 5) == 0;
    if early {
        world.note(&format!("{name} is deleted by its user"));
        world.api().delete(plan.kind, "", name).map_err(text)?;
        tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    }
    {
        let mut wishes = wishes.lock().expect("nobody panics");
        wishes.wanted.remove(name);
        let names = plan.snapshots.iter().cloned();
        if plan.retained {
            wishes.retained.extend(names);
        } else {
            wishes.unwanted.extend(names);
        }
    }
    world.note(&format!("{name} is unwanted"));
    let key = if plan.kind == VSC { BEING_DELETED } else { GROUP_BEING_DELETED };
    let marked = json!({"metadata": {"annotations": {key: "yes"}}});
    world.api().patch(plan.kind, "", name, &marked).map_err(text)?;
    if !early {
        tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(2))).await;
        world.api().delete(plan.kind, "", name).map_err(text)?;
    }
    let gone = || match world.api().object(plan.kind, "", name) {
        None => Ok(()),
        Some(_) => Err("it is there".to_owned()),
    };
    world.until("gone", HOUR, gone).await.map_err(|error| error.to_string())
}

#[test]
fn snapshots_come_and_go_under_faults_and_crashes() {
    run(&options("snapshots_come_and_go_under_faults_and_crashes"), SEEDS, lives);
}

#[test]
fn a_seed_replays_exactly() {
    replays_exactly(&options("a_seed_replays_exactly"), lives);
}
