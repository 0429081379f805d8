//! Sheet 11.8, the last paragraph: grants by themselves.

use serde_json::{Value, json};

use super::*;

fn allowed(grant: &Value, reference: Reference<'_>) -> bool {
    let spec = json!({
        "from": [{"group": "", "kind": "PersistentVolumeClaim", "namespace": "ours"}], "to": [grant],
    });
    let grants: Vec<Grant> =
        serde_json::from_value(json!([{"metadata": {"namespace": "theirs"}, "spec": spec}])).unwrap();
    permit(&grants, "ours", &reference)
}

fn reference<'a>(group: &'a str, kind: &'a str) -> Reference<'a> {
    Reference { group, kind, name: "x", namespace: "theirs" }
}

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";

#[test]
fn third_party_kind_with_matching_grant_allowed() {
    let grant = json!({"group": "example.com", "kind": "Any"});
    assert!(allowed(&grant, reference("example.com", "Any")));
    assert!(!allowed(&grant, reference("example.com", "Other")));
}

#[test]
fn grant_for_snapshot_does_not_allow_pvc_and_vice_versa() {
    let snapshots = json!({"group": SNAPSHOTS, "kind": "VolumeSnapshot"});
    let claims = json!({"group": "", "kind": "PersistentVolumeClaim"});
    assert!(allowed(&snapshots, reference(SNAPSHOTS, "VolumeSnapshot")));
    assert!(!allowed(&snapshots, reference("", "PersistentVolumeClaim")));
    assert!(allowed(&claims, reference("", "PersistentVolumeClaim")));
    assert!(!allowed(&claims, reference(SNAPSHOTS, "VolumeSnapshot")));
}

#[test]
fn snapshot_reference_with_nil_api_group_vs_snapshot_group_grant_denied() {
    let snapshots = json!({"group": SNAPSHOTS, "kind": "VolumeSnapshot"});
    assert!(!allowed(&snapshots, reference("", "VolumeSnapshot")));
}

#[test]
fn empty_from_or_empty_to_denied() {
    for empty in ["from", "to"] {
        let mut spec = json!({
            "from": [{"group": "", "kind": "PersistentVolumeClaim", "namespace": "ours"}],
            "to": [{"group": "", "kind": "PersistentVolumeClaim"}],
        });
        spec[empty] = json!([]);
        let grants: Vec<Grant> =
            serde_json::from_value(json!([{"metadata": {"namespace": "theirs"}, "spec": spec}])).unwrap();
        assert!(!permit(&grants, "ours", &reference("", "PersistentVolumeClaim")), "{empty}");
    }
}

#[test]
fn both_sides_must_be_in_the_same_grant() {
    let from = json!([{"group": "", "kind": "PersistentVolumeClaim", "namespace": "ours"}]);
    let to = json!([{"group": "", "kind": "PersistentVolumeClaim"}]);
    let meta = json!({"namespace": "theirs"});
    let halves = json!([
        {"metadata": meta, "spec": {"from": from, "to": []}}, {"metadata": meta, "spec": {"from": [], "to": to}},
    ]);
    let grants: Vec<Grant> = serde_json::from_value(halves).unwrap();
    assert!(!permit(&grants, "ours", &reference("", "PersistentVolumeClaim")));
}
