//! Contents made by hand whose snapshot is given up before their status names it. Upstream lets them go and leaves the snapshot in
//! the driver, whatever the policy says (sheet 5.5, step 1a).

use csi_client::csi::{ListSnapshotsRequest, ListSnapshotsResponse};
use serde_json::{Value, json};
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{
    FOREIGN, GF, GIB, GROUP_BEING_DELETED, Setup, VGSC, VOLUME, VSC, both, given, given_group, pass, settle,
    unwanted,
};

/// A content for the driver's snapshot `sid`, which is given up before any snapshotter runs.
fn given_up(fields: Value) -> (Setup, Value) {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    let content = setup.content("content", both(unwanted(given("sid")), fields));
    (setup, content)
}

fn is_there(setup: &Setup) -> bool {
    setup.driver.snapshots().contains_key("sid")
}

fn is_released(setup: &Setup) -> bool {
    setup.vsc("content")["metadata"]["finalizers"] == json!([FOREIGN])
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_was_never_looked_at_is_deleted_with_its_content() {
    let (setup, content) = given_up(json!({}));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!((setup.listed().len(), setup.deleted().len()), (1, 1));
    assert!(!is_there(&setup) && is_released(&setup));
    assert_eq!(setup.writes(), 1, "nobody could read a status now: {:?}", setup.calls());
    assert_eq!(setup.vsc("content")["status"], content["status"]);
    assert_eq!(setup.events("content"), []);
}

/// So is one whose first looks failed.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_could_not_be_looked_at_is_deleted_when_the_driver_answers() {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    setup.driver.always::<ListSnapshotsRequest>(Step::fail(Code::Unavailable, "mock"));
    setup.content("content", given("sid"));
    let _sidecar = setup.start(&["--retry-interval-max=10s"]);
    setup.failed(VSC, "content").await;
    setup.unwanted(VSC, "content");
    pass(600).await;
    assert!(is_there(&setup) && !setup.vsc("content").is_null(), "there is no saying whose it is");
    assert!(setup.reasons("content").contains(&"SnapshotDeleteError".to_owned()));
    assert!(setup.error(VSC, "content").starts_with("Failed to delete snapshot: failed to list snapshot"));
    setup.driver.behave();
    setup.gone(VSC, "content").await;
    assert!(!is_there(&setup));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_given_up_or_its_content_retains_is_not_deleted() {
    let retained = json!({"spec": {"deletionPolicy": "Retain"}});
    let unbound = json!({"spec": {"volumeSnapshotRef": {"uid": null}}});
    for fields in [retained, unbound] {
        let (setup, _) = given_up(fields);
        let _sidecar = setup.start(&[]);
        settle().await;
        assert!(is_there(&setup) && is_released(&setup));
        assert!(setup.listed().is_empty() && setup.deleted().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_a_group_is_not_deleted_alone() {
    let group = Step::edit(|answer: &mut ListSnapshotsResponse| {
        answer.entries[0].snapshot.as_mut().unwrap().group_snapshot_id = "group".into();
    });
    let marked = json!({"metadata": {"annotations": {"groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle": "group"}}});
    for (fields, looks) in [(json!({}), 1), (marked, 0)] {
        let (setup, _) = given_up(fields);
        setup.driver.script::<ListSnapshotsRequest>([group.clone()]);
        let _sidecar = setup.start(&[]);
        settle().await;
        assert!(is_there(&setup) && is_released(&setup));
        assert_eq!((setup.listed().len(), setup.deleted().len()), (looks, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_another_content_names_is_not_deleted() {
    let by_spec = both(given("sid"), json!({"spec": {"deletionPolicy": "Retain"}}));
    let by_status = json!({"status": {"snapshotHandle": "sid", "readyToUse": true}});
    for other in [by_spec, by_status] {
        let (setup, _) = given_up(json!({}));
        setup.content("other", other);
        let _sidecar = setup.start(&[]);
        settle().await;
        assert!(is_there(&setup) && is_released(&setup));
        assert!(setup.deleted().is_empty());
    }
    // Unless that is to have it deleted, too.
    let (setup, _) = given_up(json!({}));
    setup.content("other", unwanted(given("sid")));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(!is_there(&setup) && is_released(&setup));
}

/// A handle that was misspelt, and whatever the driver has to say about such a one.
#[tokio::test(start_paused = true)]
async fn what_the_driver_does_not_know_keeps_no_content() {
    let (setup, _) = given_up(json!({}));
    setup.driver.lose_snapshot("sid");
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(is_released(&setup) && setup.deleted().is_empty());
    assert_eq!(setup.events("content"), []);

    let (setup, _) = given_up(json!({}));
    setup.driver.always::<ListSnapshotsRequest>(Step::fail(Code::InvalidArgument, "no such handle"));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(!is_released(&setup));
    assert_eq!(setup.reasons("content"), ["SnapshotDeleteError"]);
    pass(120).await;
    assert!(is_released(&setup) && setup.deleted().is_empty());
    assert_eq!(setup.listed().len(), 8);
}

/// What is left of a content after a deletion looks the same but for our finalizer: it is not deleted once more, also after a
/// restart, when somebody may have made another snapshot that has this handle.
#[tokio::test(start_paused = true)]
async fn a_content_that_was_let_go_has_nothing_deleted() {
    let (setup, _) = given_up(json!({"metadata": {"finalizers": [FOREIGN]}}));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert!(is_there(&setup) && setup.deleted().is_empty() && setup.listed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_never_looked_at_is_deleted_with_its_content() {
    let setup = Setup::new();
    let first = setup.start(&[]);
    setup.group("first", json!({"spec": {"deletionPolicy": "Retain"}}));
    setup.ready(VGSC, "first").await;
    setup.unwanted(VGSC, "first");
    setup.gone(VGSC, "first").await;
    drop(first);
    let group = setup.driver.groups().into_keys().next().unwrap();
    let snapshots: Vec<_> = setup.driver.snapshots().into_keys().collect();
    let snapshots: Vec<_> = snapshots.iter().map(String::as_str).collect();
    let going = json!({"metadata": {
        "finalizers": [GF], "annotations": {GROUP_BEING_DELETED: "yes"}, "deletionTimestamp": "now",
    }});
    setup.group("second", both(given_group(&group, &snapshots), going));
    let _sidecar = setup.start(&[]);
    setup.gone(VGSC, "second").await;
    assert!(setup.driver.groups().is_empty() && setup.driver.snapshots().is_empty());
}
