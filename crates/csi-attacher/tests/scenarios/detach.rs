//! The sheet's table 11.2. Where nothing else holds the attachment, it is gone with our finalizer and its status is
//! written no more, which saves a call that upstream sees answered 404.

use std::time::Duration;

use csi_client::csi::ControllerUnpublishVolumeRequest;
use serde_json::{Value, json};
use testkit::driver::{DriverConfig, Step};
use tonic::Code;

use crate::attach::{GCE, gce, with_secret};
use crate::setup::{
    ABLE, DRIVER, F, NODE_ID, Setup, both, detach_failed, detaching, inline, released, settle,
};

fn without_node() -> Setup {
    Setup::bare(DriverConfig { name: DRIVER.into(), controller: ABLE.into(), ..DriverConfig::default() })
}

/// Detaches with one patch and one call, which is returned.
async fn detaches(setup: &Setup) -> ControllerUnpublishVolumeRequest {
    let _sidecar = setup.start(&[]);
    setup.gone().await;
    assert_eq!(setup.actions(), [released()]);
    let mut calls = setup.unpublished();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

#[tokio::test(start_paused = true)]
async fn finalizer_attached() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    let call = detaches(&setup).await;
    assert_eq!((call.volume_id.as_str(), call.node_id.as_str()), ("handle1", "nodeID1"));
}

/// Somebody else's finalizer keeps the object, whose status is then brought up to date.
#[tokio::test(start_paused = true)]
async fn finalizer_attached_and_held_by_another() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let status = json!({"attached": true, "attachmentMetadata": {"a": "b"}});
    setup.attachment(detaching(json!({"metadata": {"finalizers": [F, "x/y"]}, "status": status})));
    let _sidecar = setup.start(&[]);
    setup.until("detached", || setup.va()["status"] == json!({"attached": false})).await;
    settle().await;
    let status = json!({"status": {"attached": false, "attachmentMetadata": null, "detachError": null}});
    assert_eq!(setup.actions(), [released(), format!("S {status}")]);
    assert_eq!(setup.unpublished().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn inline_spec() {
    let setup = Setup::new();
    setup.attachment(both(detaching(json!({})), inline(json!({}))));
    assert_eq!(detaches(&setup).await.volume_id, "handle1");
}

#[tokio::test(start_paused = true)]
async fn secret_or_empty_secret_no_csinode_annotation_present() {
    for inlined in [false, true] {
        for (data, expected) in [(json!({"foo": "YmFy"}), 1), (json!({}), 0)] {
            let setup = without_node();
            setup.secret("secret", data);
            let fields = detaching(json!({}));
            if inlined {
                setup.attachment(both(fields, inline(with_secret("secret"))));
            } else {
                setup.volume(json!({"spec": {"csi": with_secret("secret")}}));
                setup.attachment(fields);
            }
            let _sidecar = setup.start(&[]);
            setup.gone().await;
            assert_eq!(setup.actions(), ["G".to_owned(), released()]);
            let calls = setup.unpublished();
            assert_eq!((calls[0].secrets.len(), calls[0].node_id.as_str()), (expected, "nodeID1"));
        }
    }
}

/// Nothing is asked of the driver, and all that is written is why.
async fn refused(setup: &Setup, before: &[&str], message: &str) {
    let _sidecar = setup.start(&["--retry-interval-start=1h"]);
    setup.until("failed", || !setup.detach_error().is_empty()).await;
    settle().await;
    let mut expected: Vec<String> = before.iter().map(|action| (*action).to_owned()).collect();
    expected.push(detach_failed(message));
    assert_eq!(setup.actions(), expected);
    assert!(setup.unpublished().is_empty());
}

#[tokio::test(start_paused = true)]
async fn secret_missing() {
    let setup = Setup::new();
    setup.volume(json!({"spec": {"csi": with_secret("unknownSecret")}}));
    setup.attachment(detaching(json!({})));
    let message = "failed to load secret \"default/unknownSecret\": secrets \"unknownSecret\" not found";
    refused(&setup, &["G!404"], message).await;
}

async fn fails_once(step: Step, arguments: &[&str], message: &str) {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    setup.driver.script::<ControllerUnpublishVolumeRequest>([step]);
    let _sidecar = setup.start(arguments);
    setup.gone().await;
    assert_eq!(setup.actions(), [detach_failed(message), released()]);
    assert_eq!(setup.unpublished().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unpublish_fails_once() {
    let message = "rpc error: code = Internal desc = mock error";
    fails_once(Step::fail(Code::Internal, "mock error"), &[], message).await;
}

#[tokio::test(start_paused = true)]
async fn unpublish_exceeds_deadline_once() {
    let message = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    let late = Step::Late(Duration::from_millis(50), Box::new(Step::fail(Code::Internal, "late")));
    fails_once(late, &["--timeout=10ms"], message).await;
}

#[tokio::test(start_paused = true)]
async fn no_finalizer_not_attached() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let fields = json!({"metadata": {"finalizers": ["x/y"]}, "status": {"attached": false}});
    setup.attachment(both(detaching(json!({})), fields));
    let _sidecar = setup.start(&["--resync=10s"]);
    settle().await;
    assert_eq!((setup.actions(), setup.unpublished().len()), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn pv_unknown_repeated_on_each_retry() {
    let setup = Setup::new();
    setup.attachment(detaching(json!({})));
    let _sidecar = setup.start(&[]);
    setup.until("tried thrice", || setup.actions().len() == 3).await;
    assert_eq!(setup.actions(), vec![detach_failed("persistentvolume \"pv1\" not found"); 3]);
    assert!(setup.unpublished().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pv_unknown_and_saving_fails_twice() {
    let setup = Setup::new();
    setup.attachment(detaching(json!({})));
    setup.refuse("volumeattachments/status", 2);
    let _sidecar = setup.start(&[]);
    setup.until("saved", || !setup.detach_error().is_empty()).await;
    let saved = detach_failed("persistentvolume \"pv1\" not found");
    let refused = saved.replacen('S', "S!403", 1);
    assert_eq!(setup.actions(), [refused.clone(), refused, saved]);
}

#[tokio::test(start_paused = true)]
async fn both_sources() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let named = json!({"spec": {"source": {"persistentVolumeName": "pv1"}}});
    setup.attachment(both(both(detaching(json!({})), inline(json!({}))), named));
    let message = "both InlineCSIVolumeSource and PersistentVolumeName specified in VA source";
    refused(&setup, &[], message).await;
}

#[tokio::test(start_paused = true)]
async fn no_csinode_no_annotation() {
    let setup = without_node();
    setup.volume(json!({}));
    setup.attachment(both(detaching(json!({})), json!({"metadata": {"annotations": null}})));
    refused(&setup, &[], "csinode.storage.k8s.io \"node1\" not found").await;
}

#[tokio::test(start_paused = true)]
async fn no_csinode_annotation() {
    let setup = without_node();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"metadata": {"annotations": {NODE_ID: "annotatedNodeID"}}})));
    assert_eq!(detaches(&setup).await.node_id, "annotatedNodeID");
}

#[tokio::test(start_paused = true)]
async fn finalizer_removal_patch_fails_once() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({})));
    setup.refuse("volumeattachments", 1);
    let _sidecar = setup.start(&[]);
    setup.gone().await;
    let message = "could not mark as detached: volumeattachments.storage.k8s.io \"pv1-node1\" is forbidden: \
                   Mock error";
    let refused = released().replacen('P', "P!403", 1);
    assert_eq!(setup.actions(), [refused, detach_failed(message), released()]);
    assert_eq!(setup.unpublished().len(), 2);
}

