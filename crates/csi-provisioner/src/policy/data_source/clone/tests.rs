//! Sheet 11.8, one test per row: a claim of 1000 bytes from another of 1000 bytes.
#![allow(clippy::needless_pass_by_value)] // json! makes values

use std::sync::Arc;

use serde_json::{Value, json};
use testkit::manifests::merge;

use super::super::fixtures;
use super::*;
use crate::policy::driver::Driver;
use crate::policy::fixtures::{claim, class, driver, settings, stack, volume};
use crate::policy::names::Provisioner;
use crate::policy::prepare::{Inputs, LookedUp, Settings, Step};
use crate::policy::state::{Failure, State};

struct Case {
    settings: Settings,
    driver: Driver,
    claim: Value,
    class: Value,
    source: Value,
    volume: Option<Value>,
    grants: Value,
}

impl Case {
    fn new() -> Self {
        let mut driver = driver();
        driver.capabilities.clone_volume = true;
        Self {
            settings: settings(),
            driver,
            claim: json!({"spec": {
                "resources": {"requests": {"storage": "1000"}},
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "source"},
            }}),
            class: json!({}),
            source: json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"namespace": "fake-ns", "name": "source", "uid": "source-uid"},
                "spec": {
                    "resources": {"requests": {"storage": "1000"}}, "storageClassName": "old-sc", "volumeName": "pv",
                },
                "status": {"phase": "Bound"},
            }),
            volume: Some(json!({
                "metadata": {"name": "pv"},
                "spec": {"claimRef": {"namespace": "fake-ns", "name": "source", "uid": "source-uid"}},
            })),
            grants: json!([]),
        }
    }

    fn claim(mut self, overlay: Value) -> Self {
        stack(&mut self.claim, &overlay);
        self
    }

    fn source(mut self, overlay: Value) -> Self {
        merge(&mut self.source, &overlay);
        self
    }

    fn volume(mut self, overlay: Value) -> Self {
        stack(self.volume.as_mut().unwrap(), &overlay);
        self
    }

    fn modes(self, source: Value, claim: Value) -> Self {
        self.volume(json!({"spec": {"volumeMode": source}})).claim(json!({"spec": {"volumeMode": claim}}))
    }

    /// From namespace `other`, with these grants there and the gate on.
    fn elsewhere(self, reference: Value, grants: Value) -> Self {
        let namespace = reference["namespace"].as_str().unwrap_or("fake-ns").to_owned();
        let mut case = self
            .claim(json!({"spec": {"dataSource": null, "dataSourceRef": reference}}))
            .source(json!({"metadata": {"namespace": namespace}}))
            .volume(json!({"spec": {"claimRef": {"namespace": namespace}}}));
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
            Step::FetchSourceClaim(place) => {
                assert_eq!(place.name, "source");
                fetched.source_claim = Some(serde_json::from_value(self.source.clone()).unwrap());
            }
            Step::FetchSourceVolume(name) => {
                assert_eq!(name, "pv");
                let found = self.volume.as_ref().map(|overlay| Arc::new(volume(overlay)));
                fetched.source_volume = Some(LookedUp(found));
            }
            other => panic!("{other:?}"),
        })
    }

    fn refusal(&self) -> String {
        fixtures::refusal(self.handle(), "PersistentVolumeClaim by Name source")
    }

    fn is_cloned(&self) {
        assert_eq!(self.handle(), Ok(Content::Volume("vol-id-1".into())));
    }
}

#[test]
fn normal_different_storage_classes_nil_nil_fs_fs_fs_nil_block_block() {
    Case::new().is_cloned();
    Case::new().source(json!({"spec": {"storageClassName": "fake-sc"}})).is_cloned();
    for (source, claim) in [
        (json!("Filesystem"), json!("Filesystem")),
        (json!(null), json!("Filesystem")),
        (json!("Filesystem"), json!(null)),
        (json!("Block"), json!("Block")),
    ] {
        Case::new().modes(source, claim).is_cloned();
    }
}

#[test]
fn no_clone_volume() {
    let mut case = Case::new();
    case.driver.capabilities.clone_volume = false;
    let failure = case.handle().unwrap_err();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(
        failure.message,
        "CSI driver does not support clone operations: controller CLONE_VOLUME capability is not reported"
    );
}

#[test]
fn request_999_less_than_source_1000() {
    let small = json!({"spec": {"resources": {"requests": {"storage": "999"}}}});
    assert_eq!(
        Case::new().claim(small).refusal(),
        "error, new PVC request must be greater than or equal in size to the specified PVC data source, requested 999 but source is 1000"
    );
}

#[test]
fn source_class_nil_own_class_nil_source_volume_missing() {
    assert_eq!(
        Case::new().source(json!({"spec": {"storageClassName": null}})).refusal(),
        "the source PVC (source) storageclass cannot be empty"
    );
    assert_eq!(
        Case::new().claim(json!({"spec": {"storageClassName": null}})).refusal(),
        "the requested PVC (fake-pvc) storageclass cannot be empty"
    );
    assert_eq!(
        Case::new().source(json!({"spec": {"volumeName": null}})).refusal(),
        "volume name is empty in source PVC source"
    );
    let mut case = Case::new();
    case.volume = None;
    assert_eq!(case.refusal(), INVALID);
}

