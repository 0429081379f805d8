//! Rows G-C, G-D, G-G, G-CC and DS of the sheet's section 11: the calls themselves, with contents that no reconcile would make
//! them for.

use std::time::Duration;

use csi_client::csi::{
    CreateVolumeGroupSnapshotRequest, DeleteSnapshotRequest, DeleteVolumeGroupSnapshotRequest,
    GetVolumeGroupSnapshotRequest, GetVolumeGroupSnapshotResponse,
};
use csi_client::{CallOptions, Connection, ConnectionSettings};
use csi_snapshotter::driver::{Calls, Capabilities, LookFailed, Pairs};
use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json};
use sidecar_core::objects::{GroupContent, Interest, Kind, Projected, SnapshotContent};
use testkit::driver::{ScriptedDriver, Step};
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{
    GIB, Setup, VGSC, VOLUME, VSC, able, content, given_group, group, has_annotation, settle,
};

const GROUPS: Capabilities = Capabilities { takes_snapshots: true, lists: true, gets: false, groups: true };

fn read<T: Kind>(mut object: Value, fields: &Value) -> T {
    merge(&mut object, fields);
    match Json.object(&serde_json::to_vec(&object).unwrap(), &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        other => panic!("not kept: {other:?}"),
    }
}

fn of_group(fields: &Value) -> GroupContent {
    read(group("group"), fields)
}

fn options() -> CallOptions {
    CallOptions::timeout(Duration::from_secs(60))
}

fn driver() -> (ScriptedDriver, Connection) {
    let driver = ScriptedDriver::new(able());
    driver.add_volume(VOLUME, GIB);
    driver.add_volume("volume-handle2", GIB);
    let connection = Connection::from_service(driver.service(), ConnectionSettings::default());
    (driver, connection)
}

fn status(handle: Option<&str>, members: &[&str]) -> Value {
    let members: Vec<_> =
        members.iter().map(|member| json!({"volumeHandle": "v", "snapshotHandle": member})).collect();
    json!({"status": {"volumeGroupSnapshotHandle": handle, "volumeSnapshotInfoList": members}})
}

#[tokio::test(start_paused = true)]
async fn group_create_driver_name_id_members_time_ready_mapped_rpc_error_returned_raw() {
    let (driver, connection) = driver();
    let request = || {
        let (parameters, secrets) = (Pairs::new(), Pairs::new());
        of_group(&json!({})).request("name".into(), parameters, secrets).unwrap()
    };
    let answer = GroupContent::take(&connection, request(), options()).await.unwrap();
    assert!(driver.groups().contains_key(&answer.handle) && answer.ready && answer.cut.is_some());
    assert_eq!(answer.members.len(), 2);
    assert_eq!(answer.members[0].volume, VOLUME);
    driver.script::<CreateVolumeGroupSnapshotRequest>([Step::fail(Code::NotFound, "mock")]);
    let failed = GroupContent::take(&connection, request(), options()).await.unwrap_err();
    assert_eq!(failed.text(), "rpc error: code = NotFound desc = mock");
    assert!(failed.is_final());
}

#[tokio::test(start_paused = true)]
async fn group_delete_no_ids_handle_from_status_from_spec_missing_driver_error() {
    let (driver, connection) = driver();
    let delete = async |content: GroupContent| content.delete(&connection, Pairs::new(), options()).await;
    assert_eq!(
        delete(of_group(&status(Some("g"), &[]))).await.unwrap_err(),
        "cannot delete group snapshot content group. No snapshots found in the group snapshot"
    );
    assert_eq!(delete(of_group(&status(Some("from-status"), &["a"]))).await, Ok(()));
    assert_eq!(delete(of_group(&given_group("from-spec", &["b"]))).await, Ok(()));
    assert_eq!(
        delete(of_group(&status(None, &["a"]))).await.unwrap_err(),
        "failed to delete group snapshot content group: groupsnapshotHandle is missing"
    );
    driver.script::<DeleteVolumeGroupSnapshotRequest>([Step::fail(Code::NotFound, "mock")]);
    assert_eq!(
        delete(of_group(&status(Some("g"), &["a"]))).await.unwrap_err(),
        "rpc error: code = NotFound desc = mock"
    );
    let requests = driver.requests::<DeleteVolumeGroupSnapshotRequest>();
    let asked: Vec<_> =
        requests.iter().map(|asked| (&*asked.group_snapshot_id, &*asked.snapshot_ids[0])).collect();
    assert_eq!(asked, [("from-status", "a"), ("from-spec", "b"), ("g", "a")]);
}

