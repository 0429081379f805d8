//! What needs the hostpath driver and its sidecars, from our images.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::{Scenario, scenario};
use crate::cluster::Cluster;
use crate::spec::Extent;
use crate::workload::{Claim, Mode, Workload};
use crate::{audit, control_plane, demo};

mod containers;
mod liveness;
mod lives;
mod rules;
mod sanity;

/// The class that binds at once.
const CLASS: &str = "csi-hostpath-sc";
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn all() -> Vec<Scenario> {
    let needs = Extent::Driver;
    let mut all = lives::all();
    all.extend(vec![
        scenario("csi_sanity_finds_nothing_wrong_with_the_hostpath_driver", Extent::Images, |cluster| {
            Box::pin(sanity::run(cluster))
        }),
        scenario("a_hung_driver_is_restarted_and_a_slow_one_left_alone", Extent::Images, |cluster| {
            Box::pin(liveness::judged(cluster))
        }),
        scenario("a_volumes_life_as_the_demo_tells_it", needs, |cluster| Box::pin(life(cluster))),
        scenario("a_volumes_life_costs_the_budgeted_api_calls", needs, |cluster| Box::pin(budget(cluster))),
        scenario("a_restarted_kubelet_learns_of_the_driver_again", needs, |cluster| {
            Box::pin(kubelet_restarts(cluster))
        }),
        scenario("a_killed_driver_comes_back_with_its_volumes", needs, |cluster| {
            Box::pin(containers::driver_killed(cluster))
        }),
        scenario("volumes_are_made_after_the_api_server_was_gone", needs, |cluster| {
            Box::pin(api_server_gone(cluster))
        }),
        scenario("every_container_ends_on_sigterm_and_sigint_as_process_1", needs, |cluster| {
            Box::pin(containers::signals(cluster))
        }),
        scenario("rules_that_are_not_needed_can_be_taken_away", needs, |cluster| {
            Box::pin(rules::unneeded(cluster))
        }),
        scenario("a_missing_rule_is_named_in_the_log", needs, |cluster| Box::pin(rules::needed(cluster))),
    ]);
    all
}

async fn life(cluster: &Cluster) -> Result<()> {
    let code = demo::run(cluster).await?;
    ensure!(code == ExitCode::SUCCESS, "the demo says it failed");
    Ok(())
}

/// A claim becomes a volume and goes again, without a pod.
async fn short_life(cluster: &Cluster, name: &str) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name, class: CLASS, mode: Mode::Filesystem }).await?;
    let bound = work.bound(name, LIMIT).await?;
    work.delete_claim(name).await?;
    work.volume_gone(&bound.name, LIMIT).await?;
    let left = Workload::backing(&bound.handle);
    ensure!(left.is_empty(), "the volume is gone, but its storage is not: {}", left.join(", "));
    Ok(())
}

/// One creation, one deletion, one patch of the volume, two events; nothing refused.
async fn budget(cluster: &Cluster) -> Result<()> {
    let log = control_plane::audit_log(&cluster.spec);
    let mark = audit::mark(&log)?;
    short_life(cluster, "budget").await?;
    let counts = audit::count(&log, mark, "csi-provisioner")?;
    let table = || audit::table(&counts);
    let of = |verb: &str, resource: &str| {
        let mine = |call: &audit::Call| call.verb == verb && call.resource == resource;
        counts.iter().filter(|(call, _)| mine(call)).map(|(_, count)| *count).sum::<u64>()
    };
    ensure!(of("create", "persistentvolumes") == 1, "not one creation of a volume:\n{}", table());
    ensure!(of("delete", "persistentvolumes") == 1, "not one deletion of a volume:\n{}", table());
    ensure!(of("patch", "persistentvolumes") <= 1, "more than one patch of a volume:\n{}", table());
    ensure!(of("create", "events") + of("patch", "events") <= 2, "more than two events:\n{}", table());
    let refused: Vec<_> = counts.keys().filter(|call| call.code >= 400).collect();
    ensure!(refused.is_empty(), "calls were refused:\n{}", table());
    // Renewing the lease and watching have nothing to do with a volume.
    let watching = ["list", "watch"];
    let work = counts
        .iter()
        .filter(|(call, _)| call.resource != "leases" && !watching.contains(&call.verb.as_str()));
    let total: u64 = work.map(|(_, count)| *count).sum();
    ensure!(total <= 5, "{total} calls for one volume's life, at most 5 are budgeted:\n{}", table());
    Ok(())
}

/// The registrar need not notice: kubelet finds its socket again. What counts is that volumes can be mounted.
async fn kubelet_restarts(cluster: &Cluster) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "kept", class: CLASS, mode: Mode::Filesystem }).await?;
    let bound = work.bound("kept", LIMIT).await?;
    cluster.with("kubelet", |kubelet| {
        kubelet.stop(Signal::KILL)?;
        kubelet.start()
    })?;
    use_volume(&work, "after-restart", "kept").await?;
    work.delete_claim("kept").await?;
    work.volume_gone(&bound.name, LIMIT).await
}

/// A pod writes to the volume of a claim and reads it back.
async fn use_volume(work: &Workload<'_>, pod: &str, claim: &str) -> Result<()> {
    let script = format!("echo {pod} > /data/{claim}/file; cat /data/{claim}/file");
    work.create_pod(pod, &[claim], &[], &script).await?;
    work.succeeded(pod, LIMIT).await?;
    let log = work.log(pod).await?;
    ensure!(log == format!("{pod}\n"), "pod {pod} read {log:?}");
    work.delete_pod(pod).await?;
    work.pod_gone(pod, LIMIT).await
}

/// Killed, not stopped; a claim made right after its return is served by a provisioner that never went away.
async fn api_server_gone(cluster: &Cluster) -> Result<()> {
    let before = containers::restarts(cluster, containers::PROVISIONER).await?;
    cluster.with("kube-apiserver", |server| {
        server.stop(Signal::KILL)?;
        server.start()
    })?;
    cluster.api_ready().await?;
    // The controllers of Kubernetes lose their watches too; what is tested is that ours finds back.
    short_life(cluster, "after-outage").await.context("after the API server was gone and back")?;
    let after = containers::restarts(cluster, containers::PROVISIONER).await?;
    ensure!(
        before == after,
        "csi-provisioner restarted {} times in an outage shorter than its lease",
        after - before
    );
    Ok(())
}