#[test]
fn source_phase_pending_lost() {
    for phase in ["Pending", "Lost"] {
        assert_eq!(
            Case::new().source(json!({"status": {"phase": phase}})).refusal(),
            format!("the PVC DataSource source must have a status of Bound.  Got {phase}")
        );
    }
}

#[test]
fn source_volume_released_failed_pending_available() {
    for phase in ["Released", "Failed", "Pending", "Available"] {
        assert_eq!(Case::new().volume(json!({"status": {"phase": phase}})).refusal(), INVALID);
    }
}

#[test]
fn source_volume_claim_nil_other_uid_other_namespace_other_name_other_driver() {
    for spec in [
        json!({"claimRef": null}),
        json!({"claimRef": {"uid": "x"}}),
        json!({"claimRef": {"namespace": "x"}}),
        json!({"claimRef": {"name": "x"}}),
        json!({"csi": {"driver": "other"}}),
        json!({"csi": null}),
    ] {
        assert_eq!(Case::new().volume(json!({ "spec": spec })).refusal(), INVALID, "{spec}");
    }
}

#[test]
fn block_from_fs_block_from_nil_fs_from_block() {
    let text = "the source PVC and destination PVCs must have the same volume mode for cloning.  Source is ";
    for (source, claim, modes) in [
        (json!("Filesystem"), json!("Block"), "Filesystem, but new PVC requested Block"),
        (json!(null), json!("Block"), "Filesystem, but new PVC requested Block"),
        (json!("Block"), json!("Filesystem"), "Block, but new PVC requested Filesystem"),
        (json!("Block"), json!(null), "Block, but new PVC requested Filesystem"),
    ] {
        assert_eq!(Case::new().modes(source, claim).refusal(), format!("{text}{modes}"));
    }
}

fn reference(group: Value, namespace: Value) -> Value {
    json!({"apiGroup": group, "kind": "PersistentVolumeClaim", "name": "source", "namespace": namespace})
}

fn grant(from: Value, to: Value) -> Value {
    fixtures::grant("", "PersistentVolumeClaim", from, to)
}

#[test]
fn cross_namespace_with_grant_api_group_empty_or_nil_with_or_without_name() {
    for group in [json!(""), json!(null)] {
        for name in [json!({}), json!({"name": "source"})] {
            Case::new()
                .elsewhere(reference(group.clone(), json!("other")), grant(json!({}), name))
                .is_cloned();
        }
    }
}

#[test]
fn same_namespace_without_grant_namespace_nil() {
    for namespace in [json!("fake-ns"), json!(null)] {
        Case::new().elsewhere(reference(json!(null), namespace), json!([])).is_cloned();
    }
}

#[test]
fn cross_namespace_wrong_kind_wrong_grants_gate_off() {
    let refused = |case: Case, text: &str| {
        let failure = case.handle().unwrap_err();
        assert_eq!(failure.state, State::Finished);
        assert!(failure.message.starts_with(text), "{}", failure.message);
    };
    let other = || reference(json!(null), json!("other"));
    let mut wrong_kind = other();
    wrong_kind["kind"] = json!("WrongKind");
    let good = || grant(json!({}), json!({}));
    refused(Case::new().elsewhere(wrong_kind, good()), "accessing other/source of WrongKind dataSource");
    let text =
        "accessing other/source of PersistentVolumeClaim dataSource from fake-ns/fake-pvc isn't allowed";
    let mut misplaced = good();
    misplaced[0]["metadata"]["namespace"] = json!("third");
    refused(Case::new().elsewhere(other(), misplaced), text);
    for from in [json!({"group": "x"}), json!({"kind": "x"}), json!({"namespace": "x"})] {
        refused(Case::new().elsewhere(other(), grant(from, json!({}))), text);
    }
    for to in [json!({"group": "x"}), json!({"kind": "x"}), json!({"name": "x"})] {
        refused(Case::new().elsewhere(other(), grant(json!({}), to)), text);
    }
    let mut case = Case::new().elsewhere(other(), good());
    case.settings.cross_namespace = false;
    refused(
        case,
        "dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled",
    );
}

#[test]
fn source_deleting_without_and_with_protection() {
    let deleting = |finalizers: Value| {
        Case::new().source(json!({"metadata": {
            "deletionTimestamp": "2026-11-21T05:00:00Z", "finalizers": finalizers,
        }}))
    };
    assert_eq!(deleting(json!(["x"])).refusal(), "the PVC DataSource source is currently being deleted");
    deleting(json!(["x", FINALIZER])).is_cloned();
}

#[test]
fn a_volume_of_the_in_tree_plugin_is_cloned_by_its_driver() {
    let ebs =
        json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}}});
    let mut case = Case::new()
        .claim(ebs)
        .volume(json!({"spec": {"csi": null, "awsElasticBlockStore": {"volumeID": "vol-1"}}}));
    case.driver.names = Provisioner::new("ebs.csi.aws.com");
    case.class = json!({"provisioner": "kubernetes.io/aws-ebs"});
    assert_eq!(case.handle(), Ok(Content::Volume("vol-1".into())));
    let other = case.volume(json!({"spec": {"awsElasticBlockStore": null, "cinder": {"volumeID": "vol-1"}}}));
    assert_eq!(other.refusal(), INVALID);
}
