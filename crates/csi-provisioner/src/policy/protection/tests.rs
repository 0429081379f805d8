//! Sheet 11.11, as far as it is about decisions.

use serde_json::{Value, json};
use sidecar_core::objects::Snapshot;

use super::*;
use crate::policy::fixtures::{claim, project, volume};

fn snapshot(finalizers: &Value) -> Snapshot {
    project(
        json!({"metadata": {"namespace": "fake-ns", "name": "snap", "finalizers": finalizers}, "spec": {"source": {}}}),
        &json!({}),
    )
}

fn place() -> Place {
    Place { namespace: "fake-ns".into(), name: "snap".into() }
}

fn source() -> Value {
    json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "snap"})
}

fn waiting(field: &str, phase: &str) -> Claim {
    claim(&json!({"spec": {field: source()}, "status": {"phase": phase}}))
}

fn found(claims: &[Claim]) -> Vec<Place> {
    orphans([&snapshot(&json!([restore::FINALIZER]))], claims, |_| false)
}

#[test]
fn sweep_no_pvc_or_only_bound_pvc() {
    assert_eq!(found(&[]), [place()]);
    assert_eq!(found(&[waiting("dataSource", "Bound")]), [place()]);
}

#[test]
fn sweep_pending_pvc_via_data_source_or_data_source_ref_bound_and_pending() {
    for field in ["dataSource", "dataSourceRef"] {
        for phase in ["Pending", ""] {
            assert_eq!(found(&[waiting(field, phase)]), []);
        }
    }
    assert_eq!(found(&[waiting("dataSource", "Bound"), waiting("dataSource", "Pending")]), []);
}

#[test]
fn sweep_snapshot_without_our_finalizer() {
    assert_eq!(orphans([&snapshot(&json!(["foreign"]))], &[], |_| false), []);
}

#[test]
fn sweep_snapshot_of_a_claim_that_is_gone_but_in_progress() {
    assert_eq!(orphans([&snapshot(&json!([restore::FINALIZER]))], &[], |used| *used == place()), []);
}

#[test]
fn snapshot_source_nil_group_reference_pvc_kind_none_wrong_group() {
    let of = |spec: Value| snapshot_source(&claim(&json!({ "spec": spec })));
    let mut nil_group = source();
    nil_group["apiGroup"] = json!(null);
    assert_eq!(of(json!({ "dataSource": nil_group })), Some(place()));
    assert_eq!(of(json!({"dataSourceRef": source()})), Some(place()));
    assert_eq!(of(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "snap"}})), None);
    assert_eq!(of(json!({})), None);
    let mut wrong_group = source();
    wrong_group["apiGroup"] = json!("example.com");
    assert_eq!(of(json!({ "dataSource": wrong_group })), None);
}

#[test]
fn cross_namespace_reference() {
    let mut elsewhere = source();
    elsewhere["namespace"] = json!("other");
    let found = snapshot_source(&claim(&json!({"spec": {"dataSourceRef": elsewhere}})));
    assert_eq!(found, Some(Place { namespace: "other".into(), ..place() }));
}

#[test]
fn protection_of_other_drivers_is_theirs_to_end() {
    let content = |driver: &str| {
        serde_json::from_value::<VolumeSnapshotContent>(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
            "spec": {
                "deletionPolicy": "Delete", "driver": driver, "source": {"snapshotHandle": "x"},
                "volumeSnapshotRef": {"name": "snap", "namespace": "fake-ns"},
            },
        }))
        .unwrap()
    };
    assert!(is_ours(Some(&content("ours")), "ours") && !is_ours(Some(&content("theirs")), "ours"));
    assert!(is_ours(None, "ours"), "nothing is left to be restored");
}

#[test]
fn enqueue_only_with_deletion_timestamp() {
    let with = |meta: Value| claim(&json!({ "metadata": meta })).awaits_clones();
    let deleted = "2026-11-21T05:00:00Z";
    assert!(with(json!({"finalizers": [Claim::CLONING_PROTECTION], "deletionTimestamp": deleted})));
    assert!(!with(json!({"finalizers": [Claim::CLONING_PROTECTION]})));
    assert!(!with(json!({"finalizers": ["x"], "deletionTimestamp": deleted})));
}

#[test]
fn who_has_the_volume_of_a_source_may_be_cloning_it() {
    let of = |overlay: Value| cloner("test-driver", Some(&volume(&overlay)), true);
    assert_eq!(of(json!({})), Cloner::Us);
    assert_eq!(of(json!({"spec": {"csi": {"driver": "other"}}})), Cloner::Another, "whoever provisioned it");
    assert_eq!(of(json!({"spec": {"csi": null, "nfs": {"path": "/"}}})), Cloner::Another);
    assert_eq!(cloner("test-driver", None, true), Cloner::Another, "known by name only");
    assert_eq!(cloner("test-driver", None, false), Cloner::Unknown);
}

#[test]
fn a_live_claim_waits_for_a_source_of_that_name() {
    let is_clone = |spec: Value, status: Value| {
        let live = json!({"spec": spec, "status": status});
        is_cloned_from(&serde_json::from_value(live).unwrap(), "source")
    };
    let named = |kind: &str, name: &str| json!({"dataSource": {"kind": kind, "name": name}});
    let source = named("PersistentVolumeClaim", "source");
    assert!(is_clone(source.clone(), json!({"phase": "Pending"})) && is_clone(source.clone(), json!({})));
    assert!(!is_clone(source, json!({"phase": "Bound"})));
    assert!(!is_clone(named("PersistentVolumeClaim", "other"), json!({})));
    assert!(!is_clone(named("VolumeSnapshot", "source"), json!({})) && !is_clone(json!({}), json!({})));
}

#[test]
fn the_text_names_the_pending_clone() {
    assert_eq!(cloning_in_progress("x"), "PVC 'x' is in 'Pending' state, cloning in progress");
}
