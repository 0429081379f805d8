//! Sheet 11.7, one test per row: a claim of 1000 bytes from a snapshot of 1000 bytes of a file system.
#![allow(clippy::needless_pass_by_value)] // json! makes values

use serde_json::{Value, json};
use testkit::manifests::merge;

use super::super::fixtures;
use super::*;
use crate::policy::driver::Driver;
use crate::policy::fixtures::{claim, class, driver, settings, stack};
use crate::policy::names::Provisioner;
use crate::policy::prepare::{Fetched, Inputs, Settings, Step, next};
use crate::policy::state::{Failure, State};

const ALLOW: &str = "snapshot.storage.kubernetes.io/allow-volume-mode-change";

struct Case {
    settings: Settings,
    driver: Driver,
    claim: Value,
    class: Value,
    snapshot: Value,
    content: Value,
    grants: Value,
}

impl Case {
    fn new() -> Self {
        let mut driver = driver();
        driver.capabilities.create_delete_snapshot = true;
        let source = json!({"kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "snap"});
        Self {
            settings: settings(),
            driver,
            claim: json!({"spec": {
                "resources": {"requests": {"storage": "1000"}}, "dataSource": source, "volumeMode": "Filesystem",
            }}),
            class: json!({}),
            snapshot: json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": {"namespace": "fake-ns", "name": "snap", "uid": "snap-uid"},
                "spec": {"source": {"persistentVolumeClaimName": "origin"}},
                "status": {"boundVolumeSnapshotContentName": "content", "readyToUse": true, "restoreSize": "1000"},
            }),
            content: json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
                "metadata": {"name": "content"},
                "spec": {
                    "deletionPolicy": "Delete", "driver": "test-driver", "sourceVolumeMode": "Filesystem",
                    "source": {"volumeHandle": "vol"},
                    "volumeSnapshotRef": {"namespace": "fake-ns", "name": "snap", "uid": "snap-uid"},
                },
                "status": {"snapshotHandle": "snap-id", "readyToUse": true, "restoreSize": 1000},
            }),
            grants: json!([]),
        }
    }

    fn claim(mut self, overlay: Value) -> Self {
        stack(&mut self.claim, &overlay);
        self
    }

    fn snapshot(mut self, overlay: Value) -> Self {
        merge(&mut self.snapshot, &overlay);
        self
    }

    fn content(mut self, overlay: Value) -> Self {
        merge(&mut self.content, &overlay);
        self
    }

    /// From namespace `other`, with these grants there and the gate on.
    fn elsewhere(self, source: Value, grants: Value) -> Self {
        let mut case = self
            .claim(json!({"spec": {"dataSource": null, "dataSourceRef": source}}))
            .snapshot(json!({"metadata": {"namespace": "other"}}))
            .content(json!({"spec": {"volumeSnapshotRef": {"namespace": "other"}}}));
        case.settings.cross_namespace = true;
        case.grants = grants;
        case
    }

    /// Goes on until the source is to be protected or the claim is refused.
    fn handle(&self) -> Result<Content, Failure> {
        let (claim, class) = (claim(&self.claim), class(&self.class));
        let inputs =
            Inputs { settings: &self.settings, driver: &self.driver, claim: &claim, class: Some(&class) };
        fixtures::handle(&inputs, &self.grants, |step, fetched| match step {
            Step::FetchSnapshot(place) => {
                assert_eq!(place.name, "snap");
                fetched.snapshot = Some(serde_json::from_value(self.snapshot.clone()).unwrap());
            }
            Step::FetchSnapshotContent(name) => {
                assert_eq!(name, "content");
                fetched.snapshot_content = Some(serde_json::from_value(self.content.clone()).unwrap());
            }
            other => panic!("{other:?}"),
        })
    }

    fn refusal(&self) -> String {
        fixtures::refusal(self.handle(), "VolumeSnapshot by Name snap")
    }

    fn is_restored(&self) {
        assert_eq!(self.handle(), Ok(Content::Snapshot("snap-id".into())));
    }
}

#[test]
fn ready_snapshot() {
    Case::new().is_restored();
    Case::new().snapshot(json!({"status": {"restoreSize": null}})).is_restored();
}

