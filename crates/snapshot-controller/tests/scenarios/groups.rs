//! Sheet 11, table Groups.

use serde_json::{Value, json};
use snapshot_api::names::annotations::{GROUP_BEING_DELETED, GROUP_SECRET_NAME};
use snapshot_api::names::finalizers::{GROUP_BOUND, GROUP_CONTENT_BOUND};
use snapshot_api::names::member_names;

use crate::setup::{DRIVER, PVC, Setup, VGS, VGSC, VS, merge, pass, sum, text};

pub(crate) fn class(setup: &Setup, name: &str, policy: &str, overlay: &Value) {
    let mut manifest = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
        "metadata": {"name": name}, "driver": DRIVER, "deletionPolicy": policy,
    });
    merge(&mut manifest, overlay);
    setup.create(&manifest);
}

/// A cluster with the class `group` (Delete) and two claims `a` and `b` with the label `app=db`.
pub(crate) fn setup() -> Setup {
    let setup = Setup::new();
    class(&setup, "group", "Delete", &json!({}));
    class(&setup, "retain", "Retain", &json!({}));
    for name in ["a", "b"] {
        setup.claim_with(name, &labelled(), &json!({}));
    }
    setup
}

pub(crate) fn labelled() -> Value {
    json!({"metadata": {"labels": {"app": "db"}}})
}

/// A group `group` of the claims with the label `app=db`.
pub(crate) fn group(setup: &Setup, overlay: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGS,
        "metadata": {"name": "group", "namespace": "default"},
        "spec": {"source": {"selector": {"matchLabels": {"app": "db"}}}, "volumeGroupSnapshotClassName": "group"},
    });
    merge(&mut manifest, overlay);
    setup.create_with_status(&manifest)
}

fn by_hand() -> Value {
    json!({"spec": {"source": {"selector": null, "volumeGroupSnapshotContentName": "content"}}})
}

/// A content for the group `group`; made by hand unless `overlay` says otherwise.
fn content(setup: &Setup, name: &str, overlay: &Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGSC, "metadata": {"name": name},
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete",
            "source": {"groupSnapshotHandles": {"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["s"]}},
            "volumeGroupSnapshotRef": {"kind": VGS, "namespace": "default", "name": "group"},
        },
    });
    merge(&mut manifest, overlay);
    setup.create_with_status(&manifest)
}

fn ready_content() -> Value {
    json!({"status": {"volumeGroupSnapshotHandle": "g", "readyToUse": true, "creationTime": "2026-11-21T05:00:00Z"}})
}

fn uid_of(group: &Value) -> Value {
    json!({"spec": {"volumeGroupSnapshotRef": {"uid": group["metadata"]["uid"]}}})
}

fn dynamic() -> Value {
    json!({"spec": {"source": {"groupSnapshotHandles": null, "volumeHandles": ["vol-a", "vol-b"]}}})
}

pub(crate) fn status(setup: &Setup) -> Value {
    setup.get(VGS, "group")["status"].clone()
}

pub(crate) fn content_of_group(setup: &Setup) -> Value {
    setup.get(VGSC, &text(&status(setup)["boundVolumeGroupSnapshotContentName"]))
}

async fn until_error(setup: &Setup, message: &str) {
    let what = format!("the group says {message:?}");
    setup.until(&what, || text(&status(setup)["error"]["message"]) == message).await;
}

/// What the sidecar writes when the driver has cut the group of `a` and `b`.
pub(crate) fn cut(setup: &Setup, ready: bool) {
    let name = text(&content_of_group(setup)["metadata"]["name"]);
    let member = |name: &str| {
        json!({
            "volumeHandle": format!("vol-{name}"), "snapshotHandle": format!("snap-{name}"), "readyToUse": ready,
            "restoreSize": 1 << 30, "creationTime": 1_795_237_200_000_000_000_i64,
        })
    };
    let status = json!({
        "volumeGroupSnapshotHandle": "g", "readyToUse": ready, "creationTime": "2026-11-21T05:00:00Z",
        "volumeSnapshotInfoList": [member("a"), member("b")],
    });
    setup.patch_status(VGSC, &name, &status);
}

pub(crate) fn is_ready(setup: &Setup) -> bool {
    status(setup)["readyToUse"] == true
}

