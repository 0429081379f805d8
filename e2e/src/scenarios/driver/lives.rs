//! The provisioner's shared scenarios, on the real control plane and with the real driver. Their other stage is the
//! in-process API server, in the tests of csi-provisioner, which holds that server to this one.

use anyhow::{Context, Error, Result};

use self::shared::lives;
use self::shared::stage::Stage;
use crate::cluster::Cluster;
use crate::node;
use crate::scenarios::{Scenario, scenario};
use crate::spec::Extent;

#[allow(missing_docs, unreachable_pub)]
#[path = "../../../../crates/csi-provisioner/tests/shared/shared.rs"]
mod shared;

/// The driver of `deploy/hostpath`.
const DRIVER: &str = "hostpath.csi.k8s.io";

pub(super) fn all() -> Vec<Scenario> {
    macro_rules! shared {
        ($name:ident) => {
            scenario(concat!("shared_", stringify!($name)), Extent::Driver, |cluster| {
                Box::pin(async { lives::$name(&stage(cluster)).await.map_err(Error::msg) })
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

fn stage(cluster: &Cluster) -> Stage {
    Stage {
        client: cluster.client.clone(),
        driver: DRIVER.to_owned(),
        namespace: "default".to_owned(),
        prefix: "shared".to_owned(),
    }
}

async fn first_consumer(cluster: &Cluster) -> Result<()> {
    lives::a_claim_waits_for_its_first_consumer(&stage(cluster), node::NAME)
        .await
        .map_err(Error::msg)
        .context("the scheduler's choice was not followed")
}
