//! csi-sanity, the CSI project's own tests for drivers, against the hostpath driver as a plain process, in every mode
//! that its sheet lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::component::Component;
use crate::programs::last_lines;

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

/// Runs it in each mode; how many tests ran and why others did not goes to the report.
pub(super) async fn run(cluster: &Cluster) -> Result<()> {
    for mode in &MODES {
        run_mode(cluster, mode).await?;
    }
    Ok(())
}

async fn run_mode(cluster: &Cluster, mode: &Mode) -> Result<()> {
    let dir = cluster.spec.dir.join(mode.name);
    let socket = dir.join("csi.sock");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("mutable.yaml"), "realKey: bar\n")?;
    fs::write(dir.join("filesystem.yaml"), "filesystem: xfs\n")?;
    let mut arguments = vec![
        "--drivername=hostpath.csi.k8s.io".into(),
        format!("--endpoint=unix://{}", socket.display()),
        "--nodeid=sanity".into(),
        format!("--statedir={}", dir.join("state").display()),
        "--v=5".into(),
    ];
    arguments.extend(mode.driver.iter().map(|flag| (*flag).to_owned()));
    let program = cluster.spec.binary("hostpathplugin")?;
    let mut driver = Component::new(mode.name, program, &cluster.spec.logs(), arguments);
    driver.start()?;
    cluster
        .quietly_until("hostpath driver to listen", Duration::from_secs(20), async || {
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
    for line in text.lines().filter(|line| line.contains("Passed |")) {
        println!("    {}: {}", mode.name, line.trim());
    }
    for (reason, times) in skips(&text) {
        println!("      {times} skipped: {reason}");
    }
    Ok(())
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
