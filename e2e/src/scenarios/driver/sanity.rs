//! csi-sanity, the CSI project's own tests for drivers, against drivers as plain processes: the hostpath driver in every mode
//! that its sheet lists, and the example of `csi-driver-kit`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::component::Component;
use crate::programs::last_lines;
use crate::sidecars::{DRIVER, EXAMPLE_DRIVER};

/// One run: the name of its driver's process, flags of the driver and of the suite. `{dir}` stands for the run's directory.
struct Mode {
    name: &'static str,
    driver: &'static [&'static str],
    suite: &'static [&'static str],
}

const SMALL: &str = "--csi.testvolumesize=16777216";
const LARGER: &str = "--csi.testvolumeexpandsize=33554432";

const MODES: [Mode; 6] = [
    Mode { name: "sanity-defaults", driver: &[], suite: &[SMALL, LARGER] },
    Mode {
        name: "sanity-everything-on",
        driver: &[
            "--enable-attach",
            "--attach-limit=3",
            "--enable-controller-modify-volume",
            "--accepted-mutable-parameter-names=realKey",
            "--enable-snapshot-metadata",
        ],
        suite: &[
            SMALL,
            LARGER,
            "--csi.testnodevolumeattachlimit",
            "--csi.testvolumemutableparameters={dir}/mutable.yaml",
        ],
    },
    Mode { name: "sanity-block", driver: &[], suite: &[SMALL, LARGER, "--csi.testvolumeaccesstype=block"] },
    Mode {
        name: "sanity-own-filesystem",
        driver: &[],
        suite: &[
            "--csi.testvolumesize=67108864",
            "--csi.testvolumeexpandsize=134217728",
            "--csi.testvolumeparameters={dir}/filesystem.yaml",
        ],
    },
    Mode {
        name: "sanity-capacity-pools-and-lifecycle",
        driver: &["--capacity=fast=1Gi", "--capacity=slow=100Mi", "--check-volume-lifecycle"],
        suite: &[SMALL, LARGER],
    },
    Mode {
        name: "sanity-everything-off",
        driver: &[
            "--enable-topology=false",
            "--disable-node-expansion",
            "--disable-controller-expansion",
            "--enable-list-snapshots=false",
        ],
        suite: &[SMALL, LARGER],
    },
];

/// Its volumes are directories, which are neither attached, staged, expanded nor copied.
const EXAMPLE: Mode = Mode { name: "sanity-example", driver: &[], suite: &[SMALL, LARGER] };

/// Runs it in each mode; how many tests ran and why others did not goes to the report.
pub(super) async fn run(cluster: &Cluster) -> Result<()> {
    for mode in &MODES {
        let dir = folder(cluster, mode)?;
        let mut arguments = vec![
            "--drivername=hostpath.csi.k8s.io".into(),
            format!("--endpoint=unix://{}", socket(&dir).display()),
            "--nodeid=sanity".into(),
            format!("--statedir={}", dir.join("state").display()),
            "--v=5".into(),
        ];
        arguments.extend(mode.driver.iter().map(|flag| (*flag).to_owned()));
        run_mode(cluster, mode, DRIVER.binary, arguments).await?;
    }
    Ok(())
}

/// Runs it against the driver that readers of `docs/write-a-driver.md` begin with.
pub(super) async fn example(cluster: &Cluster) -> Result<()> {
    let dir = folder(cluster, &EXAMPLE)?;
    let state = dir.join("state");
    fs::create_dir_all(&state)?;
    let endpoint = format!("unix://{}", socket(&dir).display());
    let arguments = vec![endpoint, "sanity".to_owned(), state.to_string_lossy().into_owned()];
    run_mode(cluster, &EXAMPLE, EXAMPLE_DRIVER, arguments).await
}

fn folder(cluster: &Cluster, mode: &Mode) -> Result<PathBuf> {
    let dir = cluster.spec.dir.join(mode.name);
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("mutable.yaml"), "realKey: bar\n")?;
    fs::write(dir.join("filesystem.yaml"), "filesystem: xfs\n")?;
    Ok(dir)
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("csi.sock")
}

async fn run_mode(cluster: &Cluster, mode: &Mode, program: &str, arguments: Vec<String>) -> Result<()> {
    let dir = cluster.spec.dir.join(mode.name);
    let socket = socket(&dir);
    let program = cluster.spec.binary(program)?;
    let mut driver = Component::new(mode.name, program, &cluster.spec.logs(), arguments);
    driver.start()?;
    cluster
        .quietly_until("driver to listen", Duration::from_secs(20), async || {
            driver.check()?;
            Ok(socket.exists().then_some(()))
        })
        .await?;
    let report = cluster.spec.logs().join(format!("csi-{}.log", mode.name));
    let passed = judge(cluster.spec.program("csi-sanity")?, mode, &dir, &socket, &report);
    driver.stop(Signal::TERM)?;
    passed
}

fn judge(program: &Path, mode: &Mode, dir: &Path, socket: &Path, report: &Path) -> Result<()> {
    let out = fs::File::create(report)?;
    let status = Command::new(program)
        .arg(format!("--csi.endpoint={}", socket.display()))
        .arg(format!("--csi.stagingdir={}", dir.join("staging").display()))
        .arg(format!("--csi.mountdir={}", dir.join("mount").display()))
        .args(mode.suite.iter().map(|flag| flag.replace("{dir}", &dir.display().to_string())))
        .args(["--ginkgo.no-color", "--ginkgo.v"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .status()?;
    let text = fs::read_to_string(report)?;
    if !status.success() {
        bail!("csi-sanity, mode {}:\n{}", mode.name, last_lines(&text, 60));
    }
    let count = text
        .lines()
        .find(|line| line.contains("Passed |"))
        .context("csi-sanity does not say how many passed")?;
    println!("    {}: {}", mode.name, count.trim());
    let skips = skips(&text);
    for (reason, times) in &skips {
        println!("      {times} skipped: {reason}");
    }
    let reasons: usize = skips.values().sum();
    let skipped = skipped(count).with_context(|| format!("not understood: {count}"))?;
    ensure!(reasons == skipped, "{skipped} tests were skipped, {reasons} of them with a reason");
    Ok(())
}

/// The number of skipped tests in `... | 1 Pending | 67 Skipped`.
fn skipped(line: &str) -> Option<usize> {
    let part = line.split('|').find_map(|part| part.trim().strip_suffix(" Skipped"))?;
    part.parse().ok()
}

/// Why tests were skipped, and how many: `  [SKIPPED] reason @ time`.
fn skips(text: &str) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for line in text.lines() {
        let Some(reason) = line.strip_prefix("  [SKIPPED] ") else { continue };
        if !reason.starts_with("in [") {
            let reason = reason.split(" @ ").next().unwrap_or(reason);
            *reasons.entry(reason).or_default() += 1;
        }
    }
    reasons
}