#[tokio::test(start_paused = true)]
async fn row_1_1_dynamic_two_labelled_pvcs() {
    let setup = setup();
    setup.claim("other");
    let _controller = setup.start(&[]);
    let made = group(&setup, &json!({}));
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    let content = content_of_group(&setup);
    let uid = &made["metadata"]["uid"];
    assert_eq!(content["metadata"]["name"], format!("groupsnapcontent-{}", text(uid)));
    assert_eq!(content["metadata"]["finalizers"], json!([GROUP_CONTENT_BOUND]));
    let mut spec = content["spec"].clone();
    assert!(spec["volumeGroupSnapshotRef"]["resourceVersion"].take().is_string());
    assert_eq!(
        spec,
        json!({
            "driver": DRIVER, "deletionPolicy": "Delete", "volumeGroupSnapshotClassName": "group",
            "source": {"volumeHandles": ["vol-a", "vol-b"]},
            "volumeGroupSnapshotRef": {
                "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGS, "name": "group", "namespace": "default",
                "uid": uid, "resourceVersion": null,
            },
        })
    );
    assert_eq!(status(&setup)["readyToUse"], false);
    let message = "Waiting for a group snapshot default/group to be created by the CSI driver.";
    setup.event("group", "CreatingGroupSnapshot", message).await;
    assert_eq!(setup.finalizers(VGS, "group"), [GROUP_BOUND]);
}

