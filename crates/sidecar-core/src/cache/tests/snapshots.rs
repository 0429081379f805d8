//! What becomes of snapshots, groups and their contents.

use serde_json::{Value, json};

use super::fixtures::{DRIVER, managed_fields, own, project};
use crate::objects::{
    Claim, ClaimIndex, ContentIndex, DeletionPolicy, GroupContent, GroupContentIndex, GroupSnapshot,
    GroupSnapshotClass, Interest, Kind, Projected, Snapshot, SnapshotClass, SnapshotContent, SnapshotIndex,
};

fn values<T: Kind>(object: &T, index: T::Index) -> Vec<String> {
    let mut values = Vec::new();
    object.index_values(index, &mut |value| values.push(value.to_owned()));
    values
}

fn content() -> Value {
    json!({
        "metadata": {
            "name": "snapcontent-u", "uid": "c", "resourceVersion": "7", "managedFields": managed_fields(),
            "labels": {"snapshot.storage.kubernetes.io/managed-by": "node-1", "other": "x"},
            "annotations": {
                "snapshot.storage.kubernetes.io/volumesnapshot-being-created": "",
                "snapshot.storage.kubernetes.io/deletion-secret-name": "s",
            },
            "finalizers": ["snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"],
        },
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "source": {"volumeHandle": "v"},
            "volumeSnapshotClassName": "class", "sourceVolumeMode": "Block",
            "volumeSnapshotRef": {"name": "snap", "namespace": "ns", "uid": "u"},
        },
    })
}

#[test]
fn a_content_keeps_what_its_controllers_read() {
    let interest = Interest::of_drivers([DRIVER]);
    let kept: SnapshotContent = own(&content(), &interest);
    assert!(kept.being_created && !kept.being_deleted && !kept.is_member);
    assert_eq!((kept.secret.name.as_deref(), kept.secret.namespace.as_deref()), (Some("s"), None));
    assert_eq!((kept.managed_by.as_deref(), kept.class.as_deref()), (Some("node-1"), Some("class")));
    assert_eq!((kept.policy, kept.volume_handle.as_deref()), (DeletionPolicy::Delete, Some("v")));
    assert_eq!(kept.snapshot_handle, None);
    assert_eq!((values(&kept, ContentIndex::Snapshot), &kept.status), (vec!["ns/snap".to_owned()], &None));
    assert!(kept.snapshot.uid == "u");

    let mut of_other = content();
    of_other["spec"]["driver"] = "other".into();
    assert!(matches!(project::<SnapshotContent>(&of_other, &interest), Projected::Nothing(_)));
}

#[test]
fn an_empty_status_is_a_status() {
    let mut with_status = content();
    with_status["status"] = json!({});
    let kept: SnapshotContent = own(&with_status, &Interest::all());
    assert_eq!(kept.status, Some(crate::objects::ContentStatus::default()));
    with_status["status"] = json!({
        "snapshotHandle": "h", "creationTime": 1_700_000_000_000_000_000_i64, "readyToUse": false,
        "restoreSize": 0, "volumeGroupSnapshotHandle": "g", "error": {"message": "m", "time": "t"},
    });
    let kept: SnapshotContent = own(&with_status, &Interest::all());
    assert!(!kept.is_ready());
    let status = kept.status.unwrap();
    assert_eq!(
        (status.handle.as_deref(), status.ready, status.restore_size),
        (Some("h"), Some(false), Some(0))
    );
    assert_eq!(status.creation_time, Some(1_700_000_000_000_000_000));
    assert_eq!((&*status.error.unwrap().message, status.group_handle.as_deref()), ("m", Some("g")));
}

#[test]
fn a_snapshot_knows_its_group_in_every_version() {
    let mut json = json!({
        "metadata": {"name": "snap", "namespace": "ns", "uid": "u", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "VolumeGroupSnapshot", "name": "no", "uid": "1"},
            {"apiVersion": "groupsnapshot.storage.k8s.io/v1beta1", "kind": "VolumeGroupSnapshot", "name": "g",
             "uid": "2"},
        ]},
        "spec": {"source": {"persistentVolumeClaimName": ""}},
        "status": {"boundVolumeSnapshotContentName": "c", "readyToUse": true, "restoreSize": "1Gi"},
    });
    let kept: Snapshot = own(&json, &Interest::all());
    assert_eq!(kept.group.as_ref().map(|group| &*group.name), Some("g"));
    assert_eq!((kept.claim.as_deref(), kept.content.as_deref()), (Some(""), None), "an empty name is a name");
    assert!(kept.is_ready() && kept.bound_content() == Some("c"));
    assert_eq!(values(&kept, SnapshotIndex::Group), ["ns/g"]);
    assert_eq!(values(&kept, SnapshotIndex::Claim), ["ns/"]);
    assert_eq!(values(&kept, SnapshotIndex::Content), ["c"]);
    json["metadata"]["ownerReferences"].as_array_mut().unwrap().pop();
    assert_eq!(own::<Snapshot>(&json, &Interest::all()).group, None);
}

