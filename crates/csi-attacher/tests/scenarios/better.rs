//! "Not tested upstream, add", and what section 13 of the sheet promises beyond upstream.

use std::time::Duration;

use csi_client::csi::{
    ControllerPublishVolumeRequest, ControllerPublishVolumeResponse, ControllerUnpublishVolumeRequest,
};
use serde_json::{Value, json};
use testkit::api::{Failure, Resource};
use testkit::driver::{DriverConfig, Step};
use tonic::Code;

use crate::attach::with_secret;
use crate::setup::{
    ABLE, DRIVER, F, NODE_ID, Setup, VA, attachment, both, detaching, is_attached, pass, released, settle,
};

fn without_node() -> Setup {
    Setup::bare(DriverConfig { name: DRIVER.into(), controller: ABLE.into(), ..DriverConfig::default() })
}

/// Held by somebody else, so that the status is written after our finalizer is gone.
fn held() -> Value {
    detaching(json!({"metadata": {"finalizers": [F, "x/y"]}}))
}

/// From now on nothing is heard of attachments.
fn blind(setup: &Setup) {
    setup.server.intercept(|call| {
        let look = matches!(call.verb.as_str(), "watch" | "list") && call.resource == "volumeattachments";
        look.then(|| Failure::unavailable("not now"))
    });
    setup.server.break_watches("VolumeAttachment");
}

#[tokio::test(start_paused = true)]
async fn not_found_on_the_status_patch_is_success() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(held());
    let gone = Failure::not_found(Resource::find("VolumeAttachment").unwrap(), VA);
    setup.server.fail_next("patch", "volumeattachments/status", 1, &gone);
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!((setup.actions().len(), setup.unpublished().len()), (2, 1));
    assert_eq!(setup.detach_error(), "");
}

/// Upstream counts it as done on the retry and leaves `attached: true` for ever.
#[tokio::test(start_paused = true)]
async fn other_status_patch_error_after_the_finalizer_is_gone() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(held());
    setup.refuse("volumeattachments/status", 2);
    let _sidecar = setup.start(&[]);
    setup.until("the status says so", || setup.va()["status"] == json!({"attached": false})).await;
    settle().await;
    assert_eq!(setup.unpublished().len(), 1, "the driver has done its part");
}

/// Upstream sends an empty patch.
#[tokio::test(start_paused = true)]
async fn detach_of_a_never_attached_va() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(both(held(), json!({"status": {"attached": false}})));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!((setup.actions(), setup.unpublished().len()), (vec![released()], 1));
}

/// The watch breaks while an attachment goes, so that its deletion is only seen by its absence from the next list.
#[tokio::test(start_paused = true)]
async fn tombstone_of_a_deleted_va() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"deletionTimestamp": "now"}}));
    setup.attachment(json!({"status": {"attached": true}}));
    let _sidecar = setup.start(&[]);
    settle().await;
    blind(&setup);
    setup.delete("VolumeAttachment", VA);
    settle().await;
    assert!(!setup.pv().is_null());
    setup.server.pass();
    setup.until("the volume is gone", || setup.pv().is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn long_messages() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let message = format!("start {} end", "é".repeat(4000));
    setup
        .driver
        .script::<ControllerPublishVolumeRequest>([Step::fail(Code::ResourceExhausted, message.clone())]);
    setup.driver.script::<ControllerUnpublishVolumeRequest>([Step::fail(Code::Internal, message)]);
    let _sidecar = setup.start(&["--retry-interval-start=1m"]);
    setup.until("failed", || !setup.attach_error().is_empty()).await;
    let error = setup.attach_error();
    assert!(error.len() <= 1024 && error.starts_with("rpc error: code = ResourceExhausted desc = start é"));
    assert!(error.ends_with("é end"));
    assert_eq!(setup.va()["status"]["attachError"]["errorCode"], 8);
    setup.attached().await;
    setup.delete("VolumeAttachment", VA);
    setup.until("failed", || !setup.detach_error().is_empty()).await;
    assert!(setup.detach_error().len() <= 1024);
    setup.gone().await;
}

#[tokio::test(start_paused = true)]
async fn annotation_vs_csinode_conflict() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"metadata": {"annotations": {NODE_ID: "before"}}})));
    let sidecar = setup.start(&[]);
    setup.gone().await;
    assert_eq!(setup.unpublished()[0].node_id, "nodeID1", "as upstream");
    assert!((sidecar.metric("csi_attacher_node_id_conflicts_total") - 1.0).abs() < 0.1);
}

/// An empty id means every node to the driver.
#[tokio::test(start_paused = true)]
async fn an_empty_annotation_is_no_node() {
    let setup = without_node();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"metadata": {"annotations": {NODE_ID: ""}}})));
    let _sidecar = setup.start(&[]);
    setup.until("failed", || !setup.detach_error().is_empty()).await;
    settle().await;
    assert!(setup.unpublished().is_empty());
}

/// Upstream issue 102: late nodes end the back-off of those who wait for them.
#[tokio::test(start_paused = true)]
async fn a_node_that_registers_late_wakes_its_attachments() {
    let setup = without_node();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    pass(1000).await;
    assert!(setup.attach_error().contains("not found"));
    setup.create(json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node1"},
        "spec": {"drivers": []},
    }));
    pass(1).await;
    assert!(setup.published().is_empty());
    let registered = json!({"spec": {"drivers": [{"name": DRIVER, "nodeID": "nodeID1"}]}});
    setup.server.patch("CSINode", "", "node1", &registered).unwrap();
    pass(1).await;
    assert!(is_attached(&setup.va()));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_comes_late_wakes_its_attachments() {
    let setup = Setup::new();
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    pass(1000).await;
    assert!(setup.attach_error().contains("not found"));
    setup.volume(json!({}));
    pass(1).await;
    assert!(is_attached(&setup.va()));
}