#[test]
fn pvc_100_less_than_restore_size() {
    let small = json!({"spec": {"resources": {"requests": {"storage": "100"}}}});
    assert_eq!(
        Case::new().claim(small).refusal(),
        "requested volume size 100 is less than the size 1000 for the source snapshot snap"
    );
    let sizeless = json!({"spec": {"resources": {"requests": null}}});
    assert_eq!(
        Case::new().claim(sizeless).refusal(),
        "error getting capacity for PVC fake-pvc when creating snapshot snap"
    );
}

#[test]
fn empty_source_name_kind_unsupported_kind_wrong_api_group() {
    for (source, state, text) in [
        (json!({"name": ""}), State::Finished, "the PVC source not found for PVC fake-pvc"),
        (json!({"kind": "UnsupportedKind"}), State::Finished, "data source (UnsupportedKind) is not handled"),
        (
            json!({"apiGroup": "example.com"}),
            State::Finished,
            "the PVC source does not belong to the right APIGroup. Expected snapshot.storage.k8s.io, Got example.com",
        ),
    ] {
        let failure = Case::new().claim(json!({"spec": {"dataSource": source}})).handle().unwrap_err();
        assert_eq!(failure.state, state);
        assert!(failure.message.starts_with(text), "{}", failure.message);
    }
}

#[test]
fn driver_without_create_delete_snapshot() {
    let mut case = Case::new();
    case.driver.capabilities.create_delete_snapshot = false;
    let failure = case.handle().unwrap_err();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(
        failure.message,
        "CSI driver does not support snapshot restore: controller CREATE_DELETE_SNAPSHOT capability is not reported"
    );
}

#[test]
fn ready_to_use_false_or_nil() {
    for ready in [json!(false), json!(null)] {
        let case = Case::new().snapshot(json!({"status": {"readyToUse": ready}}));
        assert_eq!(case.refusal(), "snapshot snap is not Ready");
    }
}

#[test]
fn content_bound_to_other_snapshot_by_uid_namespace_name() {
    for other in [json!({"uid": "x"}), json!({"namespace": "x"}), json!({"name": "x"})] {
        assert_eq!(
            Case::new().content(json!({"spec": {"volumeSnapshotRef": other}})).refusal(),
            "snapshotcontent content for snapshot snap is bound to a different snapshot"
        );
    }
}

#[test]
fn content_driver_is_not_class_provisioner() {
    assert_eq!(
        Case::new().content(json!({"spec": {"driver": "other"}})).refusal(),
        "snapshotcontent content for snapshot snap is not handled by CSI driver of StorageClass fake-sc"
    );
}

#[test]
fn restore_through_an_in_tree_class() {
    let mut case = Case::new()
        .claim(json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}}}))
        .content(json!({"spec": {"driver": "ebs.csi.aws.com"}}));
    case.driver.names = Provisioner::new("ebs.csi.aws.com");
    case.class = json!({"provisioner": "kubernetes.io/aws-ebs"});
    case.is_restored();
}

#[test]
fn content_status_nil_handle_nil_snapshot_status_nil_content_name_nil() {
    let refusal = |case: Case| case.refusal();
    for content in [json!({"status": null}), json!({"status": {"snapshotHandle": null}})] {
        assert_eq!(refusal(Case::new().content(content)), "snapshot handle snap is not available");
    }
    for snapshot in [json!({"status": null}), json!({"status": {"boundVolumeSnapshotContentName": null}})] {
        assert_eq!(refusal(Case::new().snapshot(snapshot)), "snapshot snap not bound");
    }
}

#[test]
fn block_pvc_from_filesystem_snapshot_with_annotation_true_or_without() {
    let block = || Case::new().claim(json!({"spec": {"volumeMode": "Block"}}));
    let annotated = |value: &str| block().content(json!({"metadata": {"annotations": {ALLOW: value}}}));
    for value in ["1", "t", "T", "TRUE", "true", "True"] {
        annotated(value).is_restored();
    }
    let prefix = "requested volume fake-ns/fake-pvc modifies the mode of the source volume but does not have \
                  permission to do so. ";
    for (case, text) in [
        (block(), format!("{ALLOW} annotation is not present on snapshotcontent content")),
        (annotated("F"), format!("{ALLOW} is set to false on snapshotcontent content")),
        (
            annotated("yes"),
            format!(
                "failed to convert {ALLOW} annotation value to boolean with error: \
                 strconv.ParseBool: parsing \"yes\": invalid syntax"
            ),
        ),
    ] {
        assert_eq!(case.refusal(), format!("{prefix}{text}"));
    }
    let mut unchecked = block();
    unchecked.settings.keep_volume_mode = false;
    unchecked.is_restored();
    block().content(json!({"spec": {"sourceVolumeMode": null}})).is_restored();
}