/// "Not tested upstream": NotFound of the driver is an error like any other.
#[tokio::test(start_paused = true)]
async fn unpublish_not_found_is_retried() {
    let message = "rpc error: code = NotFound desc = no such volume";
    fails_once(Step::fail(Code::NotFound, "no such volume"), &[], message).await;
}

#[tokio::test(start_paused = true)]
async fn secrets_are_passed_on() {
    let setup = Setup::new();
    setup.secret("secret", json!({"foo": "YmFy"}));
    setup.volume(json!({"spec": {"csi": with_secret("secret")}}));
    setup.attachment(detaching(json!({})));
    let _sidecar = setup.start(&[]);
    setup.gone().await;
    assert_eq!(setup.unpublished()[0].secrets["foo"], "bar");
    assert_eq!(setup.va(), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn gce_in_tree_pv() {
    let setup = gce(&ABLE);
    let finalizer = json!({"finalizers": ["external-attacher/pd-csi-storage-gke-io"]});
    setup.attachment(detaching(json!({"metadata": finalizer, "spec": {"attacher": GCE}})));
    let _sidecar = setup.start(&[]);
    setup.gone().await;
    assert_eq!(setup.actions(), [released()]);
    assert_eq!(setup.unpublished()[0].volume_id, "projects/UNSPECIFIED/zones/testZone/disks/testpd");
}
