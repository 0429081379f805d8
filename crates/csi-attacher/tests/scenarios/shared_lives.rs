//! The shared scenarios on the API server in this process.

use crate::setup::{DRIVER, Setup, Sidecar};
use crate::shared::attachments;
use crate::shared::stage::Stage;

fn stage() -> (Setup, Sidecar, Stage) {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    let stage = Stage {
        client: setup.server.client(),
        driver: DRIVER.into(),
        handle: "handle1".into(),
        node: "node1".into(),
        prefix: "shared".into(),
    };
    (setup, sidecar, stage)
}

fn nothing_is_left(setup: &Setup) {
    assert!(setup.server.list("VolumeAttachment").is_empty());
    assert!(setup.server.list("PersistentVolume").is_empty());
    assert!(setup.driver.volumes()[0].published.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_attached_and_detached() {
    let (setup, _sidecar, stage) = stage();
    attachments::a_volume_is_attached_and_detached(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_of_the_same_name_comes_again() {
    let (setup, _sidecar, stage) = stage();
    attachments::an_attachment_of_the_same_name_comes_again(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_waits_for_its_volume() {
    let (setup, _sidecar, stage) = stage();
    attachments::an_attachment_waits_for_its_volume(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_to_an_unknown_node_is_told_so() {
    let (setup, _sidecar, stage) = stage();
    attachments::an_attachment_to_an_unknown_node_is_told_so(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn a_volume_in_use_waits_for_its_detachment() {
    let (setup, _sidecar, stage) = stage();
    attachments::a_volume_in_use_waits_for_its_detachment(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_held_by_another_says_that_it_is_detached() {
    let (setup, _sidecar, stage) = stage();
    attachments::an_attachment_held_by_another_says_that_it_is_detached(&stage).await.unwrap();
    nothing_is_left(&setup);
}

#[tokio::test(start_paused = true)]
async fn an_access_mode_without_meaning_is_refused() {
    let (setup, _sidecar, stage) = stage();
    attachments::an_access_mode_without_meaning_is_refused(&stage).await.unwrap();
    nothing_is_left(&setup);
}
