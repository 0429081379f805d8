//! Rows D1 of the sheet's section 11: contents whose snapshot is no longer wanted.

use csi_client::csi::DeleteSnapshotRequest;
use serde_json::{Value, json};
use testkit::api::Failure;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{
    FOREIGN, GIB, Setup, VOLUME, VSC, both, given, pass, secret_annotations, settle, unwanted,
};

/// The status of a content whose snapshot is there and ready.
fn ready(handle: &str) -> Value {
    json!({"status": {"snapshotHandle": handle, "readyToUse": true, "creationTime": 5, "restoreSize": 7}})
}

/// A sidecar beside the content, which is let go but held by somebody else too.
async fn played(setup: &Setup, fields: Value) -> Value {
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    setup.content("content", fields);
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.vsc("content")
}

fn assert_released(content: &Value) {
    assert_eq!(content["metadata"]["finalizers"], json!([FOREIGN]), "{content}");
}

fn assert_cleared(content: &Value) {
    assert_released(content);
    assert_eq!(content["status"], json!({}), "{content}");
}

fn deletion(secrets: &[(&str, &str)]) -> DeleteSnapshotRequest {
    let secrets = secrets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    DeleteSnapshotRequest { snapshot_id: "sid".into(), secrets: secrets.collect() }
}

#[tokio::test(start_paused = true)]
async fn delete_policy_being_deleted_and_deletion_timestamp_handle_set() {
    let setup = Setup::new();
    let content = played(&setup, unwanted(ready("sid"))).await;
    assert_eq!(setup.deleted(), [deletion(&[])]);
    assert_cleared(&content);
    assert_eq!(setup.events("content"), []);
    assert!(setup.driver.snapshots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn retain_policy() {
    let setup = Setup::new();
    let retain = json!({"spec": {"deletionPolicy": "Retain"}});
    let content = played(&setup, unwanted(both(ready("sid"), retain))).await;
    assert_released(&content);
    assert_eq!(content["status"], ready("sid")["status"]);
    assert!(setup.deleted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn driver_delete_error() {
    let setup = Setup::new();
    setup.driver.always::<DeleteSnapshotRequest>(Step::fail(Code::Internal, "mock delete error"));
    let content = played(&setup, unwanted(ready("sid"))).await;
    assert_eq!(content["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    assert_eq!(
        setup.events("content"),
        [("SnapshotDeleteError".to_owned(), "Failed to delete snapshot".to_owned())]
    );
    // 13.12: why, for who looks at the object.
    assert_eq!(
        setup.error(VSC, "content"),
        "Failed to delete snapshot: failed to delete snapshot content content: \"rpc error: code = Internal desc = mock \
         delete error\""
    );
    assert_eq!(content["status"]["readyToUse"], true, "it may still be usable");
    let (calls, writes) = (setup.deleted().len(), setup.writes());
    assert!((4..=6).contains(&calls), "{calls} calls in half a minute");
    assert_eq!(writes, 1, "the same error again is not written again");
}

#[tokio::test(start_paused = true)]
async fn invalid_class_secret_reads_failing_delete_errors() {
    let setup = Setup::new();
    setup.driver.always::<DeleteSnapshotRequest>(Step::fail(Code::Internal, "mock delete error"));
    let fields = json!({"spec": {"volumeSnapshotClassName": "invalid"}});
    let fields = both(ready("sid"), both(fields, secret_annotations("missing", "default")));
    let content = played(&setup, unwanted(fields)).await;
    assert_eq!(content["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    for field in ["snapshotHandle", "readyToUse", "creationTime", "restoreSize"] {
        assert_eq!(content["status"][field], ready("sid")["status"][field]);
    }
    assert!(setup.deleted().is_empty());
    assert_eq!(
        setup.events("content"),
        [("SnapshotDeleteError".to_owned(), "Failed to get snapshot credentials".to_owned())]
    );
    assert!(setup.error(VSC, "content").ends_with("cannot get credentials for snapshot content \"content\""));
}

#[tokio::test(start_paused = true)]
async fn ready_unknown_pre_provisioned_content_vanished_between_query_and_status_write() {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    setup
        .driver
        .script::<csi_client::csi::ListSnapshotsRequest>([Step::late(std::time::Duration::from_secs(5))]);
    setup.content("content", both(given("sid"), json!({"metadata": {"finalizers": null}})));
    let _sidecar = setup.start(&[]);
    setup.until("it is asked", || setup.listed().len() == 1).await;
    setup.server.delete(VSC, "", "content").unwrap();
    settle().await;
    assert!(setup.vsc("content").is_null(), "nothing recreated");
    assert_eq!((setup.listed().len(), setup.events("content").len()), (1, 0));
    assert_eq!(setup.calls(), ["patch volumesnapshotcontents/status -> 404"]);
}

#[tokio::test(start_paused = true)]
async fn ready_content_without_or_with_ref_uid_no_deletion_timestamp() {
    for reference in [json!({"uid": null}), json!({})] {
        let setup = Setup::new();
        let fields = both(given("sid"), json!({"spec": {"volumeSnapshotRef": reference}}));
        let content = played(&setup, both(fields, ready("sid"))).await;
        assert_eq!(content["status"], ready("sid")["status"]);
        assert!(setup.calls().is_empty() && setup.deleted().is_empty() && setup.listed().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn class_has_a_secret_that_does_not_exist_but_content_has_no_secret_annotation() {
    let setup = Setup::new();
    setup.class(json!({"metadata": {"name": "with-secret"}, "parameters": {
        "csi.storage.k8s.io/snapshotter-secret-name": "missing",
        "csi.storage.k8s.io/snapshotter-secret-namespace": "default",
    }}));
    let fields = json!({"spec": {"volumeSnapshotClassName": "with-secret"}});
    let content = played(&setup, unwanted(both(ready("sid"), fields))).await;
    assert_eq!(setup.deleted(), [deletion(&[])]);
    assert_cleared(&content);
}

#[tokio::test(start_paused = true)]
async fn retain_dynamic_and_pre_provisioned() {
    for source in [json!({}), given("sid")] {
        let setup = Setup::new();
        let retain = both(source, json!({"spec": {"deletionPolicy": "Retain"}}));
        let content = played(&setup, unwanted(both(ready("sid"), retain))).await;
        assert_released(&content);
        assert_eq!(content["status"], ready("sid")["status"]);
        assert!(setup.deleted().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn delete_dynamic_and_pre_provisioned() {
    for source in [json!({}), given("sid")] {
        let setup = Setup::new();
        let content = played(&setup, unwanted(both(source, ready("sid")))).await;
        assert_eq!(setup.deleted(), [deletion(&[])]);
        assert_cleared(&content);
    }
}

#[tokio::test(start_paused = true)]
async fn no_class_at_all() {
    for source in [json!({}), given("sid")] {
        let setup = Setup::new();
        let fields = both(source, json!({"spec": {"volumeSnapshotClassName": null}}));
        let content = played(&setup, unwanted(both(ready("sid"), fields))).await;
        assert_eq!(setup.deleted(), [deletion(&[])]);
        assert_cleared(&content);
    }
}

#[tokio::test(start_paused = true)]
async fn status_volume_group_snapshot_handle_set_delete_policy() {
    for source in [json!({}), given("sid")] {
        let setup = Setup::new();
        let member = json!({"status": {"volumeGroupSnapshotHandle": "group"}});
        let fields = both(both(source, ready("sid")), member);
        let content = played(&setup, unwanted(fields.clone())).await;
        assert_released(&content);
        assert_eq!(content["status"], fields["status"]);
        assert!(setup.deleted().is_empty(), "it goes with its group");
    }
}

// ---- row DS, and what section 13 adds ----

#[tokio::test(start_paused = true)]
async fn delete_snapshot_client_secrets() {
    let setup = Setup::new();
    setup.secret("secret");
    let fields = both(ready("sid"), secret_annotations("secret", "default"));
    let content = played(&setup, unwanted(fields)).await;
    assert_eq!(setup.deleted(), [deletion(&[("foo", "bar")])]);
    assert_cleared(&content);
}

/// A content that a user deletes while its snapshot lives stays, and so does the snapshot.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_wanted_is_not_deleted() {
    let setup = Setup::new();
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
    setup.server.delete(VSC, "", "content").unwrap();
    pass(3600).await;
    assert!(setup.deleted().is_empty() && setup.driver.snapshots().len() == 1);
    setup.patch(VSC, "content", &json!({"metadata": {"annotations": {crate::setup::BEING_DELETED: "yes"}}}));
    setup.gone(VSC, "content").await;
    assert!(setup.driver.snapshots().is_empty());
}

/// A snapshot that takes long can be deleted before it is ready: its handle is known and no call is open.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_not_ready_can_be_deleted() {
    let setup = Setup::slow(std::time::Duration::from_secs(7200));
    let _sidecar = setup.start(&[]);
    setup.content("content", json!({}));
    pass(600).await;
    let calls = setup.created().len();
    setup.unwanted(VSC, "content");
    pass(1).await;
    assert!(setup.vsc("content").is_null());
    assert!(setup.driver.snapshots().is_empty());
    assert_eq!((setup.created().len(), setup.deleted().len()), (calls, 1));
}

/// A content that was made by hand and never bound goes at once, with nobody's mark.
#[tokio::test(start_paused = true)]
async fn an_unbound_content_goes_when_it_is_deleted() {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    let fields = json!({"metadata": {"annotations": null}, "spec": {"volumeSnapshotRef": {"uid": null}}});
    let _sidecar = setup.start(&[]);
    setup.content("content", both(given("sid"), fields));
    setup.ready(VSC, "content").await;
    setup.server.delete(VSC, "", "content").unwrap();
    setup.gone(VSC, "content").await;
    assert_eq!(setup.deleted(), [deletion(&[])]);
}

/// A content without our finalizer goes with the last one on it, behind our back, and another may get its name and its
/// snapshot. That is not deleted because of the first.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_another_content_of_the_same_name_has_is_not_deleted() {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    let unheld = json!({"metadata": {"finalizers": [FOREIGN]}});
    let first = both(both(given("sid"), ready("sid")), both(unwanted(json!({})), unheld.clone()));
    setup.secret("secret");
    setup.content("content", both(first, secret_annotations("secret", "default")));
    // The secret is read for two seconds. Meanwhile the one content goes and the other comes.
    let late = Failure::too_many_requests(2);
    setup.server.fail_next("get", "secrets", 1, &late);
    let _sidecar = setup.start(&[]);
    setup
        .until("the secret is read", || setup.calls().iter().any(|call| call.starts_with("get secrets")))
        .await;
    setup.patch(VSC, "content", &json!({"metadata": {"finalizers": null}}));
    assert!(setup.vsc("content").is_null());
    setup.content("content", both(both(given("sid"), ready("sid")), unheld));
    settle().await;
    assert!(setup.deleted().is_empty());
    assert!(setup.driver.snapshots().contains_key("sid"));
}