#[test]
fn a_group_keeps_selector_and_members() {
    let group: GroupSnapshot = own(
        &json!({
            "metadata": {"name": "g", "namespace": "ns", "uid": "u"},
            "spec": {"volumeGroupSnapshotClassName": "class", "source": {"selector": {
                "matchLabels": {"a": "b"},
                "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}, {"key": "e", "operator": "Exists"}],
            }}},
        }),
        &Interest::all(),
    );
    let selector = group.selector.unwrap();
    assert_eq!((selector.labels.len(), selector.expressions.len()), (1, 2));
    assert_eq!((&*selector.expressions[0].key, &*selector.expressions[0].values[0]), ("k", "v"));

    let content: GroupContent = own(
        &json!({
            "metadata": {"name": "groupsnapcontent-u", "annotations": {
                "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted": "yes"
            }},
            "spec": {"driver": DRIVER, "deletionPolicy": "Retain", "source": {"groupSnapshotHandles": {
                "volumeGroupSnapshotHandle": "gh", "volumeSnapshotHandles": ["s1", "s2"]
            }}, "volumeGroupSnapshotRef": {"name": "g", "namespace": "ns"}},
            "status": {"volumeGroupSnapshotHandle": "gh", "readyToUse": true, "volumeSnapshotInfoList": [
                {"volumeHandle": "v", "snapshotHandle": "s1", "creationTime": 5, "restoreSize": 6, "readyToUse": true}
            ]},
        }),
        &Interest::of_drivers([DRIVER]),
    );
    assert!(content.being_deleted && !content.being_created && content.is_ready());
    assert_eq!(content.handles.as_ref().map(|handles| handles.snapshots.len()), Some(2));
    assert!(content.snapshot.uid.is_empty() && content.volume_handles.is_empty());
    assert_eq!(values(&content, GroupContentIndex::Handle), ["gh"]);
    let member = &content.status.unwrap().members[0];
    assert_eq!((&*member.snapshot_handle, member.restore_size, member.ready), ("s1", Some(6), Some(true)));
}

#[test]
fn only_the_exact_word_makes_a_class_the_default() {
    let class = |group: &str, value: &str| {
        json!({
            "metadata": {"name": "c", "annotations": {format!("{group}.storage.kubernetes.io/is-default-class"): value}},
            "driver": DRIVER, "deletionPolicy": "Delete", "parameters": {"k": "v"},
        })
    };
    let read = |value| own::<SnapshotClass>(&class("snapshot", value), &Interest::all());
    assert!(read("true").is_default && !read("True").is_default);
    assert_eq!((read("x").policy, read("x").parameters.len()), (DeletionPolicy::Delete, 1));
    let of_groups = |group| own::<GroupSnapshotClass>(&class(group, "true"), &Interest::all()).0.is_default;
    assert!(of_groups("groupsnapshot") && !of_groups("snapshot"));
}

#[test]
fn claims_are_found_by_the_snapshot_they_are_restored_from() {
    let claim = |spec: Value| {
        let claim: Claim =
            own(&json!({"metadata": {"name": "c", "namespace": "ns"}, "spec": spec}), &Interest::all());
        values(&claim, ClaimIndex::SourceSnapshot)
    };
    let source = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "snap"});
    assert_eq!(claim(json!({"dataSource": source, "dataSourceRef": source})), ["ns/snap"]);
    let mut elsewhere = source.clone();
    elsewhere["namespace"] = "other".into();
    assert_eq!(claim(json!({"dataSourceRef": elsewhere})), ["other/snap"]);
    assert!(claim(json!({"dataSource": {"kind": "VolumeSnapshot", "name": "snap"}})).is_empty());
}
