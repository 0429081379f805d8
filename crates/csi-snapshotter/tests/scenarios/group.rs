//! Rows G of the sheet's section 11 that need a driver or an API server: contents of groups of snapshots.

use std::time::Duration;

use csi_client::csi::{
    CreateVolumeGroupSnapshotRequest, CreateVolumeGroupSnapshotResponse, DeleteVolumeGroupSnapshotRequest,
    GetVolumeGroupSnapshotRequest, GetVolumeGroupSnapshotResponse,
};
use serde_json::{Value, json};
use snapshot_api::names::annotations;
use testkit::api::Failure;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{
    CUT, FOREIGN, GF, GIB, GROUP_BEING_CREATED, GROUP_BEING_DELETED, Setup, VGSC, VOLUME, both, given_group,
    has_annotation, pass, settle,
};

fn created(setup: &Setup) -> Vec<CreateVolumeGroupSnapshotRequest> {
    setup.driver.requests()
}

fn deleted(setup: &Setup) -> Vec<DeleteVolumeGroupSnapshotRequest> {
    setup.driver.requests()
}

fn looked(setup: &Setup) -> Vec<GetVolumeGroupSnapshotRequest> {
    setup.driver.requests()
}

/// A group that is no longer wanted, and which somebody else holds too, `fields` on top.
fn unwanted(fields: Value) -> Value {
    let going = json!({"metadata": {
        "finalizers": [FOREIGN, GF], "annotations": {GROUP_BEING_DELETED: "yes"}, "deletionTimestamp": "now",
    }});
    both(going, fields)
}

fn secret(name: &str, namespace: &str) -> Value {
    json!({"metadata": {"annotations": {
        annotations::GROUP_SECRET_NAME: name, annotations::GROUP_SECRET_NAMESPACE: namespace,
    }}})
}

fn not_ready() -> Step {
    Step::edit(|answer: &mut CreateVolumeGroupSnapshotResponse| {
        answer.group_snapshot.as_mut().unwrap().ready_to_use = false;
    })
}

#[tokio::test(start_paused = true)]
async fn group_create_ok_uuid_length_all() {
    let setup = Setup::new();
    setup.secret("secret");
    setup.create(json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
        "metadata": {"name": "with-parameters"}, "driver": "mock", "deletionPolicy": "Delete",
        "parameters": {
            "param1": "value1", "csi.storage.k8s.io/group-snapshotter-secret-name": "x",
            "csi.storage.k8s.io/group-snapshotter-secret-namespace": "y",
        },
    }));
    let fields = json!({"spec": {"volumeGroupSnapshotClassName": "with-parameters"}});
    setup.group("group", both(secret("secret", "default"), fields));
    let _sidecar = setup.start(&[]);
    setup.ready(VGSC, "group").await;
    let [request] = created(&setup).try_into().unwrap();
    assert_eq!(request.name, "groupsnapshot-snapuid-group");
    assert_eq!(request.source_volume_ids, [VOLUME, "volume-handle2"]);
    let (parameters, secrets): (Vec<_>, Vec<_>) =
        (request.parameters.into_iter().collect(), request.secrets.into_iter().collect());
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        parameters,
        [
            pair("csi.storage.k8s.io/volumegroupsnapshot/name", "snap-group"),
            pair("csi.storage.k8s.io/volumegroupsnapshot/namespace", "default"),
            pair("csi.storage.k8s.io/volumegroupsnapshotcontent/name", "group"),
            pair("param1", "value1"),
        ]
    );
    assert_eq!(secrets, [pair("foo", "bar")]);
    let group = setup.vgsc("group");
    assert_eq!(group["status"]["creationTime"], "2023-11-14T22:13:20Z");
    let handle = group["status"]["volumeGroupSnapshotHandle"].as_str().unwrap();
    assert!(setup.driver.groups().contains_key(handle));
    let members = group["status"]["volumeSnapshotInfoList"].as_array().unwrap().clone();
    for (member, volume) in members.iter().zip([VOLUME, "volume-handle2"]) {
        assert_eq!(member["volumeHandle"], volume);
        assert_eq!((member["creationTime"].as_i64(), member["restoreSize"].as_i64()), (Some(CUT), Some(GIB)));
        assert!(setup.driver.snapshots().contains_key(member["snapshotHandle"].as_str().unwrap()));
        assert_eq!(member["readyToUse"], true);
    }
    assert!(!has_annotation(&group, GROUP_BEING_CREATED));
    assert_eq!(setup.events("group"), []);
}

