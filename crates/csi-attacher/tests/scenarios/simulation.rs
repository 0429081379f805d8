//! Twenty volumes move between three nodes while everything around the attacher fails, and it itself crashes.
//!
//! The test plays the attach/detach controller of Kubernetes: it wants a volume on another node only when the attachment to
//! the last one is gone, unless the volume may be on several. `SIM_SEEDS` says how many seeds are tried, `SIM_SEED`
//! replays one. A failing seed prints its trace.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sidecar_testkit::{command_line, simulation};
use testkit::api::doc;
use testkit::driver::{ControllerCapability, DriverConfig};
use testkit::simulation::{Incarnation, Options, World, replays_exactly, run};

use crate::setup::{DRIVER, F, GIB, attachment, whole};

const VOLUMES: usize = 20;
const NODES: usize = 3;
const SEEDS: u64 = 2000;
const HOUR: Duration = Duration::from_secs(3600);

fn options(test: &str) -> Options {
    let command = format!("cargo test -p csi-attacher --test scenarios simulation::{test}");
    let controller = vec![
        ControllerCapability::PublishUnpublishVolume,
        ControllerCapability::ListVolumes,
        ControllerCapability::ListVolumesPublishedNodes,
    ];
    let driver = DriverConfig { name: DRIVER.into(), controller, ..DriverConfig::default() };
    // Everybody has moved by then, and what is still under way has met its faults.
    let trouble = Duration::from_secs(75);
    Options { driver, kube: None, trouble, settle: Duration::from_secs(1200), ..Options::new(&command) }
}

/// One life of an attacher, from its command line.
async fn life(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    // About half of the lives with what goes beyond upstream, so that lives of both kinds follow each other.
    let beyond = ["--detach-before-attach=20s", "--retry-interval-jitter=0.3", "--detach-by-annotation"];
    let arguments =
        if life.seed().is_multiple_of(2) { [arguments, &beyond].concat() } else { arguments.to_vec() };
    let arguments = arguments.as_slice();
    let context = simulation::context(&life, life.api(), "csi-attacher", hostname).build();
    let defaults = [
        "--kube-api-qps=50",
        "--kube-api-burst=100",
        "--retry-interval-max=30s",
        "--worker-threads=4",
        "--max-entries=7",
        "--volume-attachment-timeout=45s",
    ];
    whole(command_line(&defaults, arguments), context).await.map_err(|exit| exit.to_string())
}

// ---- the world as it is ----

fn volume_name(number: usize) -> String {
    format!("pv-{number}")
}

fn handle(number: usize) -> String {
    format!("handle-{number}")
}

fn node_name(number: usize) -> String {
    format!("node-{number}")
}

/// Every fifth volume may be on several nodes.
fn is_shared(number: usize) -> bool {
    number.is_multiple_of(5)
}

/// Number of a volume and number of a node.
type Pair = (usize, usize);

fn number(name: &str) -> usize {
    name.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("all names end in numbers")
}

fn pair(attachment: &Value) -> Pair {
    let volume = doc::text(attachment, "/spec/source/persistentVolumeName");
    (number(volume), number(doc::text(attachment, "/spec/nodeName")))
}

/// What is attached where, in the driver.
fn published(world: &World) -> BTreeSet<Pair> {
    let volumes = world.driver().volumes();
    let pairs = |volume: &testkit::driver::Volume| {
        let handle = number(&volume.id);
        volume.published.keys().map(|node| (handle, number(node))).collect::<Vec<_>>()
    };
    volumes.iter().flat_map(|volume| pairs(volume)).collect()
}

fn is_going(object: &Value) -> bool {
    doc::present(object, "/metadata/deletionTimestamp")
}

fn is_attached(attachment: &Value) -> bool {
    attachment["status"]["attached"] == true
}

fn has_finalizer(object: &Value) -> bool {
    doc::list(object, "/metadata/finalizers").iter().any(|finalizer| finalizer == F)
}

// ---- what must hold ----

/// At every moment: no volume is on two nodes unless it may be, nothing that is called attached and is wanted is not
/// attached, and what is attached is guarded by a finalizer.
fn holds(world: &World) -> Result<(), String> {
    let there = published(world);
    let mut nodes = there.iter().zip(there.iter().skip(1));
    if let Some((one, two)) = nodes.find(|(one, two)| one.0 == two.0 && !is_shared(one.0)) {
        return Err(format!("volume {} is attached to {} and {}", one.0, one.1, two.1));
    }
    let mut guarded = 0;
    for attachment in world.api().objects("VolumeAttachment") {
        let attached = there.contains(&pair(&attachment));
        if is_attached(&attachment) && !is_going(&attachment) && !attached {
            return Err(format!("{:?} is called attached and is not", pair(&attachment)));
        }
        guarded += usize::from(attached && has_finalizer(&attachment));
    }
    if guarded < there.len() {
        return Err(format!("of {there:?} only {guarded} are guarded by a finalizer"));
    }
    Ok(())
}

