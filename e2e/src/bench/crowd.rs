//! A cluster with 20,000 volumes in use: memory of the controller sidecars, and for the provisioner how long after its start it asks the driver for
//! the one volume that somebody waits for.
//!
//! The objects are real ones, made through the API server: claims and volumes bound to each other with the annotations,
//! finalizers, managed fields and states that they have in a cluster, an attachment, a pod and a snapshot for each. The controller manager is
//! stopped meanwhile; it would only spend its time on checking them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use testkit::driver::{ControllerCapability, Step as DriverStep};
use tokio::sync::mpsc;

use super::idle::{MIB, PROVISIONER_READY, median};
use super::report::{Report, Row};
use super::sidecar::{Memory, Sidecar, cpu};
use super::{
    ATTACHER_READY, Bench, Column, PROVISIONER, RESIZER_READY, SNAPSHOT_CONTROLLER_READY, SNAPSHOTTER_READY,
    Set,
};
use crate::deploy;
use crate::progress::Step;
use crate::sidecars::{ATTACHER, RESIZER, SNAPSHOT_CONTROLLER, SNAPSHOTTER};

mod population;

/// Volumes, claims and attachments, as many of each.
const VOLUMES: usize = 20_000;
/// They are spread over so many namespaces and nodes.
const NAMESPACES: usize = 20;
const NODES: usize = 500;
/// Starts that are measured; medians count.
const STARTS: usize = 3;
/// Whose volumes they are.
const DRIVER: &str = "crowd.bench.example";
const CLASS: &str = "crowd";
const CAPABILITIES: [ControllerCapability; 4] = [
    ControllerCapability::CreateDeleteVolume,
    ControllerCapability::PublishUnpublishVolume,
    ControllerCapability::ExpandVolume,
    ControllerCapability::CreateDeleteSnapshot,
];
/// What else is measured here: the binary, what its row says it has cached, what it says when it is ready.
const OTHERS: [(&str, &str, &[&str]); 4] = [
    (ATTACHER.binary, "20,000 VolumeAttachments", ATTACHER_READY),
    (RESIZER.binary, "20,000 claims and 20,000 pods", RESIZER_READY),
    (SNAPSHOTTER.binary, "20,000 snapshot contents", SNAPSHOTTER_READY),
    (SNAPSHOT_CONTROLLER.binary, "20,000 snapshots, contents, claims and volumes", SNAPSHOT_CONTROLLER_READY),
];
/// Goals of the issue: MiB and seconds.
const MEMORY_GOAL: f64 = 25.0;
const START_GOAL: f64 = 0.8;
const COMMAND: &str = "csi-provisioner with 20,000 PVs, PVCs, VolumeAttachments";
const LIMIT: Duration = Duration::from_secs(60);

/// Measures all sets in turn, several times, in the same cluster.
pub(super) async fn measure(bench: &Bench<'_>, sets: &[Set], report: &mut Report) -> Result<()> {
    bench.cluster.with("kube-controller-manager", |manager| manager.stop(Signal::KILL))?;
    population::populate(&bench.cluster.client).await.context("cannot fill the cluster")?;
    let mut starts = vec![Vec::new(); sets.len()];
    for round in 1..=STARTS {
        for (set, starts) in sets.iter().zip(&mut starts) {
            if set.binary(PROVISIONER).is_some() {
                starts.push(start(bench, set, round).await?);
            }
        }
    }
    for (set, starts) in sets.iter().zip(starts).filter(|(_, starts)| !starts.is_empty()) {
        rows(report, set.column, &starts);
    }
    deploy::definitions(bench.cluster).await?;
    population::snapshots(&bench.cluster.client).await.context("cannot make snapshots")?;
    for set in sets {
        for (name, cached, ready) in OTHERS {
            if let Some(binary) = set.binary(name) {
                at_rest(bench, set, &binary, cached, ready, report).await?;
            }
        }
    }
    Ok(())
}