/// A cache of nodes that is not complete yet is not believed.
#[tokio::test(start_paused = true)]
async fn nodes_are_awaited_at_the_start() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let failure = Failure::unavailable("not yet");
    setup.server.fail_next("watch", "csinodes", 3, &failure);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    assert_eq!(setup.actions().iter().filter(|action| action.contains("attachError\":{")).count(), 0);
}

/// The names of attachments recur: a new one inherits neither the back-off nor anything else.
#[tokio::test(start_paused = true)]
async fn a_new_attachment_of_the_same_name_starts_afresh() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.driver.always::<ControllerPublishVolumeRequest>(Step::fail(Code::Internal, "no"));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    pass(600).await;
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    let before = setup.published().len();
    setup.attachment(json!({}));
    pass(8).await;
    assert_eq!(setup.published().len() - before, 4, "at 0, 1, 3 and 7 s");
}

/// The answer of the driver comes when nobody wants the volume there any more.
#[tokio::test(start_paused = true)]
async fn an_attachment_deleted_while_it_is_attached_is_detached_at_once() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::late(Duration::from_secs(5))]);
    let _sidecar = setup.start(&[]);
    setup.until("asked", || !setup.published().is_empty()).await;
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    assert_eq!((setup.published().len(), setup.unpublished().len()), (1, 1));
    assert!(!setup.actions().iter().any(|action| action.starts_with('S')), "{:?}", setup.actions());
}

/// Upstream appends it twice, or sees a call refused.
#[tokio::test(start_paused = true)]
async fn attachments_of_a_volume_at_the_same_time_add_one_finalizer() {
    for finalizers in [json!(null), json!(["x/y"])] {
        let setup = Setup::new();
        let mut expected = finalizers.as_array().cloned().unwrap_or_default();
        expected.push(json!(F));
        setup.volume(json!({"metadata": {"finalizers": finalizers}}));
        let nodes = ["node1", "node2", "node3"];
        for node in nodes {
            if node != "node1" {
                setup.node(node, &format!("id-{node}"));
            }
            setup.create(attachment(&format!("pv1-{node}"), "pv1", node));
        }
        let _sidecar = setup.start(&[]);
        let all = || nodes.iter().all(|node| is_attached(&setup.get_va(&format!("pv1-{node}"))));
        setup.until("attached", all).await;
        assert_eq!(setup.pv()["metadata"]["finalizers"], Value::Array(expected));
        let actions = setup.actions();
        assert!(actions.len() == 7 && !actions.iter().any(|action| action.contains('!')), "{actions:?}");
    }
}

/// Finalizers of others survive ours.
#[tokio::test(start_paused = true)]
async fn finalizers_of_others_stay() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({"metadata": {"finalizers": ["x/y"]}}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    assert_eq!(setup.va()["metadata"]["finalizers"], json!(["x/y", F]));
    setup.delete("VolumeAttachment", VA);
    setup.until("detached", || setup.va()["metadata"]["finalizers"] == json!(["x/y"])).await;
}

/// Upstream issues 66 and 235: the volume went first.
#[tokio::test(start_paused = true)]
async fn detach_with_a_missing_pv_uses_what_was_seen_of_it() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    setup.server.patch("PersistentVolume", "", "pv1", &json!({"metadata": {"finalizers": null}})).unwrap();
    setup.delete("PersistentVolume", "pv1");
    settle().await;
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    assert_eq!(setup.unpublished()[0].volume_id, "handle1");
}

#[tokio::test(start_paused = true)]
async fn detach_with_a_missing_secret_uses_what_the_attachment_had() {
    let setup = Setup::new();
    setup.secret("secret", json!({"foo": "YmFy"}));
    setup.volume(json!({"spec": {"csi": with_secret("secret")}}));
    setup.attachment(json!({}));
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    setup.server.delete("Secret", "default", "secret").unwrap();
    setup.delete("VolumeAttachment", VA);
    setup.gone().await;
    assert_eq!(setup.unpublished()[0].secrets["foo"], "bar");
}

/// Upstream's patches after a slow Unpublish have no time left, and the driver is called again.
#[tokio::test(start_paused = true)]
async fn writes_after_a_slow_driver_have_their_own_time() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    setup.driver.script::<ControllerUnpublishVolumeRequest>([Step::late(Duration::from_millis(14_999))]);
    let _sidecar = setup.start(&["--kube-api-qps=0.1", "--kube-api-burst=1"]);
    setup.gone().await;
    assert_eq!((setup.unpublished().len(), setup.detach_error()), (1, String::new()));
}

/// A status that our cache does not show is cleared all the same.
#[tokio::test(start_paused = true)]
async fn an_error_of_an_earlier_try_does_not_stay_on_an_attached_va() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({"status": {"attached": false, "attachError": {"message": "old", "time": "2026-01-02T03:04:05Z"}}}));
    setup.driver.script::<ControllerPublishVolumeRequest>([Step::edit(
        |answer: &mut ControllerPublishVolumeResponse| answer.publish_context.clear(),
    )]);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    assert_eq!(setup.va()["status"], json!({"attached": true}));
}

/// The same object is never acted on in a state older than our own writes, even if the watch stalls.
#[tokio::test(start_paused = true)]
async fn nothing_is_done_twice_while_the_watch_lags() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let _sidecar = setup.start(&["--resync=5s"]);
    settle().await;
    setup.attachment(json!({}));
    setup.until("asked", || !setup.published().is_empty()).await;
    blind(&setup);
    pass(100).await;
    assert_eq!(setup.published().len(), 1);
    assert!(is_attached(&setup.va()));
}