#[test]
fn gate_on_same_namespace_data_source() {
    let mut case = Case::new();
    case.settings.cross_namespace = true;
    case.is_restored();
}

fn source(namespace: Value) -> Value {
    json!({
        "kind": "VolumeSnapshot", "apiGroup": "snapshot.storage.k8s.io", "name": "snap", "namespace": namespace,
    })
}

fn grant(from: Value, to: Value) -> Value {
    fixtures::grant("snapshot.storage.k8s.io", "VolumeSnapshot", from, to)
}

#[test]
fn cross_namespace_grant_without_name_matching_name_nil_or_empty() {
    for name in [json!({}), json!({"name": "snap"}), json!({"name": null}), json!({"name": ""})] {
        Case::new().elsewhere(source(json!("other")), grant(json!({}), name)).is_restored();
    }
}

#[test]
fn same_namespace_reference_without_grant_gate_on() {
    for namespace in [json!("fake-ns"), json!(null), json!("")] {
        let mut case = Case::new().elsewhere(source(namespace), json!([]));
        case.snapshot["metadata"]["namespace"] = json!("fake-ns");
        case.content["spec"]["volumeSnapshotRef"]["namespace"] = json!("fake-ns");
        case.is_restored();
    }
}

#[test]
fn cross_namespace_without_grant_or_with_another() {
    let denied = |grants: Value| {
        let failure = Case::new().elsewhere(source(json!("other")), grants).handle().unwrap_err();
        assert_eq!(failure.state, State::Finished);
        assert_eq!(
            failure.message,
            "accessing other/snap of VolumeSnapshot dataSource from fake-ns/fake-pvc isn't allowed"
        );
    };
    denied(json!([]));
    let mut misplaced = grant(json!({}), json!({}));
    misplaced[0]["metadata"]["namespace"] = json!("third");
    denied(misplaced);
    for from in [json!({"group": "x"}), json!({"kind": "Pod"}), json!({"namespace": "third"})] {
        denied(grant(from, json!({})));
    }
    for to in [json!({"kind": "PersistentVolumeClaim"}), json!({"group": ""}), json!({"name": "another"})] {
        denied(grant(json!({}), to));
    }
    denied(json!([{"metadata": {"namespace": "other"}, "spec": {"from": [], "to": []}}]));
}

#[test]
fn cross_namespace_gate_off() {
    let mut case = Case::new().elsewhere(source(json!("other")), grant(json!({}), json!({})));
    case.settings.cross_namespace = false;
    let failure = case.handle().unwrap_err();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(
        failure.message,
        "dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled"
    );
}

fn deleting(finalizers: Value) -> Case {
    Case::new().snapshot(json!({"metadata": {
        "deletionTimestamp": "2026-11-21T05:00:00Z", "finalizers": finalizers,
    }}))
}

#[test]
fn snapshot_deleting_without_our_finalizer_or_with_a_foreign_finalizer_only() {
    for finalizers in
        [json!([]), json!(["snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"])]
    {
        assert_eq!(deleting(finalizers).refusal(), "snapshot snap is being deleted");
    }
}

#[test]
fn snapshot_deleting_with_our_finalizer() {
    deleting(json!(["foreign", FINALIZER])).is_restored();
}

#[test]
fn a_request_that_may_be_under_way_is_repeated_whatever_became_of_the_snapshot() {
    let case = Case::new().elsewhere(source(json!("other")), json!([]));
    let (claim, class) = (claim(&case.claim), class(&json!({})));
    let inputs =
        Inputs { settings: &case.settings, driver: &case.driver, claim: &claim, class: Some(&class) };
    let fetched = Fetched { content: Some(Content::Snapshot("snap-id".into())), ..Fetched::default() };
    let Ok(Step::Create(plan)) = next(&inputs, &fetched) else { panic!("something else is asked for") };
    assert_eq!(plan.wish.content, Some(Content::Snapshot("snap-id".into())));
}
