//! `--volume-attachment-timeout`, which guides document and upstream does not have.

use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::{Value, json};
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, VA, detaching, pass, settle};

#[tokio::test(start_paused = true)]
async fn an_attachment_that_takes_too_long_is_reported_and_still_tried() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::fail(Code::Internal, "no"));
    let sidecar = setup.start(&["--volume-attachment-timeout=1m30s"]);
    pass(89).await;
    assert_eq!(setup.attach_error(), "rpc error: code = Internal desc = no");
    pass(2).await;
    let message =
        "attachment did not finish within 1m30s; still trying: rpc error: code = Internal desc = no";
    assert_eq!(setup.attach_error(), message);
    assert_eq!(setup.va()["status"]["attachError"]["errorCode"], 13);
    let series = "csi_attacher_volume_attachment_timeouts_total{operation=\"attach\"}";
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1);
    // Later failures say so too, until it works.
    pass(120).await;
    assert_eq!(setup.attach_error(), message);
    setup.driver.behave();
    setup.attached().await;
    assert_eq!(setup.va()["status"]["attachError"], Value::Null);
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_answer_is_reported_too() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::Hang);
    let _sidecar = setup.start(&["--volume-attachment-timeout=1m", "--timeout=1h"]);
    pass(61).await;
    assert_eq!(setup.attach_error(), "attachment did not finish within 1m0s; still trying: no answer yet");
}

#[tokio::test(start_paused = true)]
async fn a_detachment_has_the_time_for_itself() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::fail(Code::Internal, "no"));
    let _sidecar = setup.start(&["--volume-attachment-timeout=1m"]);
    pass(58).await;
    assert_eq!(setup.detach_error(), "rpc error: code = Internal desc = no");
    pass(5).await;
    let message = "detachment did not finish within 1m0s; still trying: rpc error: code = Internal desc = no";
    assert_eq!(setup.detach_error(), message);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_time_is_not_reported() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let sidecar = setup.start(&["--volume-attachment-timeout=1m"]);
    setup.attached().await;
    pass(300).await;
    assert_eq!(setup.va()["status"]["attachError"], Value::Null);
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    settle().await;
    let series = "csi_attacher_volume_attachment_timeouts_total{operation=\"attach\"}";
    assert!(sidecar.metric(series) < 0.1);
}

#[tokio::test(start_paused = true)]
async fn zero_is_never() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::fail(Code::Internal, "no"));
    let _sidecar = setup.start(&["--volume-attachment-timeout=0"]);
    pass(3600).await;
    assert_eq!(setup.attach_error(), "rpc error: code = Internal desc = no");
}

/// The time of the attachment, which was soon done, does not shorten that of the detachment.
#[tokio::test(start_paused = true)]
async fn each_operation_has_its_own_time() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.always::<ControllerUnpublishVolumeRequest>(Step::fail(Code::Internal, "no"));
    let _sidecar = setup.start(&["--volume-attachment-timeout=2m"]);
    setup.attached().await;
    setup.delete("VolumeAttachment", VA);
    pass(110).await;
    assert_eq!(setup.detach_error(), "rpc error: code = Internal desc = no");
    pass(30).await;
    assert!(setup.detach_error().starts_with("detachment did not finish within 2m0s"));
}

/// The answer to the last write was lost, so that only the watch tells that it is done.
#[tokio::test(start_paused = true)]
async fn what_is_done_without_our_knowing_is_not_reported() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::late(std::time::Duration::from_secs(1))]);
    setup.refuse("volumeattachments/status", 1);
    let _sidecar = setup.start(&["--volume-attachment-timeout=1m", "--retry-interval-start=10s"]);
    pass(5).await;
    setup.server.patch_status("VolumeAttachment", "", VA, &json!({"status": {"attached": true}})).unwrap();
    pass(300).await;
    assert_eq!((setup.attach_error(), setup.published().len()), (String::new(), 1));
}
