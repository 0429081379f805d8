//! The sidecars' shared scenarios, on the real control plane and with the real driver. Their other stage is the in-process
//! API server, in each sidecar's own tests, which holds that server to this one.

use anyhow::{Context, Error, Result};
use testkit::stage::Outcome;
use testkit::stage::claims::Stage;

use super::{CLASS, LIMIT};
use crate::cluster::Cluster;
use crate::deploy::DRIVER;
use crate::node;
use crate::scenarios::{Scenario, scenario};
use crate::spec::Extent;
use crate::workload::{Claim, Mode, Workload};

#[allow(missing_docs, unreachable_pub)]
#[path = "../../../../crates/csi-attacher/tests/shared/shared.rs"]
mod attaching;
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
