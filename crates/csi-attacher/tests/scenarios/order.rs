//! Sheet 13.8, `--detach-before-attach`: a volume leaves one node before it comes to another, but nobody waits for ever.

use std::time::Duration;

use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;
use tonic::Code;

use crate::setup::{F, NODE_ID, Setup, Sidecar, VA, attachment, detaching, is_attached, pass};

const OTHER: &str = "pv1-node2";
const OPTION: &str = "--detach-before-attach=2m";

/// `pv1` goes from `node1` and is wanted on `node2`, as of now.
fn moving(setup: &Setup) {
    setup.node("node2", "nodeID2");
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    setup.create(attachment(OTHER, "pv1", "node2"));
}

fn detaching_takes(setup: &Setup, seconds: u64) {
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::late(Duration::from_secs(seconds)));
}

fn detaching_fails(setup: &Setup) {
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::fail(Code::Internal, "never"));
}

async fn other_attached(setup: &Setup) -> u64 {
    let start = Instant::now();
    setup.until("attached", || is_attached(&setup.get_va(OTHER))).await;
    start.elapsed().as_secs()
}

fn count(sidecar: &Sidecar, outcome: &str) -> f64 {
    sidecar.metric(&format!("csi_attacher_held_back_attachments_total{{outcome=\"{outcome}\"}}"))
}

/// As upstream.
#[tokio::test(start_paused = true)]
async fn without_the_flag_nobody_waits() {
    let setup = Setup::new();
    detaching_takes(&setup, 10);
    moving(&setup);
    let sidecar = setup.start(&[]);
    assert_eq!(other_attached(&setup).await, 0);
    assert!(!setup.va().is_null(), "the detachment goes on");
    assert!(count(&sidecar, "waited") < 0.1);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_waits_for_the_detachment_of_its_volume() {
    let setup = Setup::new();
    detaching_takes(&setup, 10);
    moving(&setup);
    let sidecar = setup.start(&[OPTION]);
    pass(9).await;
    assert!(setup.published().is_empty());
    assert_eq!(setup.get_va(OTHER)["metadata"].get("finalizers"), None, "nothing is written while it waits");
    // Brought back by the end of the detachment, not by a clock.
    assert_eq!(other_attached(&setup).await, 1);
    assert!(setup.va().is_null());
    assert!((count(&sidecar, "waited") - 1.0).abs() < 0.1 && count(&sidecar, "gave_up") < 0.1);
    pass(300).await;
    assert_eq!(setup.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_detachment_that_always_fails_holds_nobody_back_for_ever() {
    let setup = Setup::new();
    detaching_fails(&setup);
    moving(&setup);
    let sidecar = setup.start(&[OPTION]);
    assert_eq!(other_attached(&setup).await, 120);
    assert!(!setup.va().is_null() && setup.unpublished().len() > 5, "it is still being tried");
    assert!((count(&sidecar, "waited") - 1.0).abs() < 0.1 && (count(&sidecar, "gave_up") - 1.0).abs() < 0.1);
}

/// The time counts once for each attachment, not for each of its tries; and a detachment that ends after all brings it back.
#[tokio::test(start_paused = true)]
async fn who_has_given_up_waiting_does_not_wait_again() {
    let setup = Setup::new();
    detaching_fails(&setup);
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::fail(Code::FailedPrecondition, "elsewhere"));
    moving(&setup);
    let _sidecar = setup.start(&[OPTION]);
    pass(119).await;
    assert!(setup.published().is_empty());
    // At 120 s, and then as the back-off says: after 1, 2, 4 and 8 s.
    pass(20).await;
    assert_eq!(setup.published().len(), 5);
    pass(300).await;
    let tried = setup.published().len();
    // The detachment's next try is at 511 s, the attachment's at 631 s.
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::Normal);
    setup.until("detached", || setup.va().is_null()).await;
    pass(1).await;
    assert!(setup.published().len() > tried, "whoever waited knows of it");
    setup.driver.behave();
    assert!(other_attached(&setup).await < 10);
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_detachment_go_ahead_after_it() {
    let setup = Setup::new();
    detaching_takes(&setup, 10);
    moving(&setup);
    setup.node("node3", "nodeID3");
    setup.create(attachment("pv1-node3", "pv1", "node3"));
    let _sidecar = setup.start(&[OPTION]);
    assert_eq!(other_attached(&setup).await, 10);
    setup.until("attached", || is_attached(&setup.get_va("pv1-node3"))).await;
    assert_eq!(setup.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_volumes_and_other_drivers_do_not_matter() {
    let setup = Setup::new();
    detaching_fails(&setup);
    setup.node("node2", "nodeID2");
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"spec": {"attacher": "other"}})));
    setup.create(attachment(OTHER, "pv1", "node2"));
    let pair = setup.pair(1, "node1");
    let _sidecar = setup.start(&[OPTION]);
    assert_eq!(other_attached(&setup).await, 0);
    assert!(is_attached(&setup.get_va(&pair)));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_deleted_while_it_waits_is_never_attached() {
    let setup = Setup::new();
    detaching_takes(&setup, 10);
    moving(&setup);
    let _sidecar = setup.start(&[OPTION]);
    pass(5).await;
    setup.delete("VolumeAttachment", OTHER);
    pass(1).await;
    assert!(setup.get_va(OTHER).is_null(), "there was nothing to detach");
    setup.gone().await;
    pass(300).await;
    assert_eq!((setup.published().len(), setup.unpublished().len()), (0, 1));
}

/// Our finalizer tells whether a volume may still be attached, not how long somebody else keeps the object.
#[tokio::test(start_paused = true)]
async fn an_object_that_others_hold_holds_nobody_back() {
    let setup = Setup::new();
    detaching_takes(&setup, 10);
    setup.node("node2", "nodeID2");
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"metadata": {"finalizers": [F, "x/y"]}})));
    setup.create(attachment(OTHER, "pv1", "node2"));
    let _sidecar = setup.start(&[OPTION]);
    assert_eq!(other_attached(&setup).await, 10);
    assert_eq!(setup.va()["metadata"]["finalizers"], json!(["x/y"]));
}

