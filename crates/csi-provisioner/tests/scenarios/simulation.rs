//! Twenty claims provisioned and deleted while everything around the provisioner fails, and it itself crashes.
//!
//! `SIM_SEEDS` says how many seeds are tried, `SIM_SEED` replays one. A failing seed prints its trace.

mod clones;
mod restores;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use sidecar_testkit::{command_line, simulation};
use testkit::driver::{DriverConfig, Fact};
use testkit::kcm::KubeOptions;
use testkit::simulation::{Incarnation, Options, Rates, World, invariants, replays_exactly, run};

use crate::setup::{CLASS, DRIVER, whole};

const CLAIMS: usize = 20;
const SEEDS: u64 = 2000;
/// The finalizer of claims in progress.
const KEPT: &str = "claim-in-progress";

/// When a claim is deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deletion {
    /// Some time after it was bound. A restart may come at any moment, and nothing is lost.
    OnceBound,
    /// At any moment. What a restart in between forgets is lost (upstream issue 486), so nothing crashes and no Lease is
    /// lost here.
    AnyTime,
    /// At any moment, with `--leak-protection`. A restart may come at any moment, and nothing is lost.
    Protected,
}

fn options(test: &str) -> Options {
    let command = format!("cargo test -p csi-provisioner --test scenarios simulation::{test}");
    let kube = KubeOptions { latency: Duration::from_millis(50), protection: true, ..KubeOptions::default() };
    let driver = DriverConfig { name: DRIVER.into(), ..DriverConfig::default() };
    Options { driver, kube: Some(kube), settle: Duration::from_secs(1200), ..Options::new(&command) }
}

/// One life of a provisioner, from its command line.
async fn life(life: Incarnation, hostname: &'static str, arguments: &[&str]) -> Result<(), String> {
    let context = simulation::context(&life, life.api(), "csi-provisioner", hostname).build();
    let defaults = ["--kube-api-qps=50", "--kube-api-burst=100", "--retry-interval-max=30s"];
    whole(command_line(&defaults, arguments), context).await.map_err(|exit| exit.to_string())
}

/// No name is given to the driver again after its volume was deleted (upstream issue 1469).
fn no_volume_comes_back(world: &World) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for fact in world.driver().history() {
        if let Fact::VolumeCreated { name, .. } = fact
            && !names.insert(name.clone())
        {
            return Err(format!("volume {name} was made twice"));
        }
    }
    Ok(())
}

fn start_provisioners(world: &World, deletion: Deletion, flags: &'static [&'static str]) {
    let protection: &[&str] = if deletion == Deletion::Protected { &["--leak-protection"] } else { &[] };
    let flags = [flags, protection].concat();
    let compete = deletion != Deletion::AnyTime && world.seed().is_multiple_of(3);
    simulation::start(world, compete, move |incarnation, hostname, election| {
        let flags = [&flags[..], election].concat();
        async move { life(incarnation, hostname, &flags).await }
    });
}

/// Claims come at their times; every second one goes again.
async fn lives(world: World, deletion: Deletion) -> anyhow::Result<()> {
    world.invariant(invariants::volumes);
    world.invariant(no_volume_comes_back);
    world.api().create(&testkit::manifests::class(CLASS, DRIVER))?;
    start_provisioners(&world, deletion, &[]);
    for number in 0..CLAIMS {
        tokio::spawn(claim(world.clone(), number, deletion));
    }
    let check = world.clone();
    world
        .converge("all claims bound, nothing else left", move || {
            let claims = check.api().list("PersistentVolumeClaim");
            if claims.len() != CLAIMS / 2 {
                return Err(format!("{} claims are there", claims.len()));
            }
            if let Some(kept) =
                claims.iter().find(|claim| claim["metadata"]["finalizers"].to_string().contains(KEPT))
            {
                return Err(format!("{} is still kept", kept["metadata"]["name"]));
            }
            invariants::settled(&check)
        })
        .await
}

async fn claim(world: World, number: usize, deletion: Deletion) {
    let hour = Duration::from_secs(3600);
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(40))).await;
    let name = format!("claim-{number}");
    let mut manifest = testkit::manifests::claim(&name, CLASS);
    manifest["metadata"]["labels"] = json!({"number": number.to_string()});
    world.api().create(&manifest).expect("a good claim");
    if number % 2 == 1 {
        return;
    }
    if deletion == Deletion::OnceBound {
        let bound = || match world.api().get("PersistentVolumeClaim", "default", &name) {
            Some(claim) if claim["status"]["phase"] == "Bound" => Ok(()),
            other => Err(format!("{other:?}")),
        };
        world.until("bound", hour, bound).await.expect("bound within an hour");
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    world.note(&format!("{name} is deleted"));
    world.api().delete("PersistentVolumeClaim", "default", &name).expect("it is there");
}

#[test]
fn claims_live_and_die_under_faults_and_crashes() {
    let options = options("claims_live_and_die_under_faults_and_crashes");
    run(&options, SEEDS, |world| lives(world, Deletion::OnceBound));
}

#[test]
fn claims_deleted_at_any_time_leak_nothing_without_crashes() {
    let rates = Rates { crash: 0, ..Rates::default() };
    let options = Options { rates, ..options("claims_deleted_at_any_time_leak_nothing_without_crashes") };
    run(&options, SEEDS / 4, |world| lives(world, Deletion::AnyTime));
}

#[test]
fn protected_claims_deleted_at_any_time_leak_nothing() {
    let options = options("protected_claims_deleted_at_any_time_leak_nothing");
    run(&options, SEEDS / 4, |world| lives(world, Deletion::Protected));
}

#[test]
fn a_seed_replays_exactly() {
    replays_exactly(&options("a_seed_replays_exactly"), |world| lives(world, Deletion::OnceBound));
}
