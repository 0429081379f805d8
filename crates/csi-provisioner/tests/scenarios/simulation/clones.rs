//! Claims cloned from others that are deleted at any moment, while everything around the provisioner fails, and it itself
//! crashes. The volume of a source must not go while one may be under way from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use csi_client::csi::CreateVolumeRequest;
use csi_client::csi::volume_content_source::Type;
use serde_json::json;
use testkit::driver::{ControllerCapability, DriverConfig};
use testkit::simulation::{Options, Rates, World, invariants, run};

use super::{Deletion, SEEDS, no_volume_comes_back, start_provisioners};
use crate::setup::{CLASS, DRIVER};

const SOURCES: usize = 3;
const CLONES: usize = 9;
const HOUR: Duration = Duration::from_secs(3600);

/// Whenever the driver is asked to clone a volume, that is there.
fn sources_are_there(world: &World, seen: &AtomicUsize) -> Result<(), String> {
    let calls = world.driver().count::<CreateVolumeRequest>();
    let before = seen.swap(calls, Ordering::Relaxed);
    if before == calls {
        return Ok(());
    }
    let volumes = world.driver().volumes();
    for request in world.driver().requests::<CreateVolumeRequest>().iter().skip(before) {
        let source = request.volume_content_source.as_ref().and_then(|source| source.r#type.as_ref());
        if let Some(Type::Volume(source)) = source
            && !volumes.iter().any(|volume| volume.id == source.volume_id)
        {
            return Err(format!("{} is to be cloned from {}, which is gone", request.name, source.volume_id));
        }
    }
    Ok(())
}

fn is_bound(world: &World, name: &str) -> bool {
    let claim = world.api().get("PersistentVolumeClaim", "default", name);
    claim.is_some_and(|claim| claim["status"]["phase"] == "Bound")
}

fn is_gone(world: &World, name: &str) -> bool {
    world.api().get("PersistentVolumeClaim", "default", name).is_none()
}

/// Waits, at most an hour.
async fn until(world: &World, what: &str, condition: impl Fn() -> bool) {
    let check = || if condition() { Ok(()) } else { Err(format!("not yet: {what}")) };
    world.until(what, HOUR, check).await.expect("within an hour");
}

async fn lives(world: World, deletion: Deletion) -> anyhow::Result<()> {
    let (seen, ended) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    world.invariant(invariants::volumes);
    world.invariant(no_volume_comes_back);
    world.invariant(move |world| sources_are_there(world, &seen));
    world.api().create(&testkit::manifests::class(CLASS, DRIVER))?;
    for number in 0..SOURCES {
        world.api().create(&testkit::manifests::claim(&format!("source-{number}"), CLASS))?;
    }
    start_provisioners(&world, deletion, &[]);
    for number in 0..SOURCES + CLONES {
        let (world, ended) = (world.clone(), ended.clone());
        tokio::spawn(async move {
            match number.checked_sub(SOURCES) {
                None => source(world, number).await,
                Some(number) => clone(world, number, deletion).await,
            }
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    let check = world.clone();
    world
        .converge("all sources gone, what was cloned is there, nothing else", move || {
            let ended = ended.load(Ordering::Relaxed);
            if ended < SOURCES + CLONES {
                return Err(format!("only {ended} of the claims came to their end"));
            }
            invariants::settled(&check)
        })
        .await
}

/// The life of a source: bound, deleted at some time, gone when nothing is cloned from it.
async fn source(world: World, number: usize) {
    let name = format!("source-{number}");
    until(&world, "the source is bound", || is_bound(&world, &name)).await;
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(60))).await;
    world.note(&format!("{name} is deleted"));
    world.api().delete("PersistentVolumeClaim", "default", &name).expect("it is there");
    until(&world, "the source is gone", || is_gone(&world, &name)).await;
    world.note(&format!("{name} is gone"));
}

/// The life of a clone: made if its source is still there, and every second one deleted.
async fn clone(world: World, number: usize, deletion: Deletion) {
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(60))).await;
    let (name, from) = (format!("clone-{number}"), format!("source-{}", number % SOURCES));
    let mut manifest = testkit::manifests::claim(&name, CLASS);
    manifest["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": from});
    world.api().create(&manifest).expect("a good claim");
    let is_deleted = (number / SOURCES).is_multiple_of(2);
    if !(is_deleted && deletion == Deletion::AnyTime) {
        // A source that is protected by nobody goes at once, and its clones are never made. A pending clone of one that is
        // protected keeps it, so that it has to be made.
        until(&world, "cloned, or the source gone", || is_bound(&world, &name) || is_gone(&world, &from))
            .await;
    }
    tokio::time::sleep(world.between(Duration::ZERO, Duration::from_secs(10))).await;
    if !is_deleted {
        let check = || if is_bound(&world, &name) { Ok(()) } else { Err("not bound".to_owned()) };
        if world.until("bound late", Duration::from_secs(300), check).await.is_ok() {
            return;
        }
    }
    world.note(&format!("{name} is deleted"));
    world.api().delete("PersistentVolumeClaim", "default", &name).expect("it is there");
}

fn options(test: &str) -> Options {
    let controller = vec![ControllerCapability::CreateDeleteVolume, ControllerCapability::CloneVolume];
    let driver = DriverConfig { name: DRIVER.into(), controller, ..DriverConfig::default() };
    Options { driver, ..super::options(&format!("clones::{test}")) }
}

#[test]
fn cloned_claims_live_and_die_under_faults_and_crashes() {
    let options = options("cloned_claims_live_and_die_under_faults_and_crashes");
    run(&options, SEEDS / 4, |world| lives(world, Deletion::OnceBound));
}

#[test]
fn cloned_claims_deleted_at_any_time_leak_nothing_without_crashes() {
    let rates = Rates { crash: 0, ..Rates::default() };
    let options =
        Options { rates, ..options("cloned_claims_deleted_at_any_time_leak_nothing_without_crashes") };
    run(&options, SEEDS / 4, |world| lives(world, Deletion::AnyTime));
}