/// A detachment that begins while the attachment is with the driver does not call it back.
#[tokio::test(start_paused = true)]
async fn what_has_begun_is_not_held_back() {
    let setup = Setup::new();
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::late(Duration::from_secs(10)));
    setup.node("node2", "nodeID2");
    setup.volume(json!({}));
    let here = json!({"metadata": {"finalizers": [F], "annotations": {NODE_ID: "nodeID1"}}, "status": {"attached": true}});
    setup.attachment(here);
    let _sidecar = setup.start(&[OPTION]);
    setup.create(attachment(OTHER, "pv1", "node2"));
    pass(1).await;
    detaching_fails(&setup);
    setup.delete("VolumeAttachment", VA);
    assert_eq!(other_attached(&setup).await, 9);
    assert_eq!(setup.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attachment_to_be_repeated_waits_as_well() {
    let setup = Setup::listing();
    detaching_takes(&setup, 10);
    moving(&setup);
    setup.server.patch_status("VolumeAttachment", "", OTHER, &json!({"status": {"attached": true}})).unwrap();
    let _sidecar = setup.start(&[OPTION]);
    pass(9).await;
    assert!(setup.published().is_empty());
    setup.until("repeated", || setup.published().len() == 1).await;
    assert!(setup.va().is_null());
}

#[tokio::test(start_paused = true)]
async fn the_report_that_it_takes_too_long_says_what_for() {
    let setup = Setup::new();
    detaching_fails(&setup);
    moving(&setup);
    let _sidecar = setup.start(&[OPTION, "--volume-attachment-timeout=1m"]);
    let error = || setup.get_va(OTHER)["status"]["attachError"]["message"].to_string();
    setup.until("reported", || error().contains("did not finish within 1m0s")).await;
    assert!(error().contains("waiting until the volume is detached from node node1"), "{}", error());
    assert_eq!(setup.published().len(), 0);
    other_attached(&setup).await;
}
