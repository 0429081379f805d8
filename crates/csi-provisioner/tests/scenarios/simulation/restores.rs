//! Claims restored from snapshots that are deleted at any moment, while everything around the provisioner fails, and it
//! itself crashes.
//!
//! Who deletes snapshots in the storage system is played here by the one who is least patient: as soon as the object is
//! gone, so is the snapshot. So it must not go while a volume may be under way from it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use csi_client::csi::CreateVolumeRequest;
use csi_client::csi::volume_content_source::Type;
use serde_json::json;
use testkit::api::{Failure, Resource};
use testkit::driver::{ControllerCapability, DriverConfig};
use testkit::simulation::{Options, Rates, World, invariants, run, simulate};

use super::{Deletion, SEEDS, no_volume_comes_back, start_provisioners};
use crate::setup::{CLASS, DRIVER};
use crate::snapshots::{GROUP, PROTECTION, content_of, create, id_of, source};

const SNAPSHOTS: usize = 4;
const CLAIMS: usize = 12;
const SIZE: i64 = 1 << 30;
/// How the complaint about a restore that came too late ends.
const TOO_LATE: &str = "which was let go before";
const HOUR: Duration = Duration::from_secs(3600);

/// What happened, for the invariant and the end.
#[derive(Default)]
struct Story {
    /// How often the driver had been asked for a volume of a snapshot when that went, by the driver's id.
    gone: Mutex<BTreeMap<String, usize>>,
    /// Calls at the last look: there is nothing new before there is another.
    seen: AtomicUsize,
    /// Lives of snapshots and claims that came to their end.
    ended: AtomicUsize,
}

