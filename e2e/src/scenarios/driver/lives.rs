//! The sidecars' shared scenarios, on the real control plane and with the real driver. Their other stage is the in-process
//! API server, in each sidecar's own tests, which holds that server to this one.

use anyhow::{Context, Error, Result};
use testkit::stage::Outcome;
use testkit::stage::claims::Stage;

use super::calls::Calls;
use super::containers::{self, Container};
use super::rules::scale;
use super::{CLASS, LIMIT};
use crate::cluster::Cluster;
use crate::deploy::{self, DRIVER};
use crate::node;
use crate::scenarios::{Scenario, scenario};
use crate::sidecars::SNAPSHOT_CONTROLLER;
use crate::spec::Extent;
use crate::workload::{Claim, Mode, Workload};

#[allow(missing_docs, unreachable_pub)]
#[path = "../../../../crates/csi-attacher/tests/shared/shared.rs"]
mod attaching;
// Indexing a JSON value cannot panic.
#[allow(missing_docs, unreachable_pub, clippy::indexing_slicing)]
#[path = "../../../../crates/snapshot-controller/tests/shared/shared.rs"]
mod binding;
#[allow(missing_docs, unreachable_pub)]
#[path = "../../../../crates/csi-resizer/tests/shared/shared.rs"]
mod growing;
#[allow(missing_docs, unreachable_pub)]
#[path = "../../../../crates/csi-provisioner/tests/shared/shared.rs"]
mod provisioning;
// Indexing a JSON value cannot panic.
#[allow(missing_docs, unreachable_pub, clippy::indexing_slicing)]
#[path = "../../../../crates/csi-snapshotter/tests/shared/shared.rs"]
mod snapshotting;

pub(super) fn all() -> Vec<Scenario> {
    let mut all = provisioned();
    all.extend(attached());
    all.extend(grown());
    all.extend(snapshotted());
    all.extend(bound());
    all
}

fn provisioned() -> Vec<Scenario> {
    use provisioning::lives;
    macro_rules! shared {
        ($name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(async { lives::$name(&claims(cluster)).await.map_err(Error::msg) })
            })
        };
    }
    vec![
        shared!(a_claim_becomes_a_volume_that_goes_with_it),
        scenario("shared_a_claim_waits_for_its_first_consumer", Extent::Driver, |cluster| {
            Box::pin(first_consumer(cluster))
        }),
        shared!(a_block_claim_gets_a_volume_without_file_system),
        shared!(a_retained_volume_outlives_its_claim),
        shared!(a_volume_deleted_before_its_claim_waits_for_it),
        shared!(a_claim_that_cannot_be_served_is_told_why),
    ]
}

/// A stage with claims of the driver.
fn claims(cluster: &Cluster) -> Stage {
    Stage {
        client: cluster.client.clone(),
        driver: DRIVER.to_owned(),
        namespace: "default".to_owned(),
        prefix: "shared".to_owned(),
    }
}

async fn first_consumer(cluster: &Cluster) -> Result<()> {
    provisioning::lives::a_claim_waits_for_its_first_consumer(&claims(cluster), node::NAME)
        .await
        .map_err(Error::msg)
        .context("the scheduler's choice was not followed")
}

fn attached() -> Vec<Scenario> {
    use attaching::attachments;
    macro_rules! shared {
        ($name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(attaching(cluster, async |stage| attachments::$name(&stage).await))
            })
        };
    }
    vec![
        shared!(a_volume_is_attached_and_detached),
        shared!(an_attachment_of_the_same_name_comes_again),
        shared!(an_attachment_waits_for_its_volume),
        shared!(an_attachment_to_an_unknown_node_is_told_so),
        shared!(a_volume_in_use_waits_for_its_detachment),
        shared!(an_attachment_held_by_another_says_that_it_is_detached),
        shared!(an_access_mode_without_meaning_is_refused),
    ]
}

/// Plays a scenario with a volume that the driver has.
async fn attaching(
    cluster: &Cluster,
    play: impl AsyncFnOnce(attaching::stage::Stage) -> Outcome,
) -> Result<()> {
    let work = Workload::new(cluster, "default");
    work.create_claim(&Claim { name: "shared-handle", class: CLASS, mode: Mode::Filesystem }).await?;
    let volume = work.bound("shared-handle", LIMIT).await?;
    let stage = attaching::stage::Stage {
        client: cluster.client.clone(),
        driver: DRIVER.to_owned(),
        handle: volume.handle,
        node: node::NAME.to_owned(),
        prefix: "shared".to_owned(),
    };
    let played = play(stage).await.map_err(Error::msg);
    work.delete_claim("shared-handle").await?;
    work.volume_gone(&volume.name, LIMIT).await?;
    played
}

fn grown() -> Vec<Scenario> {
    use growing::growth;
    macro_rules! shared {
        ($name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(async { growth::$name(&claims(cluster)).await.map_err(Error::msg) })
            })
        };
    }
    vec![
        shared!(a_claim_grows),
        shared!(a_size_that_cannot_be_had_is_taken_back),
        shared!(classes_are_applied_one_after_the_other),
        shared!(a_class_that_comes_later_is_applied),
        shared!(a_claim_grows_and_is_modified_at_once),
    ]
}

