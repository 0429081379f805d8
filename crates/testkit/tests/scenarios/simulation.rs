//! The simulation itself: the same seed gives the same run, faults do no harm to a right sidecar, and wrong ones are
//! found.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::manifests;
use testkit::simulation::{Options, World, invariants, run, simulate};

use super::provisioner::{Flaw, Provisioner};

const CLAIMS: usize = 20;

fn options() -> Options {
    Options::new("cargo test -p testkit --test scenarios simulation")
}

/// Twenty claims come at their times; once bound, half of them go again.
async fn life(world: World, flaw: Flaw) -> anyhow::Result<()> {
    world.invariant(invariants::volumes);
    world.api().create(&manifests::class("fast", "driver.example"))?;
    world.start("provisioner", move |life| Provisioner::new(life, flaw).run());
    for number in 0..CLAIMS {
        let world = world.clone();
        let pause = world.between(Duration::ZERO, Duration::from_secs(30));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let name = format!("claim-{number}");
            let claim = manifests::claim(&name, "fast");
            world.api().create(&claim).expect("a good claim");
            if number % 2 == 0 {
                let bound = || match world.api().object("PersistentVolumeClaim", "default", &name) {
                    Some(claim) if claim["status"]["phase"] == "Bound" => Ok(()),
                    _ => Err(name.clone()),
                };
                let hour = Duration::from_secs(3600);
                world.until("bound", hour, bound).await.expect("bound within an hour");
                world.note(&format!("{name} is deleted"));
                world.api().delete("PersistentVolumeClaim", "default", &name).expect("it is there");
            }
        });
    }
    let check = world.clone();
    world
        .converge("all claims bound, nothing else left", move || {
            let claims = check.api().objects("PersistentVolumeClaim").len();
            if claims != CLAIMS / 2 {
                return Err(format!("{claims} claims left"));
            }
            invariants::settled(&check)
        })
        .await
}

#[test]
fn same_seed_gives_the_same_trace_and_others_differ() {
    let mut hashes = BTreeSet::new();
    for seed in 0..12 {
        let play =
            || simulate(seed, &options(), |world| life(world, Flaw::None)).expect("a right provisioner");
        let (first, again) = (play(), play());
        for (one, two) in first.trace.iter().zip(&again.trace) {
            assert_eq!(one, two, "the runs of seed {seed} part here");
        }
        assert_eq!(first, again);
        hashes.insert(first.hash);
    }
    assert_eq!(hashes.len(), 12);
}

#[test]
fn a_right_provisioner_survives_every_seed() {
    let start = Instant::now();
    run(&options(), 200, |world| life(world, Flaw::None));
    println!("200 seeds in {:?}", start.elapsed());
}

#[test]
fn faults_and_crashes_really_happen() {
    let mut restarts = 0;
    let mut seen = String::new();
    for seed in 0..40 {
        let report =
            simulate(seed, &options(), |world| life(world, Flaw::None)).expect("a right provisioner");
        restarts += report.restarts;
        seen.push_str(&report.trace.join("\n"));
    }
    assert!(restarts > 0);
    for kind in [
        "crash before",
        "crash after",
        "refused, connection breaks",
        "refused with 503",
        "refused with 429",
        "lost, connection breaks",
        "hangs",
        "never told",
        "told late",
        "watch: Break",
        "watch: Expire",
        "watch: End",
        "watch: Stall",
        "lost on the way",
        "Hang)",
        "HangAfter)",
        "Late(",
        "somebody else writes",
    ] {
        assert!(seen.contains(kind), "no run had {kind:?}");
    }
}

#[test]
fn a_provisioner_that_makes_two_volumes_is_found() {
    let found =
        (0..100).find_map(|seed| simulate(seed, &options(), |world| life(world, Flaw::FreshNames)).err());
    let broken = found.expect("no seed found the flaw");
    assert!(broken.why.contains("two volumes exist for the claim"), "{broken}");
    let again = simulate(broken.report.seed, &options(), |world| life(world, Flaw::FreshNames));
    assert_eq!(again.expect_err("the same seed").report.hash, broken.report.hash);
}

#[test]
fn a_provisioner_that_leaks_is_found() {
    let broken = simulate(0, &options(), |world| life(world, Flaw::ForgetsVolumes)).expect_err("it leaks");
    assert!(broken.why.contains("has leaked"), "{broken}");
}

#[test]
#[should_panic(expected = "SIM_SEED=0 cargo test -p testkit")]
fn a_failing_seed_says_how_to_replay_it() {
    run(&options(), 1, |_| async { anyhow::bail!("no") });
}

#[test]
fn a_panic_in_a_sidecar_fails_the_run() {
    let broken = simulate(1, &options(), |world| async move {
        world.start("sidecar", |_| async { panic!("oh") });
        world.converge("never", || Err("waiting".to_owned())).await
    });
    assert_eq!(broken.expect_err("it panicked").why, "sidecar#1 panicked: oh");
}

#[test]
fn a_dead_process_has_no_effect() {
    simulate(1, &options(), |world| async move {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let sender = std::sync::Mutex::new(Some(sender));
        world.start("sidecar", move |life| {
            if let Some(sender) = sender.lock().expect("whole").take() {
                // A task that outlives its process.
                tokio::spawn(async move {
                    let client = life.client();
                    life.crash();
                    let maps =
                        kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(client, "default");
                    let map = serde_json::from_value(json!({"metadata": {"name": "ghost"}})).expect("a map");
                    let options = kube::api::PostParams::default();
                    let created = maps.create(&options, &map);
                    let outcome = tokio::time::timeout(Duration::from_secs(600), created).await;
                    sender.send(outcome.is_err()).expect("the test waits");
                });
            }
            std::future::pending::<()>()
        });
        anyhow::ensure!(receiver.await?, "the call of a dead process returned");
        anyhow::ensure!(world.api().get("ConfigMap", "default", "ghost").is_none(), "and took effect");
        Ok(())
    })
    .expect("dead is dead");
}
