//! What becomes of realistic objects.

use serde_json::json;

use super::super::{Decoder, Event, Item, Json, Page};
use super::fixtures::{CLAIM_UID, DRIVER, claim, own, project, volume};
use crate::objects::{
    Attachment, AttributesClass, BindingMode, Claim, ClaimPhase, Class, CsiNode, Interest, Interned, Kind,
    Node, Pod, PodIndex, Projected, ReclaimPolicy, Sections, SelectorOperator, Volume, VolumeMode,
    VolumePhase,
};

#[test]
fn a_volume_keeps_what_the_provisioner_reads() {
    let volume: Volume = own(&volume("pv-1", DRIVER), &Interest::of_drivers([DRIVER]));
    assert_eq!(
        (&*volume.meta.name, volume.meta.resource_version, volume.meta.deleting),
        ("pv-1", 1234, false)
    );
    assert!(volume.meta.finalizers.has("external-provisioner.volume.kubernetes.io/finalizer"));
    assert_eq!(volume.provisioned_by.as_deref(), Some(DRIVER));
    assert_eq!((volume.driver.as_deref(), &*volume.handle), (Some(DRIVER), "handle-of-pv-1"));
    assert_eq!(volume.deletion_secret_name.as_deref(), Some(""), "present but empty is not absent");
    assert_eq!((volume.reclaim, volume.phase), (ReclaimPolicy::Delete, VolumePhase::Bound));
    assert_eq!(volume.class.as_deref(), Some("csi-hostpath-sc"));
    let owner = volume.claim.unwrap();
    assert_eq!((&*owner.namespace, &*owner.name), ("default", "data"));
    assert_eq!(owner.uid, CLAIM_UID);
    assert!(volume.source.is_none() && volume.affinity.is_none() && volume.in_tree.is_none());
}

#[test]
fn sections_bring_what_others_read() {
    let volume: Volume = own(&volume("pv-1", DRIVER), &Interest::everything());
    let source = volume.source.unwrap();
    assert_eq!((&*source.fs_type, source.volume_mode), ("ext4", Some(VolumeMode::Filesystem)));
    assert_eq!(&*source.mount_options[0], "noatime");
    assert_eq!(source.attributes.len(), 1);
    assert_eq!(&*source.expand_secret.unwrap().name, "s");
    let terms = volume.affinity.unwrap();
    assert_eq!(terms[0][0].operator, SelectorOperator::In);
    assert_eq!((&*terms[0][0].key, &*terms[0][0].values[0]), ("topology.hostpath.csi/node", "node-1"));
}

#[test]
fn volumes_of_other_drivers_shrink_to_their_existence() {
    let interest = Interest::of_drivers([DRIVER]);
    assert!(matches!(project::<Volume>(&volume("pv", "other"), &interest), Projected::Foreign(_)));
    let mut migrated = volume("pv", "kubernetes.io/aws-ebs");
    migrated["spec"].as_object_mut().unwrap().remove("csi");
    migrated["spec"]["awsElasticBlockStore"] = json!({"volumeID": "v"});
    assert!(matches!(project::<Volume>(&migrated, &interest), Projected::Foreign(_)));
    migrated["metadata"]["annotations"]["pv.kubernetes.io/migrated-to"] = DRIVER.into();
    let ours: Volume = own(&migrated, &interest);
    assert_eq!((ours.in_tree.map(|source| source.kind), ours.driver), (Some("awsElasticBlockStore"), None));
    let static_one = json!({"metadata": {"name": "pv"}, "spec": {"awsElasticBlockStore": {"volumeID": "v"}}});
    let of_plugin = Interest::of_drivers(["kubernetes.io/aws-ebs"]);
    assert!(matches!(project::<Volume>(&static_one, &of_plugin), Projected::Own(_)), "known by its source");
}