#[tokio::test(start_paused = true)]
async fn group_create_without_a_class() {
    let setup = Setup::new();
    setup.group("group", json!({"spec": {"volumeGroupSnapshotClassName": null}}));
    setup.group("late", json!({"spec": {"volumeGroupSnapshotClassName": "late"}}));
    let _sidecar = setup.start(&[]);
    setup.failed(VGSC, "group").await;
    setup.failed(VGSC, "late").await;
    settle().await;
    let inputs = "Failed to create group snapshot: failed to get input parameters to create group snapshot for group \
                  snapshot content";
    assert_eq!(
        setup.error(VGSC, "group"),
        format!("{inputs} group: \"failed to take group snapshot group without a group snapshot class\"")
    );
    assert_eq!(
        setup.error(VGSC, "late"),
        format!(
            "{inputs} late: \"volumegroupsnapshotclass.groupsnapshot.storage.k8s.io \\\"late\\\" not found\""
        )
    );
    assert_eq!(setup.reasons("group"), ["GroupSnapshotCreationFailed"]);
    assert!(created(&setup).is_empty());
}

#[tokio::test(start_paused = true)]
async fn group_credentials_empty_name_and_empty_namespace() {
    for (name, namespace) in [("", "default"), ("secret", "")] {
        let setup = Setup::new();
        setup.group("group", secret(name, namespace));
        let _sidecar = setup.start(&[]);
        setup.failed(VGSC, "group").await;
        assert!(setup.error(VGSC, "group").ends_with(
            "\"cannot retrieve secrets for group snapshot content \\\"group\\\", err: secret name or namespace not \
             specified\""
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn create_group_snapshot_with_driver_error() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>([Step::fail(Code::Unavailable, "mock")]);
    setup.group("group", json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.failed(VGSC, "group").await;
    assert_eq!(
        setup.error(VGSC, "group"),
        format!(
            "Failed to create group snapshot: failed to take group snapshot of the volumes [{VOLUME} volume-handle2]: \
             \"rpc error: code = Unavailable desc = mock\""
        )
    );
    assert!(has_annotation(&setup.vgsc("group"), GROUP_BEING_CREATED));
    setup.ready(VGSC, "group").await;
    assert_eq!((created(&setup).len(), setup.error(VGSC, "group")), (2, String::new()));
    assert_eq!(setup.reasons("group"), ["GroupSnapshotCreationFailed"]);
}

#[tokio::test(start_paused = true)]
async fn create_invalid_argument_annotation_removed() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>([Step::fail(Code::InvalidArgument, "mock")]);
    setup.group("group", json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.failed(VGSC, "group").await;
    assert!(!has_annotation(&setup.vgsc("group"), GROUP_BEING_CREATED));
    setup.ready(VGSC, "group").await;
}

#[tokio::test(start_paused = true)]
async fn create_not_ready_is_asked_again_until_it_is() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>([not_ready()]);
    let unready = Step::edit(|answer: &mut GetVolumeGroupSnapshotResponse| {
        answer.group_snapshot.as_mut().unwrap().ready_to_use = false;
    });
    setup
        .driver
        .script::<GetVolumeGroupSnapshotRequest>([unready, Step::fail(Code::Internal, "cannot tell")]);
    setup.group("group", json!({}));
    let _sidecar = setup.start(&[]);
    setup.ready(VGSC, "group").await;
    // Taken, not ready; looked at, not ready; looked at in vain and so asked as upstream asks.
    assert_eq!((created(&setup).len(), looked(&setup).len()), (2, 2));
    assert!(!has_annotation(&setup.vgsc("group"), GROUP_BEING_CREATED));
    assert_eq!(setup.events("group"), []);
}

/// 13.8: what the driver says about the members later is in the list too.
#[tokio::test(start_paused = true)]
async fn members_are_refreshed() {
    let setup = Setup::slow(Duration::from_secs(100));
    setup.group("group", json!({}));
    let _sidecar = setup.start(&[]);
    pass(50).await;
    let ready = |setup: &Setup| -> Vec<bool> {
        let members = setup.vgsc("group")["status"]["volumeSnapshotInfoList"].clone();
        members.as_array().unwrap().iter().map(|member| member["readyToUse"] == true).collect()
    };
    assert_eq!(ready(&setup), [false, false]);
    setup.ready(VGSC, "group").await;
    assert_eq!(ready(&setup), [true, true]);
}

// ---- groups that were there before their contents ----

fn with_group(setup: &Setup) -> (String, Vec<String>) {
    let group = setup.driver.groups().into_keys().next().unwrap();
    (group, setup.driver.snapshots().into_keys().collect())
}

/// A backend with a group in it, whose content has been forgotten.
async fn existing() -> (Setup, Value) {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    setup.group("first", json!({"spec": {"deletionPolicy": "Retain"}}));
    setup.ready(VGSC, "first").await;
    setup.unwanted(VGSC, "first");
    setup.gone(VGSC, "first").await;
    drop(sidecar);
    let (group, snapshots) = with_group(&setup);
    let snapshots: Vec<_> = snapshots.iter().map(String::as_str).collect();
    let fields = given_group(&group, &snapshots);
    setup.server.forget_calls();
    (setup, fields)
}

#[tokio::test(start_paused = true)]
async fn group_get_ok_not_ready_and_error() {
    let (setup, given) = existing().await;
    let unready = Step::edit(|answer: &mut GetVolumeGroupSnapshotResponse| {
        answer.group_snapshot.as_mut().unwrap().ready_to_use = false;
    });
    let empty = Step::edit(|answer: &mut GetVolumeGroupSnapshotResponse| answer.group_snapshot = None);
    let steps = [Step::fail(Code::NotFound, "mock"), empty, unready];
    setup.driver.script::<GetVolumeGroupSnapshotRequest>(steps);
    setup.group("group", given.clone());
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.failed(VGSC, "group").await;
    assert_eq!(
        setup.error(VGSC, "group"),
        "Failed to check and update group snapshot content: failed to list group snapshot for group snapshot content \
         group: \"rpc error: code = NotFound desc = mock\""
    );
    setup.ready(VGSC, "group").await;
    assert_eq!((looked(&setup).len(), created(&setup).len()), (4, 1));
    let status = setup.vgsc("group")["status"].clone();
    assert_eq!(status["creationTime"], "2023-11-14T22:13:20Z");
    assert!(
        status.get("volumeSnapshotInfoList").is_none(),
        "the controller would make contents for its entries"
    );
    assert_eq!(setup.reasons("group"), ["GroupSnapshotContentCheckandUpdateFailed"; 2]);
    // 13.8: upstream writes the empty list at every look.
    assert_eq!(setup.writes(), 3 + 1, "{:?}", setup.calls());
    setup.unwanted(VGSC, "group");
    setup.gone(VGSC, "group").await;
    assert_eq!(deleted(&setup).len(), 1);
    assert!(setup.driver.groups().is_empty() && setup.driver.snapshots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn group_get_with_secret() {
    let (setup, given) = existing().await;
    setup.secret("get-group");
    setup.create(json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
        "metadata": {"name": "getting"}, "driver": "mock", "deletionPolicy": "Delete",
        "parameters": {
            "csi.storage.k8s.io/group-snapshotter-get-secret-name": "get-${volumegroupsnapshotcontent.name}",
            "csi.storage.k8s.io/group-snapshotter-get-secret-namespace": "default",
        },
    }));
    setup.group("group", both(given, json!({"spec": {"volumeGroupSnapshotClassName": "getting"}})));
    let _sidecar = setup.start(&[]);
    setup.ready(VGSC, "group").await;
    assert_eq!(looked(&setup)[0].secrets.get("foo").map(String::as_str), Some("bar"));
}

// ---- deletion ----

#[tokio::test(start_paused = true)]
async fn retain_and_being_deleted_finalizer_removed() {
    let setup = Setup::new();
    let status = json!({"volumeGroupSnapshotHandle": "group", "readyToUse": true});
    let fields = json!({"spec": {"deletionPolicy": "Retain"}, "status": status});
    setup.group("group", unwanted(fields));
    let _sidecar = setup.start(&[]);
    settle().await;
    let left = setup.vgsc("group");
    assert_eq!(left["metadata"]["finalizers"], json!([FOREIGN]));
    assert_eq!(left["status"], status);
    assert!(deleted(&setup).is_empty());
}

#[tokio::test(start_paused = true)]
async fn ready_and_being_created_annotation_removed() {
    let setup = Setup::new();
    let annotated = json!({"metadata": {"annotations": {GROUP_BEING_CREATED: "yes"}}});
    setup.group("group", both(annotated, json!({"status": {"readyToUse": true}})));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(!has_annotation(&setup.vgsc("group"), GROUP_BEING_CREATED));
    assert!(created(&setup).is_empty() && setup.writes() == 1);
}

#[tokio::test(start_paused = true)]
async fn group_delete_driver_error_passed_through() {
    let setup = Setup::new();
    setup.group("group", json!({}));
    let _sidecar = setup.start(&[]);
    setup.ready(VGSC, "group").await;
    setup.driver.script::<DeleteVolumeGroupSnapshotRequest>([Step::fail(Code::Internal, "mock")]);
    setup.unwanted(VGSC, "group");
    setup.failed(VGSC, "group").await;
    assert_eq!(
        setup.error(VGSC, "group"),
        "Failed to delete group snapshot: rpc error: code = Internal desc = mock"
    );
    setup.gone(VGSC, "group").await;
    assert_eq!(
        setup.events("group"),
        [("GroupSnapshotDeleteError".to_owned(), "Failed to delete group snapshot".to_owned())]
    );
    let [first, second] = deleted(&setup).try_into().unwrap();
    assert_eq!(first, second);
    assert_eq!(first.snapshot_ids.len(), 2);
    assert!(setup.driver.groups().is_empty() && setup.driver.snapshots().is_empty());
}

/// Row G-DE: what fails after a deletion is tried again, and the group is not deleted a second time.
#[tokio::test(start_paused = true)]
async fn delete_success_clears_handle_error_of_inline_re_sync_is_propagated() {
    let setup = Setup::new();
    setup.group("group", json!({"metadata": {"finalizers": [FOREIGN, GF]}}));
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.ready(VGSC, "group").await;
    let refused = Failure::internal("mock");
    setup.server.fail_next("patch", "volumegroupsnapshotcontents", 1, &refused);
    setup.unwanted(VGSC, "group");
    pass(5).await;
    let left = setup.vgsc("group");
    assert!(left["status"].get("volumeGroupSnapshotHandle").is_none(), "{left}");
    assert_eq!(left["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    settle().await;
    assert_eq!(setup.vgsc("group")["metadata"]["finalizers"], json!([FOREIGN]));
    assert_eq!(deleted(&setup).len(), 1);
}

/// 13.3 and row G-DE: a status that cannot be emptied is an event, and the content stays.
#[tokio::test(start_paused = true)]
async fn delete_success_clear_fails() {
    let setup = Setup::new();
    setup.group("group", json!({"metadata": {"finalizers": [FOREIGN, GF]}}));
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.ready(VGSC, "group").await;
    let refused = Failure::internal("mock");
    setup.server.fail_next("patch", "volumegroupsnapshotcontents/status", 1, &refused);
    setup.unwanted(VGSC, "group");
    settle().await;
    assert_eq!(
        setup.events("group"),
        [("GroupSnapshotDeleteError".to_owned(), "Failed to clear content status".to_owned())]
    );
    let left = setup.vgsc("group");
    assert_eq!(left["metadata"]["finalizers"], json!([FOREIGN]));
    assert!(left["status"].get("volumeGroupSnapshotHandle").is_none(), "{left}");
}

#[tokio::test(start_paused = true)]
async fn group_delete_no_ids() {
    let setup = Setup::new();
    let status = json!({"status": {"volumeGroupSnapshotHandle": "group", "readyToUse": true}});
    setup.group("group", unwanted(status));
    let _sidecar = setup.start(&[]);
    setup.failed(VGSC, "group").await;
    assert!(
        setup.error(VGSC, "group").ends_with(
            "cannot delete group snapshot content group. No snapshots found in the group snapshot"
        )
    );
    assert!(deleted(&setup).is_empty());
}

/// A crash after the call and before anything was written down: the same call again, the same group.
#[tokio::test(start_paused = true)]
async fn a_crash_while_a_group_is_taken() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeGroupSnapshotRequest>([Step::HangAfter]);
    setup.group("group", json!({}));
    let first = setup.start(&[]);
    setup.until("it is taken", || !setup.driver.groups().is_empty()).await;
    drop(first);
    pass(1).await;
    setup.unwanted(VGSC, "group");
    let _second = setup.start(&[]);
    setup.gone(VGSC, "group").await;
    assert!(setup.driver.groups().is_empty() && setup.driver.snapshots().is_empty());
    assert_eq!((created(&setup).len(), deleted(&setup).len()), (2, 1));
}
