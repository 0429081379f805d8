//! `lab bench`: what the sidecars cost, measured as processes against the real API server.
//!
//! One run measures our release binaries and, if `BASELINE_BIN_DIR` is set, a second set of binaries with the same
//! names in the same cluster with the same load, one after the other. Nothing but the control plane runs: the driver
//! is the scripted one, in this process, so that a measurement is about the sidecar and not about a file system; except
//! where the hostpath driver itself is measured.
//!
//! [`build`] makes the binaries, [`sidecar`] runs and reads one of them, [`cache`], [`idle`], [`lives`], [`queued`], [`volumes`] and
//! [`crowd`] are the measurements, [`report`] is what a person and a program get to see.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};

use crate::cluster::Cluster;
use crate::places;
use crate::progress::say;
use crate::sidecars::{self, SHIPPED};
use report::Report;

pub(crate) mod build;
pub(crate) mod cache;
mod crowd;
mod idle;
mod lives;
mod load;
mod queued;
mod report;
mod sidecar;
mod volumes;

/// Name of the provisioner's binary.
const PROVISIONER: &str = sidecars::PROVISIONER.binary;
/// Name of the registrar's binary.
const REGISTRAR: &str = sidecars::REGISTRAR.binary;

/// The measurements, in their order; crowd is the last, because it stops the controller manager.
pub(crate) const PARTS: [&str; 6] = ["cache", "idle", "lives", "queued", "volumes", "crowd"];

/// What the attacher says when its caches are filled, here and upstream.
const ATTACHER_READY: &[&str] = &["Starting CSI attacher"];
/// What the resizer says then; upstream only that it begins to fill them.
const RESIZER_READY: &[&str] = &["Started resize controller", "Starting external resizer"];

/// What the snapshotter says then, here and upstream.
const SNAPSHOTTER_READY: &[&str] = &["Starting CSI snapshotter"];
/// What the snapshot controller says then, here and upstream.
const SNAPSHOT_CONTROLLER_READY: &[&str] = &["Starting snapshot controller"];

/// A set of binaries to be measured.
struct Set {
    /// Which column of the table it fills; also part of names in the cluster.
    column: Column,
    dir: PathBuf,
}

/// A column of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Column {
    Ours,
    Baseline,
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Baseline => "baseline",
        }
    }
}

impl Set {
    /// The binary of that name, if the set has it.
    fn binary(&self, name: &str) -> Option<PathBuf> {
        Some(self.dir.join(name)).filter(|file| places::is_executable(file))
    }
}

/// What all measurements need.
struct Bench<'a> {
    cluster: &'a Cluster,
    /// Sockets and logs.
    dir: PathBuf,
}

impl Bench<'_> {
    /// A driver behind a socket, under a name of its own.
    fn driver(&self, name: &str, capabilities: &[ControllerCapability]) -> Result<(ScriptedDriver, PathBuf)> {
        let driver = ScriptedDriver::new(DriverConfig {
            name: name.to_owned(),
            controller: capabilities.to_vec(),
            ..DriverConfig::default()
        });
        let socket = self.serve(&driver, name)?;
        Ok((driver, socket))
    }

    /// Has a driver listen at a socket of this name.
    fn serve(&self, driver: &ScriptedDriver, name: &str) -> Result<PathBuf> {
        let socket = self.dir.join(format!("{name}.sock"));
        driver.serve_unix(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        Ok(socket)
    }

    /// The arguments that every measured sidecar gets that talks to the API server.
    fn arguments(&self, socket: &Path) -> Vec<String> {
        vec![format!("--csi-address={}", socket.display()), self.kubeconfig()]
    }

    fn kubeconfig(&self) -> String {
        format!("--kubeconfig={}", self.cluster.pki.kubeconfig("admin"))
    }
}

/// Measures the binaries in `binaries` and those of `BASELINE_BIN_DIR`, prints the table, writes `bench.json`; or only one of the
/// [`PARTS`] of that, which is written nowhere.
pub(crate) async fn run(cluster: &Cluster, binaries: &Path, only: Option<&str>) -> Result<ExitCode> {
    let dir = cluster.spec.dir.join("bench");
    std::fs::create_dir_all(&dir)?;
    let bench = Bench { cluster, dir };
    let sets = sets(binaries);
    warn_if_busy();
    let mut report = Report::default();
    for part in PARTS.iter().filter(|part| only.is_none_or(|only| only == **part)) {
        measure(part, &bench, &sets, &mut report).await?;
    }
    println!("{}", report.table(places::variable("BASELINE_BIN_DIR").as_deref()));
    if only.is_none() {
        for file in report.save(&cluster.spec.repository)? {
            say(&format!("the same rows are in {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(part: &str, bench: &Bench<'_>, sets: &[Set], report: &mut Report) -> Result<()> {
    match part {
        "cache" => return cache::measure(report),
        "crowd" => return crowd::measure(bench, sets, report).await,
        _ => {}
    }
    for set in sets {
        let measured = match part {
            "idle" => idle::measure(bench, set, report).await,
            "lives" => lives::measure(bench, set, report).await,
            "queued" => queued::measure(bench, set, report).await,
            _ => volumes::measure(bench, set, report).await,
        };
        measured.with_context(|| failed(part, set))?;
    }
    Ok(())
}

/// Other programs' work makes times longer; CPU seconds and memory hardly change.
fn warn_if_busy() {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().and_then(|load| load.parse::<f64>().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if load > f64::from(u32::try_from(cores).unwrap_or(u32::MAX)) {
        say(&format!("this machine is busy (load {load} on {cores} cores): times will be too long"));
    }
}

fn failed(what: &str, set: &Set) -> String {
    format!("cannot measure {what} of the binaries in {}", set.dir.display())
}

fn sets(binaries: &Path) -> Vec<Set> {
    let mut sets = vec![Set { column: Column::Ours, dir: binaries.to_path_buf() }];
    match places::variable("BASELINE_BIN_DIR") {
        Some(dir) => {
            for binary in SHIPPED.iter().map(|shipped| shipped.binary) {
                if !places::is_executable(&dir.join(binary)) {
                    let dir = dir.display();
                    say(&format!("BASELINE_BIN_DIR={dir} has no {binary}: its baseline stays empty"));
                }
            }
            sets.push(Set { column: Column::Baseline, dir });
        }
        None => say("BASELINE_BIN_DIR is not set: nothing to compare with, the baseline column stays empty"),
    }
    sets
}