#[tokio::test(start_paused = true)]
async fn group_get_no_ids_handle_from_status_from_spec_missing_driver_error() {
    let (driver, connection) = driver();
    let look = async |content: GroupContent| {
        let looked = content.look(&connection, GROUPS, Pairs::new(), options()).await;
        looked.map_err(LookFailed::into_text)
    };
    assert_eq!(
        look(of_group(&status(Some("g"), &[]))).await.unwrap_err(),
        "cannot list group snapshot group. No snapshots found in the group snapshot content"
    );
    assert_eq!(
        look(of_group(&status(None, &["a"]))).await.unwrap_err(),
        "failed to list group snapshot for group snapshot content group: groupSnapshotHandle is missing"
    );
    let wrapped = "failed to list group snapshot for group snapshot content group: \"rpc error: code = NotFound desc = \
                   group snapshot not found\"";
    assert_eq!(look(of_group(&status(Some("from-status"), &["a"]))).await.unwrap_err(), wrapped);
    assert_eq!(look(of_group(&given_group("from-spec", &["b"]))).await.unwrap_err(), wrapped);
    let requests = driver.requests::<GetVolumeGroupSnapshotRequest>();
    let asked: Vec<_> =
        requests.iter().map(|asked| (&*asked.group_snapshot_id, &*asked.snapshot_ids[0])).collect();
    assert_eq!(asked, [("from-status", "a"), ("from-spec", "b")]);
}

/// Row G-CC.
#[tokio::test(start_paused = true)]
async fn group_get_ok_and_not_ready() {
    let (driver, connection) = driver();
    let request = of_group(&json!({})).request("name".into(), Pairs::new(), Pairs::new()).unwrap();
    let taken = GroupContent::take(&connection, request, options()).await.unwrap();
    let members: Vec<_> = taken.members.iter().map(|member| &*member.answer.handle).collect();
    let content = of_group(&status(Some(&taken.handle), &members));
    let look = async || content.look(&connection, GROUPS, Pairs::new(), options()).await.unwrap();
    assert_eq!(look().await, taken);
    driver.script::<GetVolumeGroupSnapshotRequest>([Step::edit(
        |answer: &mut GetVolumeGroupSnapshotResponse| {
            answer.group_snapshot.as_mut().unwrap().ready_to_use = false;
        },
    )]);
    assert!(!look().await.ready);
}

/// Row DS.
#[tokio::test(start_paused = true)]
async fn delete_snapshot_plain_secrets_errors() {
    let (driver, connection) = driver();
    let of = |fields: Value| read::<SnapshotContent>(content("content"), &fields);
    let known = || of(json!({"status": {"snapshotHandle": "sid"}}));
    let secrets: Pairs = [("foo".to_owned(), "bar".to_owned())].into();
    assert_eq!(known().delete(&connection, Pairs::new(), options()).await, Ok(()));
    assert_eq!(known().delete(&connection, secrets.clone(), options()).await, Ok(()));
    driver.script::<DeleteSnapshotRequest>([Step::fail(Code::NotFound, "mock")]);
    assert_eq!(
        known().delete(&connection, Pairs::new(), options()).await.unwrap_err(),
        "failed to delete snapshot content content: \"rpc error: code = NotFound desc = mock\""
    );
    assert_eq!(
        of(json!({})).delete(&connection, Pairs::new(), options()).await.unwrap_err(),
        "failed to delete snapshot content content: snapshotHandle is missing"
    );
    let asked = driver.requests::<DeleteSnapshotRequest>();
    assert_eq!((asked.len(), &asked[0].secrets, &asked[1].secrets), (3, &Pairs::new(), &secrets));
    assert!(asked.iter().all(|asked| asked.snapshot_id == "sid"));
}

/// Row G-C, and the same for single snapshots; 13.1: neither is marked.
#[tokio::test(start_paused = true)]
async fn create_with_empty_ref_uid() {
    let setup = Setup::new();
    setup.content("content", json!({"spec": {"volumeSnapshotRef": {"uid": null}}}));
    setup.group("group", json!({"spec": {"volumeGroupSnapshotRef": {"uid": null}}}));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content").await;
    setup.failed(VGSC, "group").await;
    settle().await;
    assert!(
        setup
            .error(VSC, "content")
            .ends_with("\"cannot create snapshot. Snapshot content content not bound to a snapshot\""),
        "{}",
        setup.error(VSC, "content")
    );
    assert!(
        setup.error(VGSC, "group").ends_with(
            "\"cannot create group snapshot. Group snapshot content group not bound to a group snapshot\""
        ),
        "{}",
        setup.error(VGSC, "group")
    );
    assert!(setup.created().is_empty() && setup.driver.count::<CreateVolumeGroupSnapshotRequest>() == 0);
    assert!(!has_annotation(&setup.vsc("content"), crate::setup::BEING_CREATED));
    assert!(!has_annotation(&setup.vgsc("group"), crate::setup::GROUP_BEING_CREATED));
}