#[test]
fn an_in_tree_volume_keeps_what_its_translation_reads() {
    let object = json!({
        "metadata": {
            "name": "pv",
            "labels": {"topology.kubernetes.io/zone": "z", "app": "x"},
            "annotations": {"openstorage.io/auth-secret-name": "s", "pv.kubernetes.io/migrated-to": DRIVER},
        },
        "spec": {"gcePersistentDisk": {"pdName": "disk", "fsType": "ext4"}, "cinder": null},
    });
    let volume: Volume = own(&object, &Interest::of_drivers([DRIVER]));
    let source = volume.in_tree.unwrap();
    assert_eq!((source.kind, &*source.json), ("gcePersistentDisk", r#"{"fsType":"ext4","pdName":"disk"}"#));
    let pairs = |pairs: &[(Interned, Interned)]| -> Vec<_> {
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect()
    };
    assert_eq!(pairs(&source.labels), ["topology.kubernetes.io/zone=z"]);
    assert_eq!(pairs(&source.annotations), ["openstorage.io/auth-secret-name=s"]);
}

#[test]
fn volumes_with_a_csi_source_pay_one_word_for_the_others() {
    assert_eq!((size_of::<Option<Box<crate::objects::InTreeSource>>>(), size_of::<Volume>()), (8, 208));
    let volume: Volume = own(&volume("pv-1", DRIVER), &Interest::everything());
    assert!(volume.in_tree.is_none());
}

#[test]
fn a_claim_keeps_what_the_provisioner_reads() {
    let claim: Claim = own(&claim("data"), &Interest::of_drivers([DRIVER]));
    assert_eq!(claim.provisioner.as_deref(), Some(DRIVER), "the GA annotation wins");
    assert_eq!(claim.selected_node.as_deref(), Some("node-1"));
    assert_eq!((claim.volume_name.as_deref(), claim.requested.as_deref()), (Some("pv-1"), Some("1Gi")));
    assert_eq!(claim.access_modes.iter().collect::<Vec<_>>(), ["ReadWriteOnce", "ReadOnlyMany"]);
    assert_eq!((claim.volume_mode, claim.phase), (Some(VolumeMode::Block), ClaimPhase::Bound));
    assert_eq!(claim.attributes_class.as_deref(), Some("gold"));
    assert!(!claim.has_selector && claim.resize.is_none());
    let source = claim.data_source.unwrap();
    assert_eq!((source.api_group, &*source.kind, &*source.name), (None, "PersistentVolumeClaim", "source"));
}

#[test]
fn a_claim_follows_the_older_annotations_where_the_sheet_says_so() {
    let mut object = claim("data");
    let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("volume.kubernetes.io/storage-provisioner");
    annotations.insert("volume.beta.kubernetes.io/storage-class".into(), "from-annotation".into());
    object["spec"]["selector"] = json!({});
    object["spec"]["volumeName"] = "".into();
    let read: Claim = own(&object, &Interest::everything());
    assert_eq!(read.provisioner.as_deref(), Some("the.beta.one"));
    assert_eq!(read.class.as_deref(), Some("from-annotation"));
    assert_eq!(read.spec_class.as_deref(), Some("csi-hostpath-sc"));
    assert!(read.has_selector && read.volume_name.is_none());
    let resize = read.resize.unwrap();
    assert_eq!((resize.capacity.as_deref(), resize.allocated.as_deref()), (Some("1Gi"), Some("2Gi")));
    assert_eq!(&*resize.allocated_statuses[0].1, "NodeResizePending");
    assert_eq!(&*resize.conditions[0].kind, "FileSystemResizePending");
    assert_eq!(&*resize.modify_status.unwrap().target, "gold");
}

#[test]
fn claims_of_others_vanish_and_undecided_ones_stay() {
    let interest = Interest::of_drivers(["mine"]);
    assert!(matches!(project::<Claim>(&claim("x"), &interest), Projected::Nothing(_)));
    let mut undecided = claim("x");
    undecided["metadata"].as_object_mut().unwrap().remove("annotations");
    assert!(matches!(project::<Claim>(&undecided, &interest), Projected::Own(_)));
}

#[test]
fn an_attachment_shrinks_to_its_volume_unless_an_attacher_asks() {
    let object = json!({
        "metadata": {"name": "csi-1", "annotations": {"csi.alpha.kubernetes.io/node-id": ""}},
        "spec": {"attacher": DRIVER, "nodeName": "n", "source": {"persistentVolumeName": "pv-1"}},
        "status": {"attached": true, "attachmentMetadata": {"path": "/dev/x"},
            "detachError": {"message": "m", "time": "t", "errorCode": 9}}
    });
    let small: Attachment = own(&object, &Interest::nothing());
    assert_eq!((small.volume.as_deref(), small.status), (Some("pv-1"), None));
    let whole: Attachment = own(&object, &Interest::everything());
    let status = whole.status.unwrap();
    assert_eq!((status.node_id.as_deref(), status.attached, status.inline), (Some(""), true, None));
    assert_eq!(status.detach_error.unwrap().code, Some(9));
    let foreign = Interest::of_drivers(["other"]).with(Sections::ATTACHMENT_STATUS);
    assert!(own::<Attachment>(&object, &foreign).status.is_none());
}

#[test]
fn an_attachment_keeps_the_volume_that_it_contains() {
    let spec = json!({"csi": {"driver": "inner", "volumeHandle": "h", "fsType": "xfs",
        "controllerPublishSecretRef": {"namespace": "n", "name": "s"}}, "accessModes": ["ReadWriteOnce"]});
    let source = json!({"inlineVolumeSpec": spec});
    let object = json!({
        "metadata": {"name": "csi-2"},
        "spec": {"attacher": DRIVER, "nodeName": "n", "source": source},
    });
    let inline = own::<Attachment>(&object, &Interest::everything()).status.unwrap().inline.unwrap();
    assert_eq!((inline.driver.as_deref(), &*inline.handle), (Some("inner"), "h"));
    assert_eq!((&*inline.source.fs_type, inline.source.access_modes.is_empty()), ("xfs", false));
    assert_eq!(&*inline.source.publish_secret.unwrap().name, "s");
}

#[test]
fn classes_are_kept_whole() {
    let object = json!({
        "metadata": {"name": "fast", "uid": "u"}, "provisioner": DRIVER, "parameters": {"a": "1"},
        "reclaimPolicy": "Retain", "mountOptions": ["ro"], "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}]
    });
    let class: Class = own(&object, &Interest::nothing());
    assert_eq!((&*class.provisioner, &*class.parameters["a"]), (DRIVER, "1"));
    assert_eq!(
        (class.reclaim, class.binding_mode),
        (Some(ReclaimPolicy::Retain), BindingMode::WaitForFirstConsumer)
    );
    assert!(class.allow_expansion && *class.mount_options[0] == *"ro");
    assert_eq!(class.allowed_topologies[0].requirements[0].values.len(), 2);
    let object = json!({"metadata": {"name": "gold"}, "driverName": DRIVER, "parameters": {"iops": "5"}});
    let class: AttributesClass = own(&object, &Interest::nothing());
    assert_eq!((&*class.driver, &*class.parameters["iops"]), (DRIVER, "5"));
}

#[test]
fn nodes_keep_labels_and_drivers() {
    let node: Node = own(
        &json!({"metadata": {"name": "n", "labels": {"b": "2", "a": "1"}}, "status": {"images": [{"names": ["x"]}]}}),
        &Interest::nothing(),
    );
    assert_eq!((node.label("a").unwrap().as_str(), node.labels.len()), ("1", 2));
    let csi = json!({"metadata": {"name": "n"}, "spec": {"drivers": [
        {"name": "other", "nodeID": "o", "topologyKeys": null},
        {"name": DRIVER, "nodeID": "id", "topologyKeys": ["z", "a"], "allocatable": {"count": 8}}
    ]}});
    let csi: CsiNode = own(&csi, &Interest::of_drivers([DRIVER]));
    assert!(csi.driver("other").is_none());
    let driver = csi.driver(DRIVER).unwrap();
    assert_eq!((&*driver.node_id, driver.allocatable), ("id", Some(8)));
    assert_eq!(driver.topology_keys.iter().map(|key| &**key).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn pods_are_the_claims_they_use() {
    let pod = |phase: &str| {
        json!({"metadata": {"name": "p", "namespace": "ns"}, "status": {"phase": phase}, "spec": {
            "nodeName": "n", "containers": [{"name": "c", "image": "i"}],
            "volumes": [
                {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "e", "emptyDir": {}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            ]
        }})
    };
    let claims = |pod: &Pod| {
        let mut found = Vec::new();
        pod.index_values(PodIndex::Claim, &mut |value| found.push(value.to_owned()));
        found
    };
    let running: Pod = own(&pod("Running"), &Interest::all());
    assert_eq!(claims(&running), ["ns/data", "ns/p-scratch"]);
    let finished = pod("Failed");
    assert!(matches!(project::<Pod>(&finished, &Interest::all()), Projected::Nothing(_)));
    let without =
        json!({"metadata": {"name": "p", "namespace": "ns"}, "spec": {"volumes": [{"emptyDir": {}}]}});
    assert!(matches!(project::<Pod>(&without, &Interest::all()), Projected::Nothing(_)));
}

fn event(json: &str) -> Event<Volume> {
    Json.event(json.as_bytes(), &Interest::everything()).unwrap()
}

#[test]
fn watch_events_are_told_apart_in_any_order_of_members() {
    let meta = r#"{"metadata":{"name":"a","resourceVersion":"5"}}"#;
    assert!(matches!(event(&format!(r#"{{"type":"ADDED","object":{meta}}}"#)), Event::Applied(_)));
    assert!(matches!(event(&format!(r#"{{"object":{meta},"type":"MODIFIED"}}"#)), Event::Applied(_)));
    assert!(
        matches!(event(&format!(r#"{{"type":"DELETED","object":{meta}}}"#)), Event::Deleted(m) if m.resource_version == 5)
    );
    assert!(matches!(
        event(&format!(r#"{{"type":"BOOKMARK","object":{meta}}}"#)),
        Event::Bookmark { version: 5, ends_list: false }
    ));
    let end = r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    assert!(matches!(event(end), Event::Bookmark { version: 7, ends_list: true }));
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"too old","reason":"Expired","code":410}}"#;
    assert!(matches!(event(gone), Event::Error(status) if status.code == 410));
    let decoder: &dyn Decoder<Volume> = &Json;
    assert!(decoder.event(br#"{"type":"NEWS","object":{}}"#, &Interest::all()).is_err());
    assert!(decoder.event(b"{", &Interest::all()).is_err());
}

#[test]
fn a_page_is_read_item_by_item() {
    let body = json!({
        "kind": "PersistentVolumeList", "apiVersion": "v1",
        "metadata": {"resourceVersion": "99", "continue": "more", "remainingItemCount": 3},
        "items": [volume("a", DRIVER), volume("b", "other")]
    });
    let mut seen = Vec::new();
    let page = Json
        .page(&serde_json::to_vec(&body).unwrap(), &Interest::of_drivers([DRIVER]), &mut |object: Item<
            Volume,
        >| {
            let object = object.unwrap();
            seen.push((object.meta().name.to_string(), matches!(object, Projected::Own(_))));
        })
        .unwrap();
    assert_eq!(page, Page { version: 99, next: "more".into() });
    assert_eq!(seen, [("a".to_owned(), true), ("b".to_owned(), false)]);
}
