//! Sheet 11.10: which claims are translated, and what of.

use serde_json::{Value, json};

use super::*;
use crate::policy::claim::{Reason, Verdict, should_provision};
use crate::policy::driver::Driver;
use crate::policy::fixtures::{claim, class as class_of, driver, settings, volume};
use crate::policy::prepare::{Fetched, Inputs, Plan, Step, next};
use crate::policy::volume::{Created, Occupant, build, occupant};

const DRIVER: &str = "ebs.csi.aws.com";
const IN_TREE: &str = "kubernetes.io/aws-ebs";
const GA: &str = "volume.kubernetes.io/storage-provisioner";
const BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
const MIGRATED: &str = "pv.kubernetes.io/migrated-to";

fn ebs() -> Driver {
    Driver { names: Provisioner::new(DRIVER), ..driver() }
}

fn annotated(pairs: &[(&str, &str)]) -> Value {
    let mut annotations = json!({GA: null});
    for (key, value) in pairs {
        annotations[key] = json!(value);
    }
    json!({"metadata": {"annotations": annotations}})
}

fn in_tree_class() -> Value {
    json!({"provisioner": IN_TREE, "parameters": {"fsType": "xfs", "iopsPerGB": "50"}, "mountOptions": ["x"]})
}

fn plan(annotations: &[(&str, &str)], class: &Value) -> Plan {
    let (settings, driver) = (settings(), ebs());
    let (claim, class) = (claim(&annotated(annotations)), class_of(class));
    assert_eq!(should_provision(&driver.names, &claim, Some(&class)), Verdict::Provision);
    let inputs = Inputs { settings: &settings, driver: &driver, claim: &claim, class: Some(&class) };
    match next(&inputs, &Fetched::default()).unwrap() {
        Step::Create(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn saved(class: &Value) -> PersistentVolume {
    let (settings, driver) = (settings(), ebs());
    let claim = claim(&annotated(&[(GA, DRIVER)]));
    let plan = plan(&[(GA, DRIVER)], class);
    let class = class_of(class);
    let inputs = Inputs { settings: &settings, driver: &driver, claim: &claim, class: Some(&class) };
    let context = [("partition".to_owned(), "2".to_owned())].into();
    let created = Created { volume_id: "vol-1".into(), capacity: 100, context };
    build(&inputs, &class, &plan, created)
}

#[test]
fn in_tree_class_translated_parameters() {
    for annotations in [
        &[(BETA, DRIVER)][..],
        &[(GA, DRIVER)],
        &[(BETA, IN_TREE), (MIGRATED, DRIVER)],
        &[(BETA, DRIVER), (MIGRATED, DRIVER)],
    ] {
        let plan = plan(annotations, &in_tree_class());
        assert!(plan.migrated);
        let expected = [("iopsPerGB", "50"), ("allowautoiopspergbincrease", "true")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(plan.wish.parameters, expected.into(), "{annotations:?}");
        assert_eq!(plan.fs_type, "xfs");
    }
}

#[test]
fn class_of_the_driver_no_translation() {
    for key in [BETA, GA] {
        let class = json!({"provisioner": DRIVER, "parameters": {"iopsPerGB": "50"}});
        let plan = plan(&[(key, DRIVER)], &class);
        assert!(!plan.migrated);
        assert_eq!(plan.wish.parameters, [("iopsPerGB".to_owned(), "50".to_owned())].into());
    }
}

#[test]
fn migrated_to_another_driver_or_not_at_all_is_ignored() {
    for annotations in
        [&[(BETA, IN_TREE), (MIGRATED, "foo")][..], &[(BETA, "foo"), (MIGRATED, "foo")], &[(BETA, IN_TREE)]]
    {
        let claim = claim(&annotated(annotations));
        let class = class_of(&in_tree_class());
        let verdict = should_provision(&Provisioner::new(DRIVER), &claim, Some(&class));
        assert_eq!(verdict, Verdict::Leave(Reason::NotOurs), "{annotations:?}");
    }
}

#[test]
fn the_volume_is_translated_and_says_who_provisioned_it() {
    let volume = in_tree_volume(&saved(&in_tree_class())).unwrap();
    assert_eq!(
        serde_json::to_value(volume).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": "test-testi",
                "annotations": {
                    "pv.kubernetes.io/provisioned-by": IN_TREE,
                    "volume.kubernetes.io/provisioner-deletion-secret-name": "",
                    "volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
                },
                "finalizers": ["external-provisioner.volume.kubernetes.io/finalizer"],
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "100"},
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "fake-pvc",
                    "namespace": "fake-ns", "resourceVersion": "7", "uid": "testid",
                },
                "awsElasticBlockStore": {"volumeID": "vol-1", "fsType": "xfs", "partition": 2},
                "mountOptions": ["x"],
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "fake-sc",
            },
        })
    );
}

#[test]
fn a_translated_volume_is_known_again() {
    let ours = in_tree_volume(&saved(&in_tree_class())).unwrap();
    assert_eq!(identity(&ours), Some((DRIVER.to_owned(), "vol-1".to_owned())));
    let mut defaulted = serde_json::to_value(&ours).unwrap();
    defaulted["spec"]["awsElasticBlockStore"]["readOnly"] = json!(false);
    let defaulted: PersistentVolume = serde_json::from_value(defaulted).unwrap();
    assert_eq!(occupant(&defaulted, &ours), Occupant::Ours);
    let mut other = serde_json::to_value(&ours).unwrap();
    other["spec"]["awsElasticBlockStore"]["volumeID"] = json!("vol-2");
    assert_eq!(occupant(&serde_json::from_value(other).unwrap(), &ours), Occupant::Foreign);
}

#[test]
fn class_that_names_its_zones_twice() {
    let twice = json!({
        "provisioner": IN_TREE, "parameters": {"zone": "a"},
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["b"]}]}],
    });
    assert_eq!(
        class(&Provisioner::new(DRIVER), &class_of(&twice)).unwrap_err(),
        "failed to translate storage class: cannot simultaneously set allowed topologies and zone/zones parameters"
    );
}

#[test]
fn zones_become_allowed_topologies() {
    let zoned = class_of(&json!({"provisioner": IN_TREE, "parameters": {"zones": "a,b"}}));
    let translated = class(&Provisioner::new(DRIVER), &zoned).unwrap();
    let requirement = TopologyRequirement {
        key: "topology.ebs.csi.aws.com/zone".into(),
        values: vec!["a".into(), "b".into()],
    };
    assert_eq!(translated.allowed_topologies, [TopologyTerm { requirements: vec![requirement] }]);
    assert_eq!(*translated.provisioner, *IN_TREE, "volumes go on to name the plugin");
}

#[test]
fn handles_of_volumes_old_and_new() {
    let of = |spec: Value| csi_handle(DRIVER, &volume(&json!({ "spec": spec })));
    assert_eq!(of(json!({"csi": {"driver": DRIVER}})), Ok(Some("vol-id-1".into())));
    assert_eq!(of(json!({})), Ok(None), "of another driver");
    let ebs = |id: &str| json!({"csi": null, "awsElasticBlockStore": {"volumeID": id}});
    assert_eq!(of(ebs("aws://us-east-1a/vol-2")), Ok(Some("vol-2".into())));
    assert!(of(ebs("aws://us-east-1a/x/y")).is_err());
    assert_eq!(of(json!({"csi": null, "cinder": {"volumeID": "x"}})), Ok(None));
}
