//! Claims that grow, shrink back what cannot be had and change their class, while everything around the resizer fails, and
//! it itself crashes. The world plays users, kubelet and pods.
//!
//! `SIM_SEEDS` says how many seeds are tried, `SIM_SEED` replays one. A failing seed prints its trace.

mod check;
mod world;

use std::time::Duration;

use sidecar_testkit::{command_line, simulation};
use testkit::driver::DriverConfig;
use testkit::simulation::{Incarnation, Options, World, replays_exactly, run};

use crate::setup::{USER, able, gi, whole};

const SEEDS: u64 = 2000;

/// How long things go wrong.
const TROUBLE: Duration = Duration::from_secs(90);

/// Nobody can have a volume this large.
const IMPOSSIBLE: i64 = 4096;

fn options(test: &str) -> Options {
    let command = format!("cargo test -p csi-resizer --test scenarios simulation::{test}");
    let driver = DriverConfig {
        capacity: gi(1024),
        refused_parameters: ["impossible".to_owned()].into(),
        ..able(true, false, true)
    };
    let settle = Duration::from_secs(1200);
    Options { driver, kube: None, trouble: TROUBLE, settle, ..Options::new(&command) }
}

/// One life of a resizer, from its command line.
async fn life(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    let context = simulation::context(&life, life.api_as(USER), USER, hostname).build();
    let defaults = ["--kube-api-qps=50", "--kube-api-burst=100", "--retry-interval-max=30s"];
    whole(command_line(&defaults, arguments), context).await.map_err(|exit| exit.to_string())
}

async fn lives(world: World) -> anyhow::Result<()> {
    let plan = world::Plan::new(&world);
    plan.prepare(&world)?;
    let seen = check::Seen::default();
    world.invariant(move |world| seen.check(world));
    simulation::start(&world, world.seed().is_multiple_of(3), life);
    let wishes = plan.play(&world);
    let done = world.clone();
    world.converge("everything is as it was last wanted", move || check::settled(&done, &wishes)).await
}

#[test]
fn claims_grow_and_change_under_faults_and_crashes() {
    run(&options("claims_grow_and_change_under_faults_and_crashes"), SEEDS, lives);
}

#[test]
fn a_seed_replays_exactly() {
    replays_exactly(&options("a_seed_replays_exactly"), lives);
}
