//! What needs the hostpath driver and its sidecars, from our images.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use self::calls::Calls;
use super::{Scenario, scenario};
use crate::cluster::Cluster;
use crate::demo;
use crate::sidecars::{PROVISIONER, sidecars};
use crate::spec::Extent;
use crate::workload::{Claim, Mode, Workload};

mod attach;
mod bad_input;
mod calls;
mod containers;
mod crash;
mod failover;
mod growth;
mod liveness;
mod lives;
mod losses;
mod pods;
mod rules;
mod sanity;
mod snapshots;
mod swap;
mod tasks;

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
        scenario("csi_sanity_finds_nothing_wrong_with_the_example_driver", Extent::Images, |cluster| {
            Box::pin(sanity::example(cluster))
        }),
        scenario("a_driver_killed_at_random_moments_keeps_what_it_acknowledged", Extent::Images, |cluster| {
            Box::pin(crash::killed(cluster))
        }),
        scenario("a_hung_driver_is_restarted_and_a_slow_one_left_alone", Extent::Images, |cluster| {
            Box::pin(liveness::judged(cluster))
        }),
        scenario("a_volumes_life_as_the_demo_tells_it", needs, |cluster| Box::pin(life(cluster))),
        scenario("a_volumes_life_costs_the_budgeted_api_calls", needs, |cluster| Box::pin(budget(cluster))),
        scenario("an_attachment_costs_the_budgeted_api_calls", needs, |cluster| {
            Box::pin(attach::budget(cluster))
        }),
        scenario("an_expansion_and_a_change_of_class_cost_the_budgeted_api_calls", needs, |cluster| {
            Box::pin(growth::budget(cluster))
        }),
        scenario("a_snapshots_life_costs_the_budgeted_api_calls", needs, |cluster| {
            Box::pin(snapshots::budget(cluster))
        }),
        scenario("a_snapshot_stays_until_the_claim_restored_from_it_has_its_volume", needs, |cluster| {
            Box::pin(snapshots::restored_while_deleted(cluster))
        }),
        scenario("kubelet_grows_what_csi_resizer_has_handed_over", needs, |cluster| {
            Box::pin(growth::hand_over(cluster))
        }),
        scenario("volumes_of_a_driver_that_does_not_attach_are_used", needs, |cluster| {
            Box::pin(attach::without(cluster))
        }),
        scenario("one_implementation_goes_on_where_the_other_was", needs, |cluster| {
            Box::pin(swap::there_and_back(cluster))
        }),
        scenario("a_restarted_kubelet_learns_of_the_driver_again", needs, |cluster| {
            Box::pin(kubelet_restarts(cluster))
        }),
        scenario("a_killed_driver_comes_back_with_its_volumes", needs, |cluster| {
            Box::pin(containers::driver_killed(cluster))
        }),
        scenario("volumes_are_made_after_the_api_server_was_gone", needs, |cluster| {
            Box::pin(api_server_gone(cluster))
        }),
        scenario("a_driver_killed_with_calls_under_way_finishes_them_later", needs, |cluster| {
            Box::pin(losses::driver(cluster))
        }),
        scenario("an_api_server_killed_with_calls_under_way_learns_of_them_later", needs, |cluster| {
            Box::pin(losses::api_server(cluster))
        }),
        scenario("every_container_ends_on_sigterm_and_sigint_as_process_1", needs, |cluster| {
            Box::pin(containers::signals(cluster))
        }),
        scenario("every_container_ends_on_signals_while_connecting_and_standing_by", needs, |cluster| {
            Box::pin(bad_input::early_signals(cluster))
        }),
        scenario("a_container_says_what_is_wrong_and_ends_as_the_sheet_says", needs, |cluster| {
            Box::pin(bad_input::rows(cluster))
        }),
        scenario("the_other_replica_takes_over_and_no_volume_is_made_twice", needs, |cluster| {
            Box::pin(failover::takes_over(cluster))
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
    let calls = Calls::of(cluster, PROVISIONER)?;
    short_life(cluster, "budget").await?;
    calls.settle().await?;
    let what = "one volume's life";
    calls.expect(what, "create", "persistentvolumes", 1)?;
    calls.expect(what, "delete", "persistentvolumes", 1)?;
    calls.expect_all(what, 5)
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
    let before = restarts(cluster).await?;
    cluster.with("kube-apiserver", |server| {
        server.stop(Signal::KILL)?;
        server.start()
    })?;
    cluster.api_ready().await?;
    // The controllers of Kubernetes lose their watches too; what is tested is that ours finds back.
    short_life(cluster, "after-outage").await.context("after the API server was gone and back")?;
    let after = restarts(cluster).await?;
    ensure!(
        before == after,
        "a sidecar restarted in an outage shorter than its lease: {before:?}, {after:?}"
    );
    Ok(())
}

/// How often each sidecar was restarted.
async fn restarts(cluster: &Cluster) -> Result<Vec<(&'static str, i32)>> {
    let mut all = Vec::new();
    for sidecar in sidecars() {
        all.push((sidecar.binary, containers::restarts(cluster, sidecar).await?));
    }
    Ok(all)
}
