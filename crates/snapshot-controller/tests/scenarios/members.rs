//! Sheet 11, rows H, O and P: the members of a group; and how they go.

use serde_json::{Value, json};
use sidecar_core::cache::{Decoder, Json, Store};
use sidecar_core::objects::{
    GroupContent, GroupSnapshot, Interest, Kind, Projected, Snapshot, SnapshotIndex, Volume,
};
use snapshot_api::names::member_names;
use snapshot_controller::policy::Stores;
use snapshot_controller::policy::group::members;

use crate::groups::{cut, group, is_ready, setup, status};
use crate::setup::{AS_SOURCE, DRIVER, IN_GROUP, PVC, Setup, VGS, VGSC, VS, VSC, pass, text};

/// The members `a` and `b` of the group `group`, made, and the group ready.
pub(crate) async fn made(setup: &Setup) -> Vec<String> {
    let made = group(setup, &json!({}));
    setup.until("it is bound", || !status(setup)["boundVolumeGroupSnapshotContentName"].is_null()).await;
    cut(setup, true);
    setup.until("it is ready", || is_ready(setup)).await;
    let uid = text(&made["metadata"]["uid"]);
    let names = ["vol-a", "vol-b"].map(|handle| member_names(&uid, handle).snapshot);
    for name in &names {
        setup.until_ready(name).await;
    }
    names.to_vec()
}

fn project<T: Kind>(manifest: &Value) -> T {
    match Json.object(manifest.to_string().as_bytes(), &Interest::everything()).unwrap() {
        Projected::Own(object) => object,
        _ => panic!("not ours"),
    }
}

fn plan(volumes: Vec<Volume>) -> Vec<members::Member> {
    let group: GroupSnapshot =
        project(&json!({"metadata": {"name": "vgs", "namespace": "default", "uid": "abc"}}));
    let content: GroupContent = project(&json!({
        "metadata": {"annotations": {
            "groupsnapshot.storage.kubernetes.io/deletion-secret-name": "n",
            "groupsnapshot.storage.kubernetes.io/deletion-secret-namespace": "ns",
        }},
        "spec": {"driver": DRIVER, "deletionPolicy": "Delete"},
        "status": {"volumeGroupSnapshotHandle": "g", "volumeSnapshotInfoList": [{
            "volumeHandle": "h", "snapshotHandle": "s", "creationTime": 7, "restoreSize": 9, "readyToUse": true,
        }]},
    }));
    members::plan(&group, &content, &Stores { volumes: Store::of(volumes), ..Stores::default() })
}

fn volume(name: &str, spec: &Value) -> Volume {
    project(&json!({"metadata": {"name": name}, "spec": spec}))
}

fn csi(driver: &str, handle: &str) -> Value {
    json!({
        "csi": {"driver": driver, "volumeHandle": handle}, "volumeMode": "Block",
        "claimRef": {"namespace": "default", "name": "claim"},
    })
}

#[tokio::test]
async fn row_h_no_pv_pvc_name_empty_and_no_volume_mode_and_row_p_pv_index() {
    let claim = |volumes| plan(volumes)[0].snapshot.spec.source.persistent_volume_claim_name.clone().unwrap();
    assert_eq!(claim(vec![]), "");
    assert_eq!(plan(vec![])[0].content.spec.source_volume_mode, None);
    // CSI: by driver and handle; others: not at all.
    let (ours, foreign) = (volume("a", &csi(DRIVER, "h")), volume("b", &csi("other", "h")));
    let (another, local) = (volume("c", &csi(DRIVER, "x")), volume("d", &json!({"hostPath": {"path": "h"}})));
    assert_eq!(claim(vec![ours.clone(), foreign, another, local]), "claim");
    assert_eq!(plan(vec![ours.clone()])[0].content.spec.source_volume_mode.as_deref(), Some("Block"));
    // Two of them: neither. Without a claim: none, where upstream crashes.
    assert_eq!(claim(vec![ours, volume("e", &csi(DRIVER, "h"))]), "");
    let mut unclaimed = csi(DRIVER, "h");
    unclaimed["claimRef"] = Value::Null;
    assert_eq!(claim(vec![volume("f", &unclaimed)]), "");
}