/// When everything has settled: what is wanted is attached, nothing else is, nothing is held that should go.
fn settled(world: &World) -> Result<(), String> {
    for kind in ["VolumeAttachment", "PersistentVolume"] {
        if let Some(left) = world.api().objects(kind).iter().find(|object| is_going(object)) {
            return Err(format!("{kind} {} does not go", doc::text(left, "/metadata/name")));
        }
    }
    let mut wanted = BTreeSet::new();
    for attachment in world.api().objects("VolumeAttachment") {
        if !is_attached(&attachment) || doc::present(&attachment, "/status/attachError") {
            return Err(format!("{:?} is {}", pair(&attachment), attachment["status"]));
        }
        wanted.insert(pair(&attachment));
    }
    let there = published(world);
    if wanted == there { Ok(()) } else { Err(format!("wanted {wanted:?}, attached {there:?}")) }
}

// ---- what happens ----

async fn lives(world: World) -> anyhow::Result<()> {
    world.invariant(holds);
    simulation::start(&world, world.seed().is_multiple_of(3), life);
    for number in 0..NODES {
        tokio::spawn(node(world.clone(), number));
    }
    let users: Vec<_> = (0..VOLUMES).map(|number| tokio::spawn(volume(world.clone(), number))).collect();
    for user in users {
        user.await?.map_err(anyhow::Error::msg)?;
    }
    let check = world.clone();
    world.converge("what is wanted is attached and nothing else", move || settled(&check)).await
}

/// A node comes, and maybe goes and comes again with the same id.
async fn node(world: World, number: usize) {
    let name = node_name(number);
    let entry = json!({"name": DRIVER, "nodeID": format!("id-{name}")});
    let node = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name},
        "spec": {"drivers": [entry]},
    });
    loop {
        tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
        world.api().create(&node).expect("it is not there");
        tokio::time::sleep(world.between(Duration::from_secs(10), Duration::from_secs(200))).await;
        if world.elapsed() > Duration::from_secs(55) {
            return;
        }
        world.note(&format!("{name} goes for a while"));
        world.api().delete("CSINode", "", &name).expect("it is there");
    }
}

/// A volume is wanted here and there, and in the end maybe nowhere.
async fn volume(world: World, number: usize) -> Result<(), String> {
    let shared = is_shared(number);
    world.driver().add_volume(&handle(number), GIB);
    let mut object = testkit::manifests::volume(&volume_name(number), DRIVER, &handle(number), "");
    if shared {
        object["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(40))).await;
    world.api().create(&object).map_err(|failure| failure.to_string())?;
    if shared {
        // One node has it all the time, while it comes and goes on another.
        world.api().create(&wanted(number, 0)).map_err(|failure| failure.to_string())?;
    }
    let moves = pick(&world, 4);
    for last in (0..=moves).rev() {
        let node = if shared { 1 + pick(&world, NODES - 1) } else { pick(&world, NODES) };
        let object = wanted(number, node);
        world.api().create(&object).map_err(|failure| failure.to_string())?;
        if last == 0 && pick(&world, 2) == 0 {
            return Ok(());
        }
        let name = doc::text(&object, "/metadata/name").to_owned();
        used(&world, &name).await?;
        unwanted(&world, &name).await?;
    }
    if shared {
        return Ok(());
    }
    world.note(&format!("{} goes", volume_name(number)));
    world.api().delete("PersistentVolume", "", &volume_name(number)).map_err(|failure| failure.to_string())
}

fn pick(world: &World, choices: usize) -> usize {
    usize::try_from(world.seed() % u64::try_from(choices).unwrap()).unwrap()
}

fn wanted(number: usize, node: usize) -> Value {
    attachment(&format!("va-{number}-{node}"), &volume_name(number), &node_name(node))
}

/// Until it is attached and a while longer, or not even that long.
async fn used(world: &World, name: &str) -> Result<(), String> {
    if pick(world, 3) > 0 {
        let attached = || match world.api().object("VolumeAttachment", "", name) {
            Some(found) if is_attached(&found) => Ok(()),
            _ => Err("it is not".to_owned()),
        };
        world.until("attached", HOUR, attached).await.map_err(|error| error.to_string())?;
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    Ok(())
}

async fn unwanted(world: &World, name: &str) -> Result<(), String> {
    world.note(&format!("{name} is deleted"));
    world.api().delete("VolumeAttachment", "", name).map_err(|failure| failure.to_string())?;
    let gone = || match world.api().object("VolumeAttachment", "", name) {
        None => Ok(()),
        Some(_) => Err("it is there".to_owned()),
    };
    world.until("gone", HOUR, gone).await.map_err(|error| error.to_string())
}

#[test]
fn volumes_move_under_faults_and_crashes() {
    run(&options("volumes_move_under_faults_and_crashes"), SEEDS, lives);
}

#[test]
fn a_seed_replays_exactly() {
    replays_exactly(&options("a_seed_replays_exactly"), lives);
}