/// How often the driver was asked for a volume of this snapshot.
fn asked(world: &World, id: &str) -> usize {
    let requests = world.driver().requests::<CreateVolumeRequest>();
    let sources =
        requests.iter().filter_map(|request| request.volume_content_source.as_ref()?.r#type.as_ref());
    sources.filter(|source| matches!(source, Type::Snapshot(source) if source.snapshot_id == id)).count()
}

/// The driver is never asked for a volume of a snapshot that is gone.
fn nothing_is_restored_from_what_is_gone(world: &World, story: &Story) -> Result<(), String> {
    let calls = world.driver().count::<CreateVolumeRequest>();
    if story.seen.swap(calls, Ordering::Relaxed) == calls {
        return Ok(());
    }
    for (id, before) in story.gone.lock().unwrap().iter() {
        if asked(world, id) > *before {
            return Err(format!("the driver was asked for a volume of {id}, {TOO_LATE}"));
        }
    }
    Ok(())
}

async fn lives(world: World, deletion: Deletion) -> anyhow::Result<()> {
    let story = Arc::new(Story::default());
    world.invariant(invariants::volumes);
    world.invariant(no_volume_comes_back);
    let of_invariant = story.clone();
    world.invariant(move |world| nothing_is_restored_from_what_is_gone(world, &of_invariant));
    world.api().install(GROUP);
    world.api().create(&testkit::manifests::class(CLASS, DRIVER))?;
    for number in 0..SNAPSHOTS {
        create(world.api(), world.driver(), &format!("snap-{number}"), SIZE, &json!({}));
        tokio::spawn(snapshot(world.clone(), number, story.clone()));
    }
    start_provisioners(&world, deletion, &["--snapshot-orphan-sweep-interval=20s"]);
    for number in 0..CLAIMS {
        let (world, story) = (world.clone(), story.clone());
        tokio::spawn(async move {
            claim(world, number, deletion).await;
            story.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    let check = world.clone();
    world
        .converge("all snapshots gone, what was restored is there, nothing else", move || {
            if let Some(snapshot) = check.api().list("VolumeSnapshot").first() {
                let meta = &snapshot["metadata"];
                return Err(format!("{} is there with {}", meta["name"], meta["finalizers"]));
            }
            let ended = story.ended.load(Ordering::Relaxed);
            if ended < SNAPSHOTS + CLAIMS {
                return Err(format!("only {ended} of the snapshots and claims came to their end"));
            }
            invariants::settled(&check)
        })
        .await
}

/// The life of a snapshot: deleted at some time, sooner or later.
async fn snapshot(world: World, number: usize, story: Arc<Story>) {
    let name = format!("snap-{number}");
    let latest = if number.is_multiple_of(2) { 45 } else { 120 };
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(latest))).await;
    world.note(&format!("{name} is deleted"));
    world.api().delete("VolumeSnapshot", "default", &name).expect("it is there");
    while let Some(snapshot) = world.api().get("VolumeSnapshot", "default", &name) {
        let finalizers = snapshot["metadata"]["finalizers"].to_string();
        assert!(finalizers.contains(PROTECTION), "nobody else has one: {finalizers}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.note(&format!("{name} is gone"));
    let id = id_of(&name);
    let before = asked(&world, &id);
    story.gone.lock().unwrap().insert(id.clone(), before);
    world.driver().lose_snapshot(&id);
    world.api().delete("VolumeSnapshotContent", "", &content_of(&name)).expect("it is there");
    story.ended.fetch_add(1, Ordering::Relaxed);
}

/// The life of a claim: restored if its snapshot is still there, and every second one deleted.
async fn claim(world: World, number: usize, deletion: Deletion) {
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(60))).await;
    let (name, from) = (format!("claim-{number}"), format!("snap-{}", number % SNAPSHOTS));
    let mut manifest = testkit::manifests::claim(&name, CLASS);
    manifest["spec"]["dataSource"] = source(&from);
    world.api().create(&manifest).expect("a good claim");
    let is_bound = || {
        let claim = world.api().get("PersistentVolumeClaim", "default", &name);
        claim.is_some_and(|claim| claim["status"]["phase"] == "Bound")
    };
    let is_deleted = (number / SNAPSHOTS).is_multiple_of(2);
    if !(is_deleted && deletion != Deletion::OnceBound) {
        let decided = || {
            let lost = world.api().get("VolumeSnapshot", "default", &from).is_none();
            if is_bound() || lost { Ok(()) } else { Err("neither bound nor lost".to_owned()) }
        };
        world.until("bound, or the snapshot gone", HOUR, decided).await.expect("decided within an hour");
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    if is_deleted || !is_bound() {
        if !is_deleted {
            // Its volume may be saved and not bound yet.
            let settle = world.until("bound late", Duration::from_secs(300), || {
                if is_bound() { Ok(()) } else { Err("not bound".to_owned()) }
            });
            if settle.await.is_ok() {
                return;
            }
        }
        world.note(&format!("{name} is deleted"));
        world.api().delete("PersistentVolumeClaim", "default", &name).expect("it is there");
    }
}

fn options(test: &str) -> Options {
    let controller =
        vec![ControllerCapability::CreateDeleteVolume, ControllerCapability::CreateDeleteSnapshot];
    let driver = DriverConfig { name: DRIVER.into(), controller, ..DriverConfig::default() };
    Options { driver, ..super::options(&format!("restores::{test}")) }
}

#[test]
fn restored_claims_live_and_die_under_faults_and_crashes() {
    let options = options("restored_claims_live_and_die_under_faults_and_crashes");
    run(&options, SEEDS, |world| lives(world, Deletion::OnceBound));
}

#[test]
fn restored_claims_deleted_at_any_time_leak_nothing_without_crashes() {
    let rates = Rates { crash: 0, ..Rates::default() };
    let options =
        Options { rates, ..options("restored_claims_deleted_at_any_time_leak_nothing_without_crashes") };
    run(&options, SEEDS / 4, |world| lives(world, Deletion::AnyTime));
}

#[test]
fn restored_and_protected_claims_deleted_at_any_time_leak_nothing() {
    let options = options("restored_and_protected_claims_deleted_at_any_time_leak_nothing");
    run(&options, SEEDS / 4, |world| lives(world, Deletion::Protected));
}

#[test]
fn without_protection_snapshots_go_too_early() {
    let options = options("without_protection_snapshots_go_too_early");
    let unprotected = |world: World| async move {
        let snapshots = Resource::find("VolumeSnapshot").expect("a kind that is known");
        world.api().intercept(move |call| {
            let protects = call.verb == "update" && call.resource == "volumesnapshots";
            protects.then(|| Failure::forbidden(snapshots, "any", "not allowed"))
        });
        lives(world, Deletion::OnceBound).await
    };
    let is_noticed = |seed| {
        let outcome = simulate(seed, &options, unprotected);
        outcome.is_err_and(|broken| broken.why.contains(TOO_LATE))
    };
    assert!((0..50).any(is_noticed), "the simulation would not notice if nothing were protected");
}
