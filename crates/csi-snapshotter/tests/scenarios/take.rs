//! Rows S1 of the sheet's section 11: snapshots that are to be taken. Content `contentN` is for the snapshot with UID
//! `snapuid-contentN`.

use std::collections::BTreeMap;
use std::time::Duration;

use csi_client::csi::{CreateSnapshotRequest, CreateSnapshotResponse};
use serde_json::{Value, json};
use snapshot_api::names::annotations;
use testkit::api::{Failure, Resource};
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{
    BEING_CREATED, CUT, GIB, Setup, VOLUME, VSC, both, has_annotation, is_ready, pass, secret_annotations,
    settle,
};

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What the driver is told about `name`.
fn request(name: &str, secrets: &[(&str, &str)]) -> CreateSnapshotRequest {
    CreateSnapshotRequest {
        source_volume_id: VOLUME.into(),
        name: format!("snapshot-snapuid-{name}"),
        secrets: pairs(secrets),
        parameters: pairs(&[
            ("csi.storage.k8s.io/volumesnapshot/name", &format!("snap-{name}")),
            ("csi.storage.k8s.io/volumesnapshot/namespace", "default"),
            ("csi.storage.k8s.io/volumesnapshotcontent/name", name),
        ]),
        ..Default::default()
    }
}

/// The status of a content whose snapshot the scripted driver has taken.
fn taken(setup: &Setup, ready: bool) -> Value {
    let id = setup.driver.snapshots().into_keys().next().expect("there is a snapshot");
    json!({"snapshotHandle": id, "readyToUse": ready, "creationTime": CUT, "restoreSize": GIB})
}

fn not_ready() -> Step {
    Step::edit(|answer: &mut CreateSnapshotResponse| {
        answer.snapshot.as_mut().unwrap().ready_to_use = false;
    })
}

#[tokio::test(start_paused = true)]
async fn dynamic_content_with_status_ready_to_use_false() {
    let setup = Setup::new();
    setup.content("content1-1", json!({"status": {"readyToUse": false}}));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content1-1").await;
    assert_eq!(setup.created(), [request("content1-1", &[])]);
    assert_eq!(setup.vsc("content1-1")["status"], taken(&setup, true));
    assert!(!has_annotation(&setup.vsc("content1-1"), BEING_CREATED));
    pass(1800).await;
    assert_eq!(setup.created().len(), 1, "no requeue");
}

#[tokio::test(start_paused = true)]
async fn dynamic_content_status_nil() {
    let setup = Setup::new();
    setup.content("content1-2", json!({}));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content1-2").await;
    assert_eq!(setup.vsc("content1-2")["status"], taken(&setup, true));
    assert_eq!(setup.events("content1-2"), []);
}

#[tokio::test(start_paused = true)]
async fn secret_annotations_present_but_empty_status_empty() {
    let setup = Setup::new();
    setup.content("content1-3", both(secret_annotations("", ""), json!({"status": {}})));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content1-3").await;
    settle().await;
    let message = "Failed to check and update snapshot content: failed to get input parameters to create snapshot for \
                   content content1-3: \"cannot retrieve secrets for snapshot content \\\"content1-3\\\", err: secret \
                   name or namespace not specified\"";
    assert_eq!(setup.error(VSC, "content1-3"), message);
    assert_eq!(setup.vsc("content1-3")["status"]["readyToUse"], false);
    assert_eq!(
        setup.events("content1-3"),
        [("SnapshotContentCheckandUpdateFailed".to_owned(), message.to_owned())]
    );
    assert!(setup.created().is_empty());
    assert!(!has_annotation(&setup.vsc("content1-3"), BEING_CREATED), "13.1: it can be deleted");
}

#[tokio::test(start_paused = true)]
async fn valid_secret_annotations() {
    let setup = Setup::new();
    setup.secret("secret");
    setup.content("content1-4", secret_annotations("secret", "default"));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content1-4").await;
    assert_eq!(setup.created(), [request("content1-4", &[("foo", "bar")])]);
    let content = setup.vsc("content1-4");
    assert_eq!(
        content["metadata"]["annotations"],
        json!({annotations::SECRET_NAME: "secret", annotations::SECRET_NAMESPACE: "default"})
    );
}

