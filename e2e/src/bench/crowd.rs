//! A cluster with 20,000 volumes in use: memory of the provisioner, and how long after its start it asks the driver for
//! the one volume that somebody waits for.
//!
//! The objects are real ones, made through the API server: claims and volumes bound to each other with the annotations,
//! finalizers, managed fields and states that they have in a cluster, and an attachment for each. The controller manager is
//! stopped meanwhile; it would only spend its time on checking them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, Step as DriverStep};
use tokio::sync::mpsc;

use super::idle::{MIB, PROVISIONER_READY, median};
use super::report::{Report, Row};
use super::sidecar::{Memory, Sidecar, cpu};
use super::{Bench, Column, PROVISIONER, Set, load};
use crate::progress::Step;

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
const CAPABILITIES: [ControllerCapability; 2] =
    [ControllerCapability::CreateDeleteVolume, ControllerCapability::PublishUnpublishVolume];
/// Goals of the issue: MiB and seconds.
const MEMORY_GOAL: f64 = 25.0;
const START_GOAL: f64 = 0.8;
const COMMAND: &str = "csi-provisioner with 20,000 PVs, PVCs, VolumeAttachments";
const LIMIT: Duration = Duration::from_secs(60);

/// Measures all sets in turn, several times, in the same cluster.
pub(super) async fn measure(bench: &Bench<'_>, sets: &[Set], report: &mut Report) -> Result<()> {
    bench.cluster.with("kube-controller-manager", |manager| manager.stop(Signal::KILL))?;
    populate(&bench.cluster.client).await.context("cannot fill the cluster")?;
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
    let mut sidecar = Sidecar::start(&binary, &bench.provisioner_arguments(&socket), &log)?;
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

async fn populate(client: &kube::Client) -> Result<()> {
    load::class(client, CLASS, DRIVER).await?;
    for number in 0..NAMESPACES {
        load::namespace(client, &format!("tenant-{number}")).await?;
    }
    let what = "making claims, volumes and attachments through the API server";
    load::each(what, VOLUMES, async |number| volume(client, number).await).await?;
    let waiting = claim("waiting", None);
    load::call(client, Method::POST, &format!("{}?{BY_MANAGER}", claims("tenant-0")), &waiting).await?;
    Ok(())
}

const VOLUMES_PATH: &str = "/api/v1/persistentvolumes";
const ATTACHMENTS_PATH: &str = "/apis/storage.k8s.io/v1/volumeattachments";
/// Who appears in the managed fields.
const BY_PROVISIONER: &str = "fieldManager=csi-provisioner";
const BY_MANAGER: &str = "fieldManager=kube-controller-manager";

fn claims(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims")
}

/// A claim with its volume, both Bound, and the attachment.
async fn volume(client: &kube::Client, number: usize) -> Result<()> {
    let namespace = format!("tenant-{}", number % NAMESPACES);
    // Shaped like the name that a provisioner gives: the claim's uid is known too late to be part of it.
    let name = format!("pvc-{number:08x}-5eed-4b1d-8a5e-{number:012x}");
    let claim_name = format!("data-database-{number}");
    let claim = claim(&claim_name, Some(&name));
    let made =
        load::call(client, Method::POST, &format!("{}?{BY_MANAGER}", claims(&namespace)), &claim).await?;
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim_name,
        "uid": made.pointer("/metadata/uid"), "resourceVersion": made.pointer("/metadata/resourceVersion"),
    });
    let post = format!("{VOLUMES_PATH}?{BY_PROVISIONER}");
    load::call(client, Method::POST, &post, &persistent_volume(&name, &reference, number)).await?;
    let bound = json!({"status": {"phase": "Bound"}});
    load::call(client, Method::PATCH, &format!("{VOLUMES_PATH}/{name}/status?{BY_MANAGER}"), &bound).await?;
    let bound = json!({"status": {
        "phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"},
    }});
    let path = format!("{}/{claim_name}/status?{BY_MANAGER}", claims(&namespace));
    load::call(client, Method::PATCH, &path, &bound).await?;
    load::call(client, Method::POST, ATTACHMENTS_PATH, &attachment(&name, number)).await?;
    Ok(())
}

fn claim(name: &str, volume: Option<&str>) -> Value {
    let mut annotations = BTreeMap::from([
        ("volume.beta.kubernetes.io/storage-provisioner", DRIVER),
        ("volume.kubernetes.io/storage-provisioner", DRIVER),
    ]);
    if volume.is_some() {
        annotations.insert("pv.kubernetes.io/bind-completed", "yes");
        annotations.insert("pv.kubernetes.io/bound-by-controller", "yes");
    }
    json!({
        "metadata": {
            "name": name, "annotations": annotations,
            "labels": {"app.kubernetes.io/name": "database", "app.kubernetes.io/instance": name},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}},
            "storageClassName": CLASS, "volumeMode": "Filesystem", "volumeName": volume,
        },
    })
}

fn persistent_volume(name: &str, claim: &Value, number: usize) -> Value {
    json!({
        "metadata": {
            "name": name,
            "annotations": {
                "pv.kubernetes.io/provisioned-by": DRIVER,
                "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
            },
            "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer", "kubernetes.io/pv-protection"],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "10Gi"}, "claimRef": claim,
            "csi": {
                "driver": DRIVER, "volumeHandle": format!("{number:08x}-c0de-11f0-9d3f-{number:012x}"), "fsType": "ext4",
                "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": format!("1795238500823-8081-{DRIVER}")},
            },
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": CLASS, "volumeMode": "Filesystem",
        },
    })
}

fn attachment(volume: &str, number: usize) -> Value {
    json!({
        "metadata": {
            "name": format!("csi-{:064x}", number),
            "annotations": {"csi.alpha.kubernetes.io/node-id": format!("node-{}", number % NODES)},
            "finalizers": [format!("external-attacher/{}", DRIVER.replace('.', "-"))],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": format!("node-{}", number % NODES),
            "source": {"persistentVolumeName": volume},
        },
    })
}