fn snapshotted() -> Vec<Scenario> {
    use snapshotting::contents;
    macro_rules! shared {
        ($name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(snapshotting(cluster, async |stage| contents::$name(&stage).await))
            })
        };
    }
    vec![
        shared!(a_snapshot_is_taken_and_deleted),
        shared!(a_group_is_taken_and_deleted),
        shared!(a_retained_snapshot_is_found_again),
        shared!(a_snapshot_of_nothing_is_told_so),
        shared!(a_class_may_come_late),
        shared!(a_content_that_is_wanted_stays),
        shared!(a_content_held_by_another_forgets_its_snapshot),
    ]
}

/// Plays a scenario with two volumes that the driver has.
async fn snapshotting(
    cluster: &Cluster,
    play: impl AsyncFnOnce(snapshotting::stage::Stage) -> Outcome,
) -> Result<()> {
    let work = Workload::new(cluster, "default");
    for name in ["shared-one", "shared-two"] {
        work.create_claim(&Claim { name, class: CLASS, mode: Mode::Filesystem }).await?;
    }
    let one = work.bound("shared-one", LIMIT).await?;
    let two = work.bound("shared-two", LIMIT).await?;
    let stage = snapshotting::stage::Stage {
        client: cluster.client.clone(),
        driver: DRIVER.to_owned(),
        volumes: [one.handle, two.handle],
        prefix: "shared".to_owned(),
    };
    let played = play(stage).await.map_err(Error::msg);
    for (claim, volume) in [("shared-one", one.name), ("shared-two", two.name)] {
        work.delete_claim(claim).await?;
        work.volume_gone(&volume, LIMIT).await?;
    }
    played
}

fn bound() -> Vec<Scenario> {
    macro_rules! shared {
        ($of:ident, $name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(binding(cluster, async |stage| binding::$of::$name(&stage).await))
            })
        };
    }
    vec![
        shared!(snapshots, a_snapshot_is_bound_and_goes_with_its_content),
        shared!(snapshots, a_snapshot_without_a_class_gets_the_default),
        shared!(snapshots, a_retained_snapshot_is_bound_again),
        shared!(snapshots, a_content_of_another_snapshot_is_left_alone),
        shared!(snapshots, a_claim_is_protected_while_it_is_cut),
        shared!(snapshots, a_snapshot_that_is_restored_from_stays),
        shared!(snapshots, a_class_may_come_late_for_a_snapshot),
        shared!(snapshots, a_class_of_another_driver_is_refused),
        shared!(snapshots, a_snapshot_that_lost_its_content_says_so),
        shared!(groups, a_group_is_taken_and_goes_with_its_members),
        shared!(groups, a_member_goes_no_sooner_than_its_group),
        scenario("shared_the_other_replica_goes_on", Extent::Driver, |cluster| {
            Box::pin(other_replica(cluster))
        }),
    ]
}

/// Plays a scenario with two claims. The rules of the controller's manifest suffice for it.
async fn binding(cluster: &Cluster, play: impl AsyncFnOnce(binding::stage::Stage) -> Outcome) -> Result<()> {
    let (work, label) = (Workload::new(cluster, "default"), ("example.com/shared", "binding"));
    let claims = ["shared-one", "shared-two"];
    let mut volumes = Vec::new();
    for name in claims {
        work.create_claim(&Claim { name, class: CLASS, mode: Mode::Filesystem }).await?;
        volumes.push(work.bound(name, LIMIT).await?.name);
        // Not before: who binds it would meet a conflict, and try again only ten seconds later.
        work.label_claim(name, label).await?;
    }
    let stage = binding::stage::Stage {
        client: cluster.client.clone(),
        driver: DRIVER.to_owned(),
        namespace: "default".to_owned(),
        claims: claims.map(str::to_owned),
        label: (label.0.to_owned(), label.1.to_owned()),
        prefix: "shared".to_owned(),
    };
    let calls = Calls::of(cluster, SNAPSHOT_CONTROLLER)?;
    let played = play(stage).await.map_err(Error::msg);
    calls.settle().await?;
    for (claim, volume) in claims.iter().zip(volumes) {
        work.delete_claim(claim).await?;
        work.volume_gone(&volume, LIMIT).await?;
    }
    played?;
    calls.none_forbidden("a shared scenario")
}

/// Of two replicas the leader is stopped in its tracks until the other leads, and then goes on where it was: too late.
async fn other_replica(cluster: &Cluster) -> Result<()> {
    scale(cluster, SNAPSHOT_CONTROLLER, 2).await?;
    let played = binding(cluster, async |stage| {
        let mut stopped = None;
        let stop = async |leader: &str| {
            let container = Container { pod: leader.to_owned(), name: SNAPSHOT_CONTROLLER.container };
            let id = containers::signal(cluster, &container, "SIGSTOP").await;
            stopped = Some(id.map_err(|error| format!("{error:#}"))?);
            Ok(())
        };
        let played = binding::snapshots::the_other_replica_goes_on(&stage, stop).await;
        if let Some(id) = stopped {
            // Kubelet may have lost patience with it, and there is another container by now.
            drop(containers::signal_by_id(cluster, &id, "SIGCONT"));
        }
        played
    })
    .await;
    scale(cluster, SNAPSHOT_CONTROLLER, 1).await?;
    deploy::ready(cluster).await?;
    played
}
