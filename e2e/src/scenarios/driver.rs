//! What needs the hostpath driver and its sidecars, from our images.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{Scenario, scenario};
use crate::cluster::Cluster;
use crate::demo;
use crate::spec::Extent;
use crate::workload::{Claim, Mode, Workload};

const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn all() -> Vec<Scenario> {
    let needs = Extent::Driver;
    vec![
        scenario("a_volumes_life_as_the_demo_tells_it", needs, |cluster| Box::pin(life(cluster))),
        scenario("a_restarted_kubelet_learns_of_the_driver_again", needs, |cluster| {
            Box::pin(kubelet_restarts(cluster))
        }),
    ]
}

async fn life(cluster: &Cluster) -> Result<()> {
    let code = demo::run(cluster).await?;
    ensure!(code == ExitCode::SUCCESS, "the demo says it failed");
    Ok(())
}

/// The registrar need not notice: kubelet finds its socket again. What counts is that volumes can be mounted.
async fn kubelet_restarts(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "kept", class: "csi-hostpath-sc", mode: Mode::Filesystem }).await?;
    let bound = work.bound("kept", LIMIT).await?;
    cluster.with("kubelet", |kubelet| {
        kubelet.stop(Signal::KILL)?;
        kubelet.start()
    })?;
    work.create_pod("after-restart", &["kept"], &[], "echo kept > /data/kept/file; cat /data/kept/file")
        .await?;
    work.succeeded("after-restart", LIMIT).await?;
    ensure!(work.log("after-restart").await? == "kept\n", "the pod could not write to its volume");
    work.delete_pod("after-restart").await?;
    work.pod_gone("after-restart", LIMIT).await?;
    work.delete_claim("kept").await?;
    work.volume_gone(&bound.name, LIMIT).await
}