#[tokio::test]
async fn row_h_secret_annotations_and_status_patch_sets_5_fields() {
    let members = plan(vec![]);
    let annotations = members[0].content.metadata.annotations.clone().unwrap();
    assert_eq!(annotations["snapshot.storage.kubernetes.io/deletion-secret-name"], "n");
    assert_eq!(annotations["snapshot.storage.kubernetes.io/deletion-secret-namespace"], "ns");
    assert_eq!(
        Value::Object(members[0].status.clone()),
        json!({
            "snapshotHandle": "s", "volumeGroupSnapshotHandle": "g", "creationTime": 7, "restoreSize": 9,
            "readyToUse": true,
        })
    );
    let reference = &members[0].content.spec;
    assert_eq!(reference.volume_snapshot_class_name, None);
    assert_eq!(members[0].content_name(), member_names("abc", "h").content);
}

#[tokio::test(start_paused = true)]
async fn row_h_create_or_get_created_or_existing() {
    let setup = setup();
    let _controller = setup.start(&[]);
    let made = group(&setup, &json!({}));
    setup.until("it is bound", || !status(&setup)["boundVolumeGroupSnapshotContentName"].is_null()).await;
    // As upstream would leave it if it ended in the middle: the content first, and not bound yet.
    let names = member_names(&text(&made["metadata"]["uid"]), "vol-a");
    setup.create(&json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC,
        "metadata": {
            "name": names.content,
            "annotations": {"groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle": "g"},
        },
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "source": {"volumeHandle": "vol-a"},
            "volumeSnapshotRef": {"kind": VS, "name": names.snapshot, "namespace": "default"},
        },
    }));
    cut(&setup, true);
    setup.until_ready(&names.snapshot).await;
    let (snapshot, content) = (setup.vs(&names.snapshot), setup.content(&names.snapshot));
    assert_eq!(content["spec"]["volumeSnapshotRef"]["uid"], snapshot["metadata"]["uid"]);
    assert_eq!(content["status"]["snapshotHandle"], "snap-a");
    setup.until("the group is ready", || is_ready(&setup)).await;
    assert_eq!(setup.server.list(VSC).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn row_h_create_or_get_other_error_propagates_vsc_and_vs() {
    for resource in ["volumesnapshotcontents", "volumesnapshots"] {
        let setup = setup();
        let _controller = setup.start(&[]);
        group(&setup, &json!({}));
        setup.until("it is bound", || !status(&setup)["boundVolumeGroupSnapshotContentName"].is_null()).await;
        setup.refuse("create", resource, "no");
        cut(&setup, true);
        let failed = || text(&status(&setup)["error"]["message"]);
        let words = "Failed to create a member of the group snapshot: createIndividualSnapshotForGroupSnapshot: failed to create ";
        setup.until("it says so", || failed().starts_with(words)).await;
        setup
            .until("and reports it", || {
                setup.reasons("group").contains(&"GroupSnapshotMemberCreationFailed".to_owned())
            })
            .await;
        assert!(!is_ready(&setup));
        setup.server.pass();
        setup.until("it is ready", || is_ready(&setup)).await;
        assert!(failed().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_made_once_and_nothing_is_reset() {
    let setup = setup();
    let _controller = setup.start(&["--resync-period=1m"]);
    group(&setup, &json!({}));
    setup.until("it is bound", || !status(&setup)["boundVolumeGroupSnapshotContentName"].is_null()).await;
    pass(2).await;
    setup.server.forget_calls();
    cut(&setup, false);
    setup.until("there are members", || setup.server.list(VS).len() == 2).await;
    pass(5).await;
    // The sidecar polls one of them; the group is looked at again and again meanwhile.
    let content = text(&setup.server.list(VSC)[0]["metadata"]["name"]);
    setup.patch_status(VSC, &content, &json!({"readyToUse": true, "restoreSize": 77}));
    pass(900).await;
    assert_eq!(setup.get(VSC, &content)["status"]["restoreSize"], 77);
    assert_eq!(setup.get(VSC, &content)["status"]["readyToUse"], true);
    let mut writes = setup.writes();
    writes.sort();
    // Each member: two objects, the status of each, and one of them once more when it became ready.
    assert_eq!(
        writes,
        [
            "create volumesnapshotcontents -> 201",
            "create volumesnapshotcontents -> 201",
            "create volumesnapshots -> 201",
            "create volumesnapshots -> 201",
            "patch volumegroupsnapshots/status -> 200",
            "patch volumesnapshotcontents/status -> 200",
            "patch volumesnapshotcontents/status -> 200",
            "patch volumesnapshots/status -> 200",
            "patch volumesnapshots/status -> 200",
            "patch volumesnapshots/status -> 200",
        ]
    );
}

fn owned(api_version: &str, kind: &str) -> Snapshot {
    project(&json!({
        "metadata": {
            "name": "vs", "namespace": "default",
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "1"},
                {"apiVersion": api_version, "kind": kind, "name": "vgs", "uid": "2"},
            ],
        },
    }))
}

/// Members of upstream's controllers up to 8.5 have owner references of older versions (13.1).
#[tokio::test]
async fn row_o_owner_detection() {
    let index = |snapshot: Snapshot| {
        let mut values = Vec::new();
        snapshot.index_values(SnapshotIndex::Group, &mut |value| values.push(value.to_owned()));
        values
    };
    assert!(index(Snapshot::default()).is_empty());
    assert!(index(owned("groupsnapshot.storage.k8s.io/v1", "VolumeGroupSnapshotContent")).is_empty());
    assert!(index(owned("snapshot.storage.k8s.io/v1", "VolumeGroupSnapshot")).is_empty());
    for version in ["v1", "v1beta1", "v1beta2"] {
        assert_eq!(index(owned(&format!("groupsnapshot.storage.k8s.io/{version}"), VGS)), ["default/vgs"]);
    }
}

#[tokio::test(start_paused = true)]
async fn row_o_ownership_needed_only_if_status_group_name_non_empty_and_no_such_owner() {
    let setup = setup();
    let _controller = setup.start(&[]);
    made(&setup).await;
    let uid = setup.get(VGS, "group")["metadata"]["uid"].clone();
    for owners in
        [json!(null), json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "1"}])]
    {
        let name = if owners.is_null() { "one" } else { "two" };
        let source = json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": name});
        setup.content_by_hand(name, name, &json!({"status": {
            "snapshotHandle": "s", "readyToUse": true, "volumeGroupSnapshotHandle": "g", "creationTime": 0,
        }}));
        setup.snapshot(
            name,
            "",
            &json!({"spec": {"source": source}, "metadata": {"ownerReferences": owners}}),
        );
        setup.until_ready(name).await;
        let groups = || setup.vs(name)["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        setup.until("the group owns it", || groups().iter().any(|owner| owner["uid"] == uid)).await;
        assert_eq!(setup.status(name)["volumeGroupSnapshotName"], "group");
        assert_eq!(groups().len(), if owners.is_null() { 1 } else { 2 });
    }
}

