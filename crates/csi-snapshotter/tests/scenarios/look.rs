//! Row LS of the sheet's section 11: snapshots that were there before their contents, and members of groups.

use csi_client::csi::list_snapshots_response::Entry;
use csi_client::csi::{ListSnapshotsRequest, ListSnapshotsResponse};
use serde_json::{Value, json};
use snapshot_api::names::annotations;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use tonic::Code;

use crate::setup::{
    CLASS, CUT, GIB, Setup, VOLUME, VSC, able, both, given, is_ready, pass, secret_annotations, settle,
};

fn with_snapshot() -> Setup {
    let setup = Setup::new();
    setup.driver.add_snapshot("sid", VOLUME, GIB);
    setup
}

fn found() -> Value {
    json!({"snapshotHandle": "sid", "readyToUse": true, "creationTime": CUT, "restoreSize": GIB})
}

fn request(secrets: &[(&str, &str)]) -> ListSnapshotsRequest {
    let secrets = secrets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ListSnapshotsRequest { snapshot_id: "sid".into(), secrets: secrets.collect(), ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn status_success() {
    let setup = with_snapshot();
    setup.content("content", given("sid"));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.listed(), [request(&[])]);
    assert_eq!(setup.vsc("content")["status"], found());
    assert!(setup.created().is_empty());
    assert_eq!(setup.calls(), ["patch volumesnapshotcontents/status -> 200"]);
}

#[tokio::test(start_paused = true)]
async fn status_with_secret() {
    let setup = with_snapshot();
    setup.secret("list-content");
    setup.class(json!({"metadata": {"name": "listing"}, "parameters": {
        "csi.storage.k8s.io/snapshotter-list-secret-name": "list-${volumesnapshotcontent.name}",
        "csi.storage.k8s.io/snapshotter-list-secret-namespace": "default",
    }}));
    setup.content("content", both(given("sid"), json!({"spec": {"volumeSnapshotClassName": "listing"}})));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.listed(), [request(&[("foo", "bar")])]);
}

