//! The shared scenarios on the API server in this process.

use testkit::driver::ControllerCapability;
use testkit::stage::claims::Stage;

use crate::setup::{DRIVER, Setup, Sidecar};
use crate::shared::lives;

fn stage() -> (Setup, Sidecar, Stage) {
    let setup = Setup::able(&[ControllerCapability::CloneVolume]);
    let sidecar = setup.start(&[]);
    let stage = Stage {
        client: setup.server.client(),
        driver: DRIVER.into(),
        namespace: "default".into(),
        prefix: "shared".into(),
    };
    (setup, sidecar, stage)
}

fn nothing_is_left(setup: &Setup) {
    assert!(setup.driver.volumes().is_empty(), "{:?}", setup.driver.volumes());
    assert!(setup.volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_becomes_a_volume_that_goes_with_it() {
    let (setup, _sidecar, stage) = stage();
    lives::a_claim_becomes_a_volume_that_goes_with_it(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_claim_waits_for_its_first_consumer() {
    let (setup, _sidecar, stage) = stage();
    lives::a_claim_waits_for_its_first_consumer(&stage, "node-1").await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_block_claim_gets_a_volume_without_file_system() {
    let (setup, _sidecar, stage) = stage();
    lives::a_block_claim_gets_a_volume_without_file_system(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_retained_volume_outlives_its_claim() {
    let (setup, _sidecar, stage) = stage();
    lives::a_retained_volume_outlives_its_claim(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_volume_deleted_before_its_claim_waits_for_it() {
    let (setup, _sidecar, stage) = stage();
    lives::a_volume_deleted_before_its_claim_waits_for_it(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_served_is_told_why() {
    let (setup, _sidecar, stage) = stage();
    lives::a_claim_that_cannot_be_served_is_told_why(&stage).await.unwrap();
    nothing_is_left(&setup);
}