/// Written by upstream's controller up to 8.5; a later one does not recognise it any more.
#[tokio::test(start_paused = true)]
async fn an_owner_reference_of_an_older_version_is_rewritten() {
    let setup = setup();
    let controller = setup.start(&[]);
    let names = made(&setup).await;
    pass(5).await;
    drop(controller);
    let mut owners = setup.vs(&names[0])["metadata"]["ownerReferences"].clone();
    owners[0]["apiVersion"] = json!("groupsnapshot.storage.k8s.io/v1beta2");
    setup.patch(VS, &names[0], &json!({"metadata": {"ownerReferences": owners}}));
    let before = setup.status(&names[0]);
    let _another = setup.start(&[]);
    let version = || text(&setup.vs(&names[0])["metadata"]["ownerReferences"][0]["apiVersion"]);
    setup.until("it is rewritten", || version() == "groupsnapshot.storage.k8s.io/v1").await;
    assert_eq!(setup.status(&names[0]), before, "upstream reports that it has no class");
}

/// Plays the sidecar for groups: lets go of what is deleted.
async fn let_go(setup: &Setup) {
    for kind in [VSC, VGSC] {
        for object in setup.server.list(kind) {
            let name = text(&object["metadata"]["name"]);
            if !object["metadata"]["deletionTimestamp"].is_null() {
                setup.patch(kind, &name, &json!({"metadata": {"finalizers": null}}));
            }
        }
    }
    pass(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_goes_with_all_its_members_and_without_waiting() {
    let setup = setup();
    let _controller = setup.start(&[]);
    made(&setup).await;
    setup.delete(VGS, "group");
    // Upstream's members wait for their back-off, up to five minutes, once the group is gone.
    for _ in 0..5 {
        let_go(&setup).await;
    }
    for kind in [VS, VSC, VGS, VGSC] {
        assert!(setup.server.list(kind).is_empty(), "{kind}: {}", setup.story());
    }
    assert!(setup.calls().iter().all(|call| !call.contains("-> 4")), "{:?}", setup.calls());
}

#[tokio::test(start_paused = true)]
async fn a_member_cannot_be_deleted_alone() {
    let setup = setup();
    let _controller = setup.start(&[]);
    let names = made(&setup).await;
    setup.delete(VS, &names[0]);
    let message = format!(
        "deletion of the individual volume snapshot default/{} is not allowed as it belongs to group snapshot default/group. Deleting the group snapshot will trigger the deletion of all the individual volume snapshots that are part of the group.",
        names[0]
    );
    setup.event(&names[0], "SnapshotDeletePending", &message).await;
    assert!(!setup.content(&names[0]).is_null());
    assert!(setup.content(&names[0])["metadata"]["annotations"]["snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"].is_null());
    setup.delete(VGS, "group");
    for _ in 0..5 {
        let_go(&setup).await;
    }
    assert!(setup.server.list(VS).is_empty(), "{}", setup.story());
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_for_claims_that_are_restored_from_its_members() {
    let setup = setup();
    let _controller = setup.start(&[]);
    let names = made(&setup).await;
    let mut restoring = testkit::manifests::claim("restoring", "class");
    restoring["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": VS, "name": names[1]});
    setup.create(&restoring);
    pass(1).await;
    setup.delete(VGS, "group");
    let message = format!(
        "Snapshot default/{} belonging to VolumeGroupSnapshot default/group is being used to restore a PVC",
        names[1]
    );
    setup.event("group", "SnapshotDeletePending", &message).await;
    pass(1000).await;
    assert!(setup.server.list(VGSC)[0]["metadata"]["deletionTimestamp"].is_null());
    setup.patch_status(PVC, "restoring", &json!({"phase": "Bound"}));
    for _ in 0..5 {
        let_go(&setup).await;
    }
    assert!(setup.server.list(VGS).is_empty(), "{}", setup.story());
}

/// Upstream protects a group when its content is there; a group that is deleted before leaves the content behind.
#[tokio::test(start_paused = true)]
async fn a_group_deleted_right_after_its_content_was_made_leaves_nothing() {
    let setup = setup();
    let controller = setup.start(&[]);
    group(&setup, &json!({}));
    setup.until("there is a content", || !setup.server.list(VGSC).is_empty()).await;
    drop(controller);
    setup.delete(VGS, "group");
    assert!(!setup.get(VGS, "group").is_null());
    let _another = setup.start(&[]);
    for _ in 0..5 {
        let_go(&setup).await;
    }
    assert!(setup.server.list(VGSC).is_empty() && setup.server.list(VGS).is_empty(), "{}", setup.story());
}

/// With upstream it keeps its last finalizer for ever.
#[tokio::test(start_paused = true)]
async fn a_member_that_only_carries_the_in_group_finalizer_goes_with_its_group() {
    let setup = setup();
    let _controller = setup.start(&[]);
    let owner =
        json!([{"apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGS, "name": "gone", "uid": "1"}]);
    let overlay = json!({"metadata": {"finalizers": [IN_GROUP], "ownerReferences": owner}});
    setup.snapshot("snap", "a", &overlay);
    setup.delete(VS, "snap");
    setup.until_gone(VS, "snap").await;
}

/// Groups are not worked on: upstream crashes when it looks for one.
#[tokio::test(start_paused = true)]
async fn with_groups_off_members_are_kept_while_their_group_is_there() {
    let setup = setup();
    let controller = setup.start(&[]);
    let names = made(&setup).await;
    drop(controller);
    setup.delete(VS, &names[0]);
    let controller = setup.start(&["--feature-gates=CSIVolumeGroupSnapshot=false"]);
    pass(60).await;
    assert!(controller.is_running());
    assert_eq!(setup.finalizers(VS, &names[0]), [IN_GROUP, AS_SOURCE]);
    assert!(setup.reasons(&names[0]).contains(&"SnapshotDeletePending".to_owned()));
}

/// Upstream asks for `matchLabels` alone, and for everything if there are none.
#[tokio::test(start_paused = true)]
async fn whole_selectors_count_and_empty_ones_are_refused() {
    let setup = setup();
    setup.claim_with("c", &json!({"metadata": {"labels": {"app": "web"}}}), &json!({}));
    let _controller = setup.start(&[]);
    let selector = json!({"matchLabels": {"app": null}, "matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "x"]}]});
    group(&setup, &json!({"spec": {"source": {"selector": selector}}}));
    setup.until("it is bound", || !status(&setup)["boundVolumeGroupSnapshotContentName"].is_null()).await;
    assert_eq!(setup.server.list(VGSC)[0]["spec"]["source"]["volumeHandles"], json!(["vol-a", "vol-b"]));

    let setup = crate::groups::setup();
    let _controller = setup.start(&[]);
    group(&setup, &json!({"spec": {"source": {"selector": {"matchLabels": {"app": null}}}}}));
    let message = "failed to create group snapshot content with error failed to get input parameters to create group snapshot group: \"label selector <none> for group snapshot would select every PVC of the namespace\"";
    setup.until("it says so", || text(&status(&setup)["error"]["message"]) == message).await;
}
