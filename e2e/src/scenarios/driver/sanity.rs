//! csi-sanity, the CSI project's own tests for drivers, against the hostpath driver as a plain process.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::component::Component;
use crate::programs::last_lines;

/// Runs it; its last lines go to the report.
pub(super) async fn run(cluster: &Cluster) -> Result<()> {
    let dir = cluster.spec.dir.join("sanity");
    let socket = dir.join("csi.sock");
    fs::create_dir_all(&dir)?;
    let mut driver = Component::new(
        "hostpathplugin-for-sanity",
        cluster.spec.binary("hostpathplugin")?,
        &cluster.spec.logs(),
        vec![
            "--drivername=hostpath.csi.k8s.io".into(),
            format!("--endpoint=unix://{}", socket.display()),
            "--nodeid=sanity".into(),
            format!("--statedir={}", dir.join("state").display()),
            "--v=5".into(),
        ],
    );
    driver.start()?;
    cluster
        .quietly_until("hostpath driver to listen", Duration::from_secs(20), async || {
            driver.check()?;
            Ok(socket.exists().then_some(()))
        })
        .await?;
    let report = cluster.spec.logs().join("csi-sanity.log");
    let out = fs::File::create(&report)?;
    let status = Command::new(cluster.spec.program("csi-sanity")?)
        .arg(format!("--csi.endpoint={}", socket.display()))
        .arg(format!("--csi.stagingdir={}", dir.join("staging").display()))
        .arg(format!("--csi.mountdir={}", dir.join("mount").display()))
        .args(["--csi.testvolumesize=16777216", "--ginkgo.no-color"])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .status()?;
    driver.stop(Signal::TERM)?;
    let text = fs::read_to_string(&report)?;
    if !status.success() {
        bail!("csi-sanity failed:\n{}", last_lines(&text, 60));
    }
    for line in text.lines().filter(|line| line.contains("Ran ") || line.contains("Passed")) {
        println!("    {}", line.trim());
    }
    Ok(())
}
