//! Twenty volumes move between three nodes while everything around the attacher fails, and it itself crashes.
//!
//! The test plays the attach/detach controller of Kubernetes: it wants a volume on another node only when the attachment to
//! the last one is gone, unless the volume may be on several. `SIM_SEEDS` says how many seeds are tried, `SIM_SEED`
//! replays one. A failing seed prints its trace.

use std::collections::BTreeSet;
use std::time::Duration;

use csi_client::{Connection, ConnectionSettings};
use serde_json::{Value, json};
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context, DriverConnector};
use sidecar_core::random::Random;
use testkit::api::doc;
use testkit::driver::{ControllerCapability, DriverConfig};
use testkit::simulation::{Incarnation, Options, World, run, simulate};

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
    Options { driver, kube: None, settle: Duration::from_secs(1200), ..Options::new(&command) }
}

/// One life of an attacher, from its command line.
async fn life(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    let driver = life.driver();
    let connect = DriverConnector::new(move |_, options| {
        let settings = ConnectionSettings { metrics: options.metrics, ..ConnectionSettings::default() };
        let connection = Connection::from_service(driver.clone(), settings);
        Box::pin(async move { Ok(connection) })
    });
    let clock = life.clock();
    let context = Context::builder()
        .clock(Clock::simulated(clock.now()))
        .random(Random::seeded(life.seed()))
        .hostname(hostname)
        .api(ApiAccess::through(Connector::from_service(life.api(), "csi-attacher")))
        .driver(connect)
        .build();
    let defaults = [
        "--kube-api-qps=50",
        "--kube-api-burst=100",
        "--retry-interval-max=30s",
        "--worker-threads=4",
        "--max-entries=7",
        "--volume-attachment-timeout=45s",
    ];
    let arguments = defaults.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    whole(arguments, context).await.map_err(|exit| exit.to_string())
}

fn start_attachers(world: &World) {
    if world.seed().is_multiple_of(3) {
        for hostname in ["host-1", "host-2"] {
            world.start(hostname, move |incarnation| life(incarnation, hostname, &["--leader-election"]));
        }
    } else {
        world.start("host-1", |incarnation| life(incarnation, "host-1", &[]));
    }
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
fn is_shared(handle: &str) -> bool {
    handle.trim_start_matches("handle-").parse().is_ok_and(|number: usize| number % 5 == 0)
}

/// Volume handle and node id of every attachment that `keep` keeps.
fn pairs(world: &World, keep: impl Fn(&Value) -> bool) -> BTreeSet<(String, String)> {
    let attachments = world.api().list("VolumeAttachment");
    let kept = attachments.iter().filter(|attachment| keep(attachment));
    kept.map(|attachment| {
        let volume = doc::text(attachment, "/spec/source/persistentVolumeName");
        let node = doc::text(attachment, "/spec/nodeName");
        (volume.replace("pv-", "handle-"), format!("id-{node}"))
    })
    .collect()
}

/// What is attached where, in the driver.
fn published(world: &World) -> BTreeSet<(String, String)> {
    let volumes = world.driver().volumes();
    let nodes = |volume: &testkit::driver::Volume| volume.published.keys().cloned().collect::<Vec<_>>();
    volumes
        .iter()
        .flat_map(|volume| nodes(volume).into_iter().map(|node| (volume.id.clone(), node)))
        .collect()
}

fn is_going(attachment: &Value) -> bool {
    doc::present(attachment, "/metadata/deletionTimestamp")
}

fn has_finalizer(object: &Value) -> bool {
    doc::list(object, "/metadata/finalizers").iter().any(|finalizer| finalizer == F)
}

// ---- what must hold ----

fn never_on_two_nodes(world: &World) -> Result<(), String> {
    for volume in world.driver().volumes() {
        if volume.published.len() > 1 && !is_shared(&volume.id) {
            return Err(format!("{} is attached to {:?}", volume.id, volume.published.keys()));
        }
    }
    Ok(())
}

fn never_detached_while_wanted(world: &World) -> Result<(), String> {
    let there = published(world);
    let attached =
        pairs(world, |attachment| attachment["status"]["attached"] == true && !is_going(attachment));
    match attached.difference(&there).next() {
        Some(pair) => Err(format!("{pair:?} is called attached and is not")),
        None => Ok(()),
    }
}

fn nothing_is_attached_without_a_guard(world: &World) -> Result<(), String> {
    let guarded = pairs(world, has_finalizer);
    match published(world).difference(&guarded).next() {
        Some(pair) => Err(format!("{pair:?} is attached, and no finalizer holds its attachment")),
        None => Ok(()),
    }
}

/// When everything has settled: what is wanted is attached, nothing else is, nothing is held that should go.
fn settled(world: &World) -> Result<(), String> {
    for kind in ["VolumeAttachment", "PersistentVolume"] {
        if let Some(left) = world.api().list(kind).iter().find(|object| is_going(object)) {
            return Err(format!("{kind} {} does not go", doc::text(left, "/metadata/name")));
        }
    }
    let wanted = pairs(world, |_| true);
    if wanted != pairs(world, |attachment| attachment["status"]["attached"] == true) {
        return Err("not everything wanted is called attached".to_owned());
    }
    let failed = |attachment: &&Value| doc::present(attachment, "/status/attachError");
    if let Some(failed) = world.api().list("VolumeAttachment").iter().find(failed) {
        return Err(format!("{} still has an error", doc::text(failed, "/metadata/name")));
    }
    let there = published(world);
    if wanted != there {
        return Err(format!("wanted {wanted:?}, attached {there:?}"));
    }
    Ok(())
}

// ---- what happens ----

async fn lives(world: World) -> anyhow::Result<()> {
    world.invariant(never_on_two_nodes);
    world.invariant(never_detached_while_wanted);
    world.invariant(nothing_is_attached_without_a_guard);
    start_attachers(&world);
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
        if world.elapsed() > Duration::from_secs(90) {
            return;
        }
        world.note(&format!("{name} goes for a while"));
        world.api().delete("CSINode", "", &name).expect("it is there");
    }
}

/// A volume is wanted here and there, and in the end maybe nowhere.
async fn volume(world: World, number: usize) -> Result<(), String> {
    let shared = is_shared(&handle(number));
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
        let attached = || match world.api().get("VolumeAttachment", "", name) {
            Some(found) if found["status"]["attached"] == true => Ok(()),
            other => Err(format!("{other:?}")),
        };
        world.until("attached", HOUR, attached).await.map_err(|error| error.to_string())?;
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    Ok(())
}

async fn unwanted(world: &World, name: &str) -> Result<(), String> {
    world.note(&format!("{name} is deleted"));
    world.api().delete("VolumeAttachment", "", name).map_err(|failure| failure.to_string())?;
    let gone = || match world.api().get("VolumeAttachment", "", name) {
        None => Ok(()),
        Some(left) => Err(left.to_string()),
    };
    world.until("gone", HOUR, gone).await.map_err(|error| error.to_string())
}

#[test]
fn volumes_move_under_faults_and_crashes() {
    run(&options("volumes_move_under_faults_and_crashes"), SEEDS, lives);
}

#[test]
fn a_seed_replays_exactly() {
    let options = options("a_seed_replays_exactly");
    for seed in [3, 4] {
        let first = simulate(seed, &options, lives).expect("a good run");
        let again = simulate(seed, &options, lives).expect("a good run");
        for (one, two) in first.trace.iter().zip(&again.trace) {
            assert_eq!(one, two, "the runs of seed {seed} part here");
        }
        assert_eq!(first.hash, again.hash);
    }
}