/// Memory of a sidecar that finds everything done.
async fn at_rest(
    bench: &Bench<'_>,
    set: &Set,
    binary: &Path,
    cached: &str,
    ready: &[&str],
    report: &mut Report,
) -> Result<()> {
    let name = binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let step = Step::start(format!("{} with {cached}", binary.display()));
    let (driver, socket) = bench.driver(DRIVER, &CAPABILITIES)?;
    let log = bench.dir.join(format!("crowd-{name}-{}.log", set.column.name()));
    let arguments =
        if name == SNAPSHOT_CONTROLLER.binary { vec![bench.kubeconfig()] } else { bench.arguments(&socket) };
    let mut sidecar = Sidecar::start(binary, &arguments, &log)?;
    sidecar.says(ready, LIMIT).await?;
    let memory = sidecar.settled(LIMIT).await?;
    let row = |what: &str| Row::new(&format!("{name} with {cached}: {what}"), "MiB");
    let with = |how: &str| format!("{name} with {cached}; {how} of /proc/PID/status");
    report.note(set.column, row("memory").command(&with("VmRSS")), memory.resident / MIB);
    report.note(set.column, row("peak memory").command(&with("VmHWM")), memory.peak / MIB);
    report.note(set.column, row("memory, anonymous pages").command(&with("RssAnon")), memory.anonymous / MIB);
    sidecar.stop().await?;
    drop(driver);
    step.done();
    Ok(())
}

/// What one start showed.
#[derive(Clone, Copy)]
struct Start {
    first_call: f64,
    cpu: f64,
    memory: Memory,
}

fn rows(report: &mut Report, column: Column, starts: &[Start]) {
    let value = |of: fn(&Start) -> f64| median(starts.iter().map(of).collect());
    let row = |what: &str, unit| Row::new(&format!("csi-provisioner with 20,000 volumes: {what}"), unit);
    let with = |how: &str| format!("{COMMAND}; {how} (median of {STARTS})");
    let memory = |what: &str| row(what, "MiB").goal(MEMORY_GOAL);
    report.note(
        column,
        memory("memory").command(&with("VmRSS of /proc/PID/status")),
        value(|it| it.memory.resident) / MIB,
    );
    report.note(column, memory("peak memory").command(&with("VmHWM")), value(|it| it.memory.peak) / MIB);
    let anonymous = row("memory, anonymous pages", "MiB").command(&with("RssAnon"));
    report.note(column, anonymous, value(|it| it.memory.anonymous) / MIB);
    let first =
        row("start to first RPC", "s").goal(START_GOAL).command(&with("until the driver gets CreateVolume"));
    report.note(column, first, value(|it| it.first_call));
    let spent = row("CPU to first RPC", "s").command(&with("utime+stime of /proc/PID/stat"));
    report.note(column, spent, value(|it| it.cpu));
}

/// Starts the provisioner of a set; the driver never answers, so that the next start finds the same cluster.
async fn start(bench: &Bench<'_>, set: &Set, round: usize) -> Result<Start> {
    let binary = set.binary(PROVISIONER).context("the set has no provisioner")?;
    let step =
        Step::start(format!("{} among {VOLUMES} volumes, start {round} of {STARTS}", binary.display()));
    let (driver, socket) = bench.driver(DRIVER, &CAPABILITIES)?;
    let (tell, mut called) = mpsc::unbounded_channel();
    driver.plan(move |method, _| match method {
        "CreateVolume" => {
            let _ = tell.send(Instant::now());
            DriverStep::Hang
        }
        _ => DriverStep::Normal,
    });
    let log = bench.dir.join(format!("crowd-{}-{round}.log", set.column.name()));
    let mut sidecar = Sidecar::start(&binary, &bench.arguments(&socket), &log)?;
    let at = tokio::time::timeout(LIMIT, called.recv())
        .await
        .ok()
        .flatten()
        .with_context(|| format!("no CreateVolume within {} s:\n{}", LIMIT.as_secs(), sidecar.tail()))?;
    let cpu = cpu(sidecar.id())?;
    sidecar.says(PROVISIONER_READY, LIMIT).await?;
    let memory = sidecar.settled(LIMIT).await?;
    let first_call = at.duration_since(sidecar.began()).as_secs_f64();
    // It waits for its driver, so it is not asked to end but ended.
    drop(sidecar);
    step.done();
    Ok(Start { first_call, cpu, memory })
}