async fn fails(setup: &Setup, overlay: &Value, error: &str) {
    group(setup, overlay);
    let _controller = setup.start(&[]);
    let message = format!("failed to create group snapshot content with error {error}");
    until_error(setup, &message).await;
    setup.event("group", "GroupSnapshotContentCreationFailed", &message).await;
    assert_eq!(status(setup)["readyToUse"], false);
    pass(60).await;
    assert!(setup.server.list(VGSC).is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_1_2_class_missing() {
    let setup = setup();
    group(&setup, &json!({"spec": {"volumeGroupSnapshotClassName": "missing"}}));
    let _controller = setup.start(&[]);
    let message = "failed to get group snapshot class with error volumegroupsnapshotclass.groupsnapshot.storage.k8s.io \"missing\" not found";
    until_error(&setup, message).await;
    setup.event("group", "GetGroupSnapshotClassFailed", message).await;
    // Upstream's row is called past that.
    let stores =
        (snapshot_controller::policy::Stores::default(), snapshot_controller::policy::GroupStores::default());
    let object: sidecar_core::objects::GroupSnapshot = project(&setup.get(VGS, "group"));
    let plan = snapshot_controller::policy::group::create::plan(&object, Ok(&[]), &stores.0, &stores.1);
    assert_eq!(
        plan.unwrap_err().error,
        "failed to get input parameters to create group snapshot group: \"volumegroupsnapshotclass.groupsnapshot.storage.k8s.io \\\"missing\\\" not found\""
    );
}

fn project<T: sidecar_core::objects::Kind>(manifest: &Value) -> T {
    use sidecar_core::cache::{Decoder, Json};
    use sidecar_core::objects::{Interest, Projected};
    match Json.object(manifest.to_string().as_bytes(), &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        _ => panic!("not ours"),
    }
}

#[tokio::test]
async fn row_1_3_class_none() {
    let stores =
        (snapshot_controller::policy::Stores::default(), snapshot_controller::policy::GroupStores::default());
    let object: sidecar_core::objects::GroupSnapshot =
        project(&json!({"metadata": {"name": "group-snap-1-1"}, "spec": {"source": {"selector": {}}}}));
    let plan = snapshot_controller::policy::group::create::plan(&object, Ok(&[]), &stores.0, &stores.1);
    assert_eq!(
        plan.unwrap_err().error,
        "failed to get input parameters to create group snapshot group-snap-1-1: \"failed to take group snapshot group-snap-1-1 without a group snapshot class\""
    );
}

#[tokio::test(start_paused = true)]
async fn row_1_4_no_pvc_matches() {
    let setup = setup();
    let overlay = json!({"spec": {"source": {"selector": {"matchLabels": {"app": null, "app.kubernetes.io/name": "postgresql"}}}}});
    let error = r#"failed to get input parameters to create group snapshot group: "label selector app.kubernetes.io/name=postgresql for group snapshot not applied to any PVC""#;
    fails(&setup, &overlay, error).await;
}

#[tokio::test(start_paused = true)]
async fn row_1_5_pvc_pending() {
    let setup = setup();
    setup.patch_status(PVC, "a", &json!({"phase": "Pending"}));
    let error = r#"failed to get input parameters to create group snapshot group: "the PVC a is not yet bound to a PV, will not attempt to take a group snapshot""#;
    fails(&setup, &json!({}), error).await;
}

#[tokio::test(start_paused = true)]
async fn row_1_6_local_pv() {
    let setup = setup();
    let local = json!({"spec": {"csi": null, "hostPath": {"path": "/"}}});
    setup.claim_with("c", &labelled(), &local);
    let error = "cannot snapshot a non-CSI volume for group snapshot default/group: pv-c";
    fails(&setup, &json!({}), error).await;
    setup.event("group", "CreateGroupSnapshotContentFailed", "Cannot snapshot a non-CSI volume: pv-c").await;
}

#[tokio::test(start_paused = true)]
async fn row_1_7_other_driver() {
    let setup = setup();
    setup.claim_with("c", &labelled(), &json!({"spec": {"csi": {"driver": "test.csi.driver.name"}}}));
    let mismatch = "Volume CSI driver (test.csi.driver.name) mismatch with VolumeGroupSnapshotClass (csi-mock-plugin) default/group: pv-c";
    let error = format!("snapshot controller failed to update default/group on API server: {mismatch}");
    fails(&setup, &json!({}), &error).await;
    setup.event("group", "CreateGroupSnapshotContentFailed", mismatch).await;
}

#[tokio::test(start_paused = true)]
async fn row_1_8_static_content_ready() {
    let setup = setup();
    let made = group(&setup, &by_hand());
    content(&setup, "content", &ready_content());
    let _controller = setup.start(&[]);
    setup.until("it is ready", || is_ready(&setup)).await;
    assert_eq!(status(&setup)["boundVolumeGroupSnapshotContentName"], "content");
    let content = content_of_group(&setup);
    assert_eq!(content["spec"]["volumeGroupSnapshotRef"]["uid"], made["metadata"]["uid"]);
    assert_eq!(content["spec"]["volumeGroupSnapshotClassName"], "group");
    assert_eq!(content["metadata"]["finalizers"], json!([GROUP_CONTENT_BOUND]));
    setup
        .event(
            "group",
            "GroupSnapshotCreated",
            "GroupSnapshot default/group was successfully created by the CSI driver.",
        )
        .await;
    setup.event("group", "GroupSnapshotReady", "GroupSnapshot default/group is ready to use.").await;
}

#[tokio::test(start_paused = true)]
async fn row_1_9_static_content_missing() {
    let setup = setup();
    group(&setup, &by_hand());
    let _controller = setup.start(&[]);
    until_error(&setup, "VolumeGroupSnapshotContent is missing").await;
    setup.event("group", "GroupSnapshotContentMissing", "VolumeGroupSnapshotContent is missing").await;
    assert_eq!(status(&setup)["readyToUse"], false);
    // What it waits for wakes it.
    pass(1000).await;
    content(&setup, "content", &ready_content());
    pass(2).await;
    assert!(is_ready(&setup));
}

#[tokio::test(start_paused = true)]
async fn row_1_10_static_wrong_back_reference() {
    let setup = setup();
    group(&setup, &by_hand());
    content(&setup, "content", &json!({"spec": {"volumeGroupSnapshotRef": {"name": "other"}}}));
    let _controller = setup.start(&[]);
    let message = "VolumeGroupSnapshotContent [content] is bound to a different group snapshot";
    until_error(&setup, message).await;
    setup.event("group", "GroupSnapshotContentMisbound", message).await;
    let finalizer = format!("Failed to check and update group snapshot: {message}");
    setup.event("group", "GroupSnapshotFinalizerError", &finalizer).await;
    assert_eq!(status(&setup)["readyToUse"], false);
}

#[tokio::test(start_paused = true)]
async fn row_1_11_static_content_dynamic() {
    let setup = setup();
    group(&setup, &by_hand());
    content(&setup, "content", &dynamic());
    let _controller = setup.start(&[]);
    let message =
        "VolumeGroupSnapshotContent is dynamically provisioned while expecting a pre-provisioned one";
    until_error(&setup, message).await;
    setup.event("group", "GroupSnapshotContentMismatch", message).await;
}

#[tokio::test(start_paused = true)]
async fn row_2_1_2_2_deleting_no_bound_finalizer() {
    for overlay in [json!({}), by_hand()] {
        let setup = setup();
        let held = json!({"metadata": {"finalizers": ["example.com/held"]}});
        let made = group(&setup, &sum(&[&overlay, &held]));
        content(
            &setup,
            "content",
            &sum(&[
                &ready_content(),
                &uid_of(&made),
                &json!({"metadata": {"finalizers": [GROUP_CONTENT_BOUND]}}),
            ]),
        );
        setup.patch_status(
            VGS,
            "group",
            &json!({"boundVolumeGroupSnapshotContentName": "content", "readyToUse": true}),
        );
        setup.delete(VGS, "group");
        let before = (setup.get(VGS, "group"), setup.get(VGSC, "content"));
        let _controller = setup.start(&[]);
        pass(60).await;
        assert_eq!((setup.get(VGS, "group"), setup.get(VGSC, "content")), before);
    }
}

/// A deleted group that was ready, bound to a content of this policy.
fn deleted(setup: &Setup, policy: &str) {
    let held = json!({"metadata": {"finalizers": ["example.com/held", GROUP_BOUND]}});
    let made = group(setup, &sum(&[&by_hand(), &held]));
    let policy =
        json!({"spec": {"deletionPolicy": policy}, "metadata": {"finalizers": [GROUP_CONTENT_BOUND]}});
    content(setup, "content", &sum(&[&ready_content(), &uid_of(&made), &policy]));
    let status = json!({"boundVolumeGroupSnapshotContentName": "content", "readyToUse": true});
    setup.patch_status(VGS, "group", &status);
    setup.delete(VGS, "group");
}

#[tokio::test(start_paused = true)]
async fn row_2_3_3_3_deleting_retain() {
    let setup = setup();
    deleted(&setup, "Retain");
    let _controller = setup.start(&[]);
    setup.until("it is released", || setup.finalizers(VGS, "group") == ["example.com/held"]).await;
    let content = setup.get(VGSC, "content");
    assert_eq!(content["metadata"]["annotations"][GROUP_BEING_DELETED], "yes");
    assert!(content["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test(start_paused = true)]
async fn row_2_4_deleting_delete() {
    let setup = setup();
    deleted(&setup, "Delete");
    let _controller = setup.start(&[]);
    let is_deleted = || !setup.get(VGSC, "content")["metadata"]["deletionTimestamp"].is_null();
    setup.until("the content is deleted", is_deleted).await;
    assert_eq!(setup.get(VGSC, "content")["metadata"]["annotations"][GROUP_BEING_DELETED], "yes");
    pass(60).await;
    assert_eq!(setup.finalizers(VGS, "group"), ["example.com/held", GROUP_BOUND]);
    setup.patch(VGSC, "content", &json!({"metadata": {"finalizers": null}}));
    setup.until("it is released", || setup.finalizers(VGS, "group") == ["example.com/held"]).await;
}

#[tokio::test(start_paused = true)]
async fn row_3_1_3_2_bound_name_set_policy_delete_or_class_retain() {
    for policy in ["Delete", "Retain"] {
        let setup = setup();
        let made = group(&setup, &by_hand());
        let policy = json!({"spec": {"deletionPolicy": policy}});
        content(&setup, "content", &sum(&[&ready_content(), &uid_of(&made), &policy]));
        setup.patch_status(VGS, "group", &json!({"boundVolumeGroupSnapshotContentName": "content"}));
        let _controller = setup.start(&[]);
        setup.until("it is protected", || setup.finalizers(VGS, "group") == [GROUP_BOUND]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn row_4_1_4_2_content_not_ready_static_and_dynamic() {
    for overlay in [by_hand(), json!({})] {
        let setup = setup();
        let held = json!({"metadata": {"finalizers": [GROUP_BOUND]}});
        let made = group(&setup, &sum(&[&overlay, &held]));
        let (name, source) = if overlay == by_hand() {
            ("content".to_owned(), json!({}))
        } else {
            (format!("groupsnapcontent-{}", text(&made["metadata"]["uid"])), dynamic())
        };
        let unready = json!({
            "metadata": {"finalizers": [GROUP_CONTENT_BOUND]}, "spec": {"volumeGroupSnapshotClassName": "group"},
            "status": {"readyToUse": false},
        });
        content(&setup, &name, &sum(&[&source, &uid_of(&made), &unready]));
        let status = json!({"boundVolumeGroupSnapshotContentName": name, "readyToUse": false});
        setup.patch_status(VGS, "group", &status);
        let _controller = setup.start(&[]);
        pass(60).await;
        assert_eq!(setup.writes(), [] as [&str; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn row_4_3_content_ready() {
    let setup = setup();
    let made = group(&setup, &by_hand());
    content(&setup, "content", &sum(&[&ready_content(), &uid_of(&made)]));
    setup.patch_status(
        VGS,
        "group",
        &json!({"boundVolumeGroupSnapshotContentName": "content", "readyToUse": false}),
    );
    let _controller = setup.start(&[]);
    setup.until("it is ready", || is_ready(&setup)).await;
}

fn default_class() -> Value {
    json!({"metadata": {"annotations": {"groupsnapshot.storage.kubernetes.io/is-default-class": "true"}}})
}

#[tokio::test(start_paused = true)]
async fn row_5_1_default_class_one() {
    let setup = setup();
    class(&setup, "default", "Delete", &default_class());
    class(&setup, "foreign", "Delete", &sum(&[&default_class(), &json!({"driver": "other"})]));
    group(&setup, &json!({"spec": {"volumeGroupSnapshotClassName": null}}));
    let _controller = setup.start(&[]);
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    assert_eq!(setup.get(VGS, "group")["spec"]["volumeGroupSnapshotClassName"], "default");
    assert_eq!(setup.server.count("list", "persistentvolumeclaims"), 1 + list_of_the_cache(&setup));
}

/// How often the cache has listed claims.
fn list_of_the_cache(setup: &Setup) -> usize {
    let calls = setup.server.calls();
    calls.iter().filter(|call| call.is("list", "persistentvolumeclaims") && call.namespace.is_empty()).count()
}

#[tokio::test(start_paused = true)]
async fn row_5_2_default_class_static_vgs() {
    let setup = setup();
    class(&setup, "default", "Delete", &default_class());
    group(&setup, &sum(&[&by_hand(), &json!({"spec": {"volumeGroupSnapshotClassName": null}})]));
    content(&setup, "content", &ready_content());
    let _controller = setup.start(&[]);
    setup.until("it is ready", || is_ready(&setup)).await;
    assert!(setup.get(VGS, "group")["spec"]["volumeGroupSnapshotClassName"].is_null());
}

#[tokio::test(start_paused = true)]
async fn row_5_3_default_class_two_defaults() {
    let setup = setup();
    class(&setup, "default", "Delete", &default_class());
    class(&setup, "second", "Delete", &default_class());
    group(&setup, &json!({"spec": {"volumeGroupSnapshotClassName": null}}));
    let _controller = setup.start(&[]);
    let message =
        "Failed to set default group snapshot class with error 2 default snapshot classes were found";
    until_error(&setup, message).await;
    setup.event("group", "SetDefaultGroupSnapshotClassFailed", message).await;
}

#[tokio::test(start_paused = true)]
async fn row_6_1_ready_consistent() {
    let setup = setup();
    let made = group(&setup, &by_hand());
    content(&setup, "content", &sum(&[&ready_content(), &uid_of(&made)]));
    let controller = setup.start(&[]);
    setup.until("it is ready", || is_ready(&setup)).await;
    pass(5).await;
    drop(controller);
    setup.server.forget_calls();
    let _another = setup.start(&["--resync-period=1m"]);
    pass(900).await;
    assert_eq!(setup.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn row_6_2_ready_content_missing() {
    let setup = setup();
    group(&setup, &by_hand());
    setup.patch_status(
        VGS,
        "group",
        &json!({"boundVolumeGroupSnapshotContentName": "content", "readyToUse": true}),
    );
    let _controller = setup.start(&[]);
    until_error(&setup, "VolumeGroupSnapshotContent is missing").await;
    assert_eq!(status(&setup)["readyToUse"], false);
}

#[tokio::test(start_paused = true)]
async fn row_6_3_ready_misbound() {
    let setup = setup();
    group(&setup, &by_hand());
    content(
        &setup,
        "content",
        &sum(&[&ready_content(), &json!({"spec": {"volumeGroupSnapshotRef": {"uid": "other"}}})]),
    );
    setup.patch_status(
        VGS,
        "group",
        &json!({"boundVolumeGroupSnapshotContentName": "content", "readyToUse": true}),
    );
    let _controller = setup.start(&[]);
    until_error(&setup, "VolumeGroupSnapshotContent [content] is bound to a different group snapshot").await;
    assert_eq!(status(&setup)["readyToUse"], false);
}

#[tokio::test(start_paused = true)]
async fn row_7_1_vgsc_without_finalizer() {
    let setup = setup();
    let made = group(&setup, &by_hand());
    content(&setup, "content", &uid_of(&made));
    let _controller = setup.start(&[]);
    let finalizers = || setup.get(VGSC, "content")["metadata"]["finalizers"].clone();
    setup.until("it is protected", || finalizers() == json!([GROUP_CONTENT_BOUND])).await;
}

#[tokio::test]
async fn row_8_1_to_8_4_member_precondition() {
    use snapshot_controller::policy::group::members::is_cut;
    let with = |status: Value| is_cut(&project(&json!({ "status": status })));
    let member = json!({"volumeHandle": "v", "snapshotHandle": "s"});
    assert!(with(json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotInfoList": [member]})));
    assert!(!with(Value::Null));
    assert!(!with(json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotInfoList": []})));
    assert!(!with(json!({"volumeSnapshotInfoList": [member]})));
}

#[tokio::test(start_paused = true)]
async fn row_9_1_full_content() {
    let setup = setup();
    let _controller = setup.start(&[]);
    let made = group(&setup, &json!({}));
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    cut(&setup, true);
    setup.until("it is ready", || is_ready(&setup)).await;
    let uid = text(&made["metadata"]["uid"]);
    for name in ["a", "b"] {
        let names = member_names(&uid, &format!("vol-{name}"));
        setup.until_ready(&names.snapshot).await;
        let (snapshot, content) = (setup.vs(&names.snapshot), setup.content(&names.snapshot));
        assert_eq!(content["metadata"]["name"], names.content);
        assert_eq!(content["spec"]["volumeSnapshotRef"]["uid"], snapshot["metadata"]["uid"]);
        assert_eq!(content["status"]["snapshotHandle"], format!("snap-{name}"));
        assert_eq!(content["status"]["volumeGroupSnapshotHandle"], "g");
        assert_eq!(snapshot["spec"]["source"]["persistentVolumeClaimName"], name);
        assert_eq!(snapshot["status"]["volumeGroupSnapshotName"], "group");
        assert_eq!(snapshot["metadata"]["ownerReferences"][0]["uid"], made["metadata"]["uid"]);
    }
    assert_eq!(setup.server.list(VS).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_s_secret_is_its_members_too() {
    let setup = setup();
    let secret = json!({"parameters": {
        "csi.storage.k8s.io/group-snapshotter-secret-name": "${volumegroupsnapshot.name}-secret",
        "csi.storage.k8s.io/group-snapshotter-secret-namespace": "${volumegroupsnapshot.namespace}",
    }});
    class(&setup, "secret", "Delete", &secret);
    let _controller = setup.start(&[]);
    let made = group(&setup, &json!({"spec": {"volumeGroupSnapshotClassName": "secret"}}));
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    assert_eq!(content_of_group(&setup)["metadata"]["annotations"][GROUP_SECRET_NAME], "group-secret");
    cut(&setup, true);
    let names = member_names(&text(&made["metadata"]["uid"]), "vol-a");
    setup.until_ready(&names.snapshot).await;
    let annotations = setup.content(&names.snapshot)["metadata"]["annotations"].clone();
    // Upstream resolves the template once more, without the group, and fails.
    assert_eq!(annotations["snapshot.storage.kubernetes.io/deletion-secret-name"], "group-secret");
    assert_eq!(annotations["snapshot.storage.kubernetes.io/deletion-secret-namespace"], "default");
    assert_eq!(annotations["groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle"], "g");
}