#[tokio::test(start_paused = true)]
async fn status_secret_references_that_do_not_work() {
    let setup = with_snapshot();
    let (name, namespace) = (
        "csi.storage.k8s.io/snapshotter-list-secret-name",
        "csi.storage.k8s.io/snapshotter-list-secret-namespace",
    );
    for (class, parameters, error) in [
        (
            "half",
            json!({namespace: "default"}),
            "failed to get secret reference for snapshot content half: failed to get name and namespace template from \
             params: either name and namespace for SnapshotterList secrets specified, Both must be specified",
        ),
        (
            "invalid",
            json!({name: "bad name", namespace: "default"}),
            "failed to get secret reference for snapshot content invalid: \"bad name\" is not a valid secret name",
        ),
        (
            "token",
            json!({name: "${volumesnapshot.annotations['akey']}", namespace: "default"}),
            "failed to get secret reference for snapshot content token: error resolving value \
             \"${volumesnapshot.annotations['akey']}\": invalid tokens: [\"volumesnapshot.annotations['akey']\"]",
        ),
        (
            "missing",
            json!({name: "missing", namespace: "default"}),
            "failed to get credentials for snapshot content missing: error getting secret missing in namespace default: \
             secrets \"missing\" not found",
        ),
    ] {
        setup.class(json!({"metadata": {"name": class}, "parameters": parameters}));
        setup.content(class, both(given("sid"), json!({"spec": {"volumeSnapshotClassName": class}})));
        let sidecar = setup.start(&[]);
        setup.failed(VSC, class).await;
        let message = format!("Failed to check and update snapshot content: {error}");
        assert_eq!(setup.error(VSC, class), message);
        assert_eq!(setup.events(class), [("SnapshotContentCheckandUpdateFailed".to_owned(), message)]);
        drop(sidecar);
    }
    assert!(setup.listed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn status_class_not_found() {
    let setup = with_snapshot();
    setup.content("content", both(given("sid"), json!({"spec": {"volumeSnapshotClassName": "late"}})));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content").await;
    assert_eq!(
        setup.error(VSC, "content"),
        "Failed to check and update snapshot content: failed to get snapshot class late for snapshot content content: \
         volumesnapshotclass.snapshot.storage.k8s.io \"late\" not found"
    );
}

/// Zero time becomes now, and the size stays unknown.
#[tokio::test(start_paused = true)]
async fn status_capability_absent() {
    let controller = vec![ControllerCapability::CreateDeleteSnapshot];
    let setup = Setup::with(DriverConfig { controller, ..able() });
    setup.content("content", given("sid"));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content").await;
    let status = setup.vsc("content")["status"].clone();
    assert!(status["creationTime"].as_i64().unwrap() > CUT);
    assert!(is_ready(&setup.vsc("content")) && status["snapshotHandle"] == "sid");
    assert!(status.get("restoreSize").is_none() && setup.listed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn status_transient_and_final_error() {
    for code in [Code::Unavailable, Code::NotFound] {
        let setup = with_snapshot();
        setup.driver.script::<ListSnapshotsRequest>([Step::fail(code, "mock")]);
        setup.content("content", given("sid"));
        let _sidecar = setup.start(&[]);
        setup.failed(VSC, "content").await;
        let error = setup.error(VSC, "content");
        let start = "Failed to check and update snapshot content: failed to list snapshot for content content: \"rpc error";
        assert!(error.starts_with(start), "{error}");
        setup.ready(VSC, "content").await;
        assert_eq!(setup.vsc("content")["status"], found(), "the error is gone");
    }
}

/// 13.6: a driver that lists more than it was asked for is read right; upstream takes whatever comes first. Only a single
/// entry may call itself otherwise.
#[tokio::test(start_paused = true)]
async fn the_listed_id_counts() {
    let setup = with_snapshot();
    let others = Step::edit(|answer: &mut ListSnapshotsResponse| {
        let mut other = answer.entries[0].clone();
        other.snapshot.as_mut().unwrap().snapshot_id = "other".into();
        other.snapshot.as_mut().unwrap().size_bytes = 1;
        answer.entries = vec![Entry { snapshot: None }, other, answer.entries[0].clone()];
    });
    let renamed = Step::edit(|answer: &mut ListSnapshotsResponse| {
        answer.entries[0].snapshot.as_mut().unwrap().snapshot_id = "SID".into();
    });
    for (name, step) in [("others", others), ("renamed", renamed)] {
        setup.driver.script::<ListSnapshotsRequest>([step]);
        setup.content(name, given("sid"));
        let sidecar = setup.start(&[]);
        setup.ready(VSC, name).await;
        assert_eq!(setup.vsc(name)["status"], found());
        drop(sidecar);
    }
    let foreign = Step::edit(|answer: &mut ListSnapshotsResponse| {
        let mut other = answer.entries[0].clone();
        other.snapshot.as_mut().unwrap().snapshot_id = "other".into();
        answer.entries = vec![other.clone(), other];
    });
    setup.driver.script::<ListSnapshotsRequest>([foreign]);
    setup.content("foreign", given("sid"));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "foreign").await;
    assert!(setup.error(VSC, "foreign").ends_with("\"can not find snapshot for snapshotID sid\""));
}

/// A member of a group is never taken alone: it is looked at when the snapshot controller has written down its handle, with
/// the secret of its annotations.
#[tokio::test(start_paused = true)]
async fn members_of_groups_are_only_looked_at() {
    let setup = with_snapshot();
    setup.secret("secret");
    let member = json!({"metadata": {"annotations": {annotations::GROUP_HANDLE: "group"}}});
    setup.content("member", both(secret_annotations("secret", "default"), member));
    let _sidecar = setup.start(&[]);
    pass(900).await;
    assert!(setup.driver.count::<ListSnapshotsRequest>() == 0 && setup.created().is_empty());
    assert!(setup.calls().is_empty() && setup.vsc("member").get("status").is_none());
    let status = json!({"status": {"snapshotHandle": "sid", "volumeGroupSnapshotHandle": "group"}});
    setup.server.patch_status(VSC, "", "member", &status).unwrap();
    pass(1).await;
    assert!(is_ready(&setup.vsc("member")), "at once, not at the next look");
    assert_eq!(setup.listed(), [request(&[("foo", "bar")])]);
    assert!(setup.created().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_driver_s_group_is_noted() {
    let setup = with_snapshot();
    setup.driver.script::<ListSnapshotsRequest>([Step::edit(|answer: &mut ListSnapshotsResponse| {
        answer.entries[0].snapshot.as_mut().unwrap().group_snapshot_id = "group".into();
    })]);
    setup.content("content", given("sid"));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.vsc("content")["status"]["volumeGroupSnapshotHandle"], "group");
    setup.unwanted(VSC, "content");
    setup.gone(VSC, "content").await;
    assert!(setup.deleted().is_empty(), "it goes with its group");
}

/// Contents of other drivers, and those whose class is another driver's, are nobody's business here.
#[tokio::test(start_paused = true)]
async fn others_contents_are_left_alone() {
    let setup = with_snapshot();
    setup.class(json!({"metadata": {"name": "foreign"}, "driver": "other"}));
    setup.content("driver", json!({"spec": {"driver": "other"}}));
    setup.content("class", json!({"spec": {"volumeSnapshotClassName": "foreign"}}));
    setup.content("going", crate::setup::unwanted(json!({"spec": {"driver": "other"}})));
    let _sidecar = setup.start(&["--resync-period=10s"]);
    settle().await;
    assert!(setup.calls().is_empty() && setup.created().is_empty(), "{:?}", setup.calls());
    assert_eq!(setup.vsc("going")["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    assert_ne!(CLASS, "foreign");
}