#[tokio::test(start_paused = true)]
async fn secret_get_fails() {
    let setup = Setup::new();
    setup.content("content1-5", both(secret_annotations("missing", "default"), json!({"status": {}})));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content1-5").await;
    settle().await;
    let error = setup.error(VSC, "content1-5");
    assert!(
        error.ends_with("\"cannot get credentials for snapshot content \\\"content1-5\\\"\""),
        "the cause is for the log only: {error}"
    );
    assert_eq!(setup.reasons("content1-5"), ["SnapshotContentCheckandUpdateFailed"]);
    assert!(setup.created().is_empty());
}

#[tokio::test(start_paused = true)]
async fn class_not_found_content_has_status() {
    let setup = Setup::new();
    let content = json!({"spec": {"volumeSnapshotClassName": "bad-class"}, "status": {"readyToUse": false}});
    setup.content("content1-6", content);
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content1-6").await;
    assert_eq!(
        setup.error(VSC, "content1-6"),
        "Failed to check and update snapshot content: failed to get input parameters to create snapshot for content \
         content1-6: \"volumesnapshotclass.snapshot.storage.k8s.io \\\"bad-class\\\" not found\""
    );
    assert_eq!(setup.vsc("content1-6")["status"]["readyToUse"], false);
    assert!(setup.created().is_empty());
    // Upstream finds the class five minutes later.
    pass(600).await;
    setup.class(json!({"metadata": {"name": "bad-class"}}));
    pass(1).await;
    assert!(is_ready(&setup.vsc("content1-6")));
    assert_eq!(setup.error(VSC, "content1-6"), "");
}

