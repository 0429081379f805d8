//! Claims that grow, shrink back what cannot be had and change their class, while everything around the resizer fails, and
//! it itself crashes. The world plays users, kubelet and pods.
//!
//! `SIM_SEEDS` says how many seeds are tried, `SIM_SEED` replays one. A failing seed prints its trace.

mod check;
mod world;

use std::time::Duration;

use csi_client::{Connection, ConnectionSettings};
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context, DriverConnector};
use sidecar_core::random::Random;
use testkit::driver::DriverConfig;
use testkit::simulation::{Incarnation, Options, World, run, simulate};

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
        .api(ApiAccess::through(Connector::from_service(life.api_as(USER), "csi-resizer")))
        .driver(connect)
        .build();
    let defaults = ["--kube-api-qps=50", "--kube-api-burst=100", "--retry-interval-max=30s"];
    let arguments = defaults.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
    whole(arguments, context).await.map_err(|exit| exit.to_string())
}

fn start_resizers(world: &World) {
    if world.seed().is_multiple_of(3) {
        for hostname in ["host-1", "host-2"] {
            world.start(hostname, move |incarnation| life(incarnation, hostname, &["--leader-election"]));
        }
    } else {
        world.start("host-1", |incarnation| life(incarnation, "host-1", &[]));
    }
}

async fn lives(world: World) -> anyhow::Result<()> {
    let plan = world::Plan::new(&world);
    plan.prepare(&world)?;
    let seen = check::Seen::default();
    world.invariant(move |world| seen.check(world));
    start_resizers(&world);
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
