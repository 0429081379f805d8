//! Snapshots and groups come and go while everything around the two controllers fails, and they crash: the snapshot controller, the
//! real csi-snapshotter beside it, a scripted driver, and users who take, restore from and delete.
//!
//! `SIM_SEEDS` says how many seeds are tried, `SIM_SEED` replays one. A failing seed prints its trace.

mod check;
mod world;

use std::time::Duration;

use sidecar_core::entry;
use sidecar_core::flags::{self, Binary};
use sidecar_testkit::{command_line, simulation};
use testkit::driver::{ControllerCapability, DriverConfig, GroupCapability, PluginCapability};
use testkit::simulation::{Incarnation, Options, World, replays_exactly, run};

use crate::setup::{DRIVER, USER, whole};

const SEEDS: u64 = 2000;

/// Everybody has begun by then, and what is still under way has met its faults.
const TROUBLE: Duration = Duration::from_secs(75);

fn options(test: &str) -> Options {
    let command = format!("cargo test -p snapshot-controller --test scenarios simulation::{test}");
    let driver = DriverConfig {
        name: DRIVER.into(),
        plugin: vec![PluginCapability::ControllerService, PluginCapability::GroupControllerService],
        controller: vec![ControllerCapability::CreateDeleteSnapshot, ControllerCapability::ListSnapshots],
        group: vec![GroupCapability::CreateDeleteGetVolumeGroupSnapshot],
        ..DriverConfig::default()
    };
    let settle = Duration::from_secs(1800);
    Options { driver, kube: None, trouble: TROUBLE, settle, ..Options::new(&command) }
}

/// One life of a snapshot controller, from its command line.
async fn controller(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    let context = simulation::context(&life, life.api_as(USER), USER, hostname).build();
    let defaults =
        ["--kube-api-qps=50", "--kube-api-burst=100", "--retry-interval-max=30s", "--worker-threads=4"];
    whole(command_line(&defaults, arguments), context).await.map_err(|exit| exit.to_string())
}

/// One life of the driver's snapshotter.
async fn snapshotter(life: Incarnation) -> Result<(), String> {
    let context = simulation::context(&life, life.api(), "csi-snapshotter", "sidecar").build();
    let flags = ["--kube-api-qps=50", "--kube-api-burst=100", "--retry-interval-max=30s", "--timeout=10s"];
    let arguments = command_line(&flags, &[]);
    let exit = async {
        let parsed = flags::parse(Binary::Snapshotter, "csi-snapshotter", &arguments, &context.variables)?;
        let gates = entry::prologue(&parsed, &context)?;
        let flags = csi_snapshotter::Flags::read(&parsed, gates, &context.variables)?;
        csi_snapshotter::run(flags, context).await
    };
    exit.await.map_err(|exit| exit.to_string())
}

async fn lives(world: World) -> anyhow::Result<()> {
    let plan = world::Plan::new(&world);
    plan.prepare(&world)?;
    let wishes = world::Wishes::default();
    let watched = wishes.clone();
    let history = std::sync::Mutex::new(check::History::default());
    world.invariant(move |world| history.lock().unwrap().holds(world, &watched));
    simulation::start(&world, plan.replicas, controller);
    world.start("sidecar", snapshotter);
    let users = world::play(&world, &wishes);
    for user in users {
        user.await?;
    }
    let check = world.clone();
    world.converge("all is as wished", move || check::settled(&check, &wishes)).await
}

#[test]
fn snapshots_come_and_go_under_faults_and_crashes() {
    run(&options("snapshots_come_and_go_under_faults_and_crashes"), SEEDS, lives);
}

#[test]
fn a_seed_replays_exactly() {
    replays_exactly(&options("a_seed_replays_exactly"), lives);
}