/// Upstream takes the annotation away after each answer and puts it back before the next call; here it stays until the
/// snapshot is ready (13.2, issue 1283).
#[tokio::test(start_paused = true)]
async fn create_returns_not_ready() {
    let setup = Setup::new();
    setup.driver.script::<CreateSnapshotRequest>([not_ready()]);
    setup.content("content1-7", json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.until("it is taken", || !setup.driver.snapshots().is_empty()).await;
    pass(5).await;
    assert_eq!(setup.vsc("content1-7")["status"], taken(&setup, false));
    assert!(has_annotation(&setup.vsc("content1-7"), BEING_CREATED));
    assert_eq!(setup.created().len(), 1);
    setup.ready(VSC, "content1-7").await;
    assert_eq!(setup.created(), [request("content1-7", &[]), request("content1-7", &[])], "requeue");
    assert!(!has_annotation(&setup.vsc("content1-7"), BEING_CREATED));
    assert_eq!(setup.events("content1-7"), []);
}

#[tokio::test(start_paused = true)]
async fn unready_next_create_still_unready() {
    let setup = Setup::new();
    setup.driver.always::<CreateSnapshotRequest>(not_ready());
    setup.content("content1-8", json!({"status": {"readyToUse": false}}));
    let _sidecar = setup.start(&[]);
    setup.until("it is asked again", || setup.created().len() == 3).await;
    assert!(!is_ready(&setup.vsc("content1-8")));
}

#[tokio::test(start_paused = true)]
async fn unready_next_create_ready() {
    let setup = Setup::new();
    setup.content("content1-9", json!({"status": {"readyToUse": false}}));
    let _sidecar = setup.start(&[]);
    setup.ready(VSC, "content1-9").await;
    pass(600).await;
    assert_eq!(setup.created().len(), 1);
}

// ---- row CS, and what section 13 adds ----

#[tokio::test(start_paused = true)]
async fn create_snapshot_client_plain_parameters_secrets() {
    let setup = Setup::new();
    setup.secret("secret");
    let secret = "csi.storage.k8s.io/snapshotter-secret-name";
    setup.class(json!({
        "metadata": {"name": "with-parameters"},
        "parameters": {"param1": "value1", "csiFoo": "kept", secret: "x", "csi.storage.k8s.io/snapshotter-secret-namespace": "y"},
    }));
    let fields = json!({"spec": {"volumeSnapshotClassName": "with-parameters"}});
    setup.content("content", both(secret_annotations("secret", "default"), fields));
    let _sidecar = setup.start(&["--extra-create-metadata=false"]);
    setup.ready(VSC, "content").await;
    let expected = CreateSnapshotRequest {
        parameters: pairs(&[("param1", "value1"), ("csiFoo", "kept")]),
        ..request("content", &[("foo", "bar")])
    };
    assert_eq!(setup.created(), [expected]);
    // 13.5: the driver was asked for its name once, at the start.
    assert_eq!(setup.driver.calls().iter().filter(|call| **call == "GetPluginInfo").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn create_snapshot_client_deadline_exceeded_leaves_the_outcome_open() {
    let setup = Setup::new();
    setup.driver.script::<CreateSnapshotRequest>([Step::FailAfter(Code::DeadlineExceeded, "slow".into())]);
    setup.content("content", json!({}));
    let _sidecar = setup.start(&["--retry-interval-start=20s"]);
    setup.failed(VSC, "content").await;
    assert_eq!(
        setup.error(VSC, "content"),
        format!(
            "Failed to create snapshot: failed to take snapshot of the volume {VOLUME}: \"rpc error: code = \
             DeadlineExceeded desc = slow\""
        )
    );
    assert_eq!(setup.vsc("content")["status"]["readyToUse"], false);
    assert!(has_annotation(&setup.vsc("content"), BEING_CREATED));
    // It must not go before its outcome is known, so it is asked for once more.
    setup.driver.script::<CreateSnapshotRequest>([Step::fail(Code::Aborted, "still at it")]);
    setup.unwanted(VSC, "content");
    pass(5).await;
    assert!(!setup.vsc("content").is_null() && setup.deleted().is_empty());
    setup.gone(VSC, "content").await;
    assert_eq!((setup.created().len(), setup.deleted().len()), (3, 1));
    assert!(setup.driver.snapshots().is_empty());
}

#[tokio::test(start_paused = true)]
async fn create_snapshot_client_not_found_is_final() {
    let setup = Setup::new();
    setup.driver.always::<CreateSnapshotRequest>(Step::fail(Code::NotFound, "no volume"));
    setup.content("content", json!({}));
    let _sidecar = setup.start(&[]);
    setup.until("it was tried often", || setup.created().len() == 4).await;
    pass(0).await;
    assert!(!has_annotation(&setup.vsc("content"), BEING_CREATED));
    // 13.12: one failure, one name, one event.
    let error = setup.error(VSC, "content");
    assert!(
        error.starts_with("Failed to create snapshot: ") && error.ends_with("desc = no volume\""),
        "{error}"
    );
    assert_eq!(setup.reasons("content"), ["SnapshotCreationFailed"]);
    setup.unwanted(VSC, "content");
    setup.gone(VSC, "content").await;
    assert!(setup.deleted().is_empty(), "there is nothing to delete");
}

/// Rows `U`: an unknown parameter with the reserved prefix is found before the content is marked, so that the content can be
/// deleted. With upstream it cannot until the class is corrected (13.1).
#[tokio::test(start_paused = true)]
async fn parameter_filter_unknown_prefixed() {
    let setup = Setup::new();
    setup.class(json!({"metadata": {"name": "bad"}, "parameters": {"csi.storage.k8s.io/nonsense": "x"}}));
    setup.content("content", json!({"spec": {"volumeSnapshotClassName": "bad"}}));
    let _sidecar = setup.start(&[]);
    setup.failed(VSC, "content").await;
    assert_eq!(
        setup.error(VSC, "content"),
        "Failed to create snapshot: failed to remove CSI Parameters of prefixed keys: found unknown parameter key \
         \"csi.storage.k8s.io/nonsense\" with reserved namespace csi.storage.k8s.io/"
    );
    setup.unwanted(VSC, "content");
    pass(1).await;
    assert!(setup.vsc("content").is_null());
    assert!(setup.created().is_empty());
}

/// 13.6: no 1970 for a driver that does not know the time yet (issue 1397), and no crash without a snapshot.
#[tokio::test(start_paused = true)]
async fn nil_creation_time_and_nil_messages() {
    let setup = Setup::new();
    let timeless = |ready: bool| {
        Step::edit(move |answer: &mut CreateSnapshotResponse| {
            let snapshot = answer.snapshot.as_mut().unwrap();
            snapshot.ready_to_use = ready;
            snapshot.creation_time = None;
        })
    };
    let empty = Step::edit(|answer: &mut CreateSnapshotResponse| answer.snapshot = None);
    let nameless = Step::edit(|answer: &mut CreateSnapshotResponse| {
        answer.snapshot.as_mut().unwrap().snapshot_id.clear();
    });
    setup.driver.script::<CreateSnapshotRequest>([empty, nameless, timeless(false), timeless(false)]);
    setup.content("content", json!({}));
    let _sidecar = setup.start(&[]);
    setup.until("it is taken", || setup.created().len() == 4).await;
    pass(0).await;
    let status = setup.vsc("content")["status"].clone();
    assert!(status["snapshotHandle"].is_string() && status.get("creationTime").is_none(), "{status}");
    setup.ready(VSC, "content").await;
    assert_eq!(setup.vsc("content")["status"]["creationTime"], CUT);

    setup.driver.script::<CreateSnapshotRequest>([timeless(true)]);
    setup.content("late", json!({}));
    setup.ready(VSC, "late").await;
    let created = setup.vsc("late")["status"]["creationTime"].as_i64().unwrap();
    assert!(created > CUT, "as of now: {created}");
}

#[tokio::test(start_paused = true)]
async fn names_of_snapshots_by_prefix_and_length() {
    let setup = Setup::new();
    let uid = "0123-456789abcdef";
    let content = json!({"spec": {"volumeSnapshotRef": {"uid": uid}}});
    setup.content("content", content);
    let _sidecar = setup.start(&["--snapshot-name-prefix=p", "--snapshot-name-uuid-length=6"]);
    setup.ready(VSC, "content").await;
    assert_eq!(setup.created()[0].name, "p-012345");
}

/// A crash after the call and before anything was written down: the same call again, the same snapshot.
#[tokio::test(start_paused = true)]
async fn a_crash_while_it_is_taken() {
    let setup = Setup::new();
    setup.driver.script::<CreateSnapshotRequest>([Step::HangAfter]);
    setup.content("content", json!({}));
    let first = setup.start(&[]);
    setup.until("it is taken", || !setup.driver.snapshots().is_empty()).await;
    drop(first);
    pass(1).await;
    assert!(has_annotation(&setup.vsc("content"), BEING_CREATED));
    setup.unwanted(VSC, "content");
    let _second = setup.start(&[]);
    setup.gone(VSC, "content").await;
    assert!(setup.driver.snapshots().is_empty());
    assert_eq!((setup.created().len(), setup.deleted().len()), (2, 1));
}

/// Somebody else writes the content at the same time: it is read again, and nothing fails that users could see (issues 300,
/// 525).
#[tokio::test(start_paused = true)]
async fn a_conflict_is_no_failure() {
    let setup = Setup::new();
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.server.forget_calls();
    let modified = Failure::modified(Resource::find(VSC).unwrap(), "content");
    setup.server.fail_next("patch", "volumesnapshotcontents/status", 2, &modified);
    setup.content("content", json!({}));
    setup.ready(VSC, "content").await;
    assert_eq!(
        setup.calls(),
        [
            "patch volumesnapshotcontents -> 200",
            "patch volumesnapshotcontents/status -> 409",
            "get volumesnapshotcontents -> 200",
            "patch volumesnapshotcontents/status -> 409",
            "get volumesnapshotcontents -> 200",
            "patch volumesnapshotcontents/status -> 200",
            "patch volumesnapshotcontents -> 200",
        ]
    );
    assert_eq!((setup.created().len(), setup.events("content").len()), (1, 0));
}

/// What the driver says about the snapshot of one content is not written into another of the same name.
#[tokio::test(start_paused = true)]
async fn a_content_made_anew_inherits_nothing() {
    let setup = Setup::new();
    setup.driver.script::<CreateSnapshotRequest>([Step::late(Duration::from_secs(5))]);
    let unheld = json!({"metadata": {"finalizers": null}});
    setup.content("content", unheld);
    let _sidecar = setup.start(&[]);
    setup.until("the driver is asked", || setup.created().len() == 1).await;
    setup.server.delete(VSC, "", "content").unwrap();
    setup.content("content", json!({"spec": {"volumeSnapshotRef": {"uid": "another"}}}));
    setup.ready(VSC, "content").await;
    let handle = setup.vsc("content")["status"]["snapshotHandle"].as_str().unwrap().to_owned();
    assert_eq!(setup.driver.snapshots()[&handle], "snapshot-another");
    assert_eq!(setup.events("content"), []);
}
