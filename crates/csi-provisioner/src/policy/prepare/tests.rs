//! Sheet 11.4 and 11.3, one test per row: from claim and class through request and answer to the object saved.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // fixtures in the shape of what they stand for

use csi_client::csi::volume_capability::AccessType;
use csi_client::csi::volume_capability::access_mode::Mode;
use k8s_openapi::api::core::v1::{PersistentVolume, SecretReference};
use serde_json::{Value, json};

use super::*;
use crate::policy::claim::{Verdict, should_provision};
use crate::policy::fixtures::{attributes_class, claim, class, driver, settings};
use crate::policy::state::State;
use crate::policy::volume;
use crate::policy::volume::Created;

/// A claim, its class and the sidecar, as the upstream fixtures have them.
struct Case {
    settings: Settings,
    driver: Driver,
    claim: Value,
    class: Value,
    fetched: Fetched,
}

impl Case {
    fn new() -> Self {
        Self {
            settings: settings(),
            driver: driver(),
            claim: json!({}),
            class: json!({}),
            fetched: Fetched::default(),
        }
    }

    fn claim(mut self, overlay: Value) -> Self {
        self.claim = overlay;
        self
    }

    fn class(mut self, overlay: Value) -> Self {
        self.class = overlay;
        self
    }

    fn parameters(self, parameters: Value) -> Self {
        self.class(json!({ "parameters": parameters }))
    }

    fn secret(mut self) -> Self {
        self.fetched.secret = Some([("key".to_owned(), "value".to_owned())].into());
        self
    }

    fn next(&self) -> Result<Step, Failure> {
        let (claim, class) = (claim(&self.claim), class(&self.class));
        let verdict = should_provision(&self.driver.names, &claim, Some(&class));
        assert_eq!(verdict, Verdict::Provision);
        next(
            &Inputs { settings: &self.settings, driver: &self.driver, claim: &claim, class: Some(&class) },
            &self.fetched,
        )
    }

    fn plan(&self) -> Plan {
        match self.next().unwrap() {
            Step::Create(plan) => *plan,
            other => panic!("{other:?}"),
        }
    }

    fn failure(&self) -> Failure {
        self.next().unwrap_err()
    }

    fn volume(&self) -> PersistentVolume {
        let (plan, claim, class) = (self.plan(), claim(&self.claim), class(&self.class));
        let inputs =
            Inputs { settings: &self.settings, driver: &self.driver, claim: &claim, class: Some(&class) };
        let created = Created {
            volume_id: "test-volume-id".into(),
            capacity: plan.wish.required_bytes,
            context: BTreeMap::new(),
        };
        volume::build(&inputs, &class, &plan, created)
    }
}

fn modes(plan: &Plan) -> Vec<Mode> {
    plan.wish.capabilities.iter().map(|capability| capability.access_mode.as_ref().unwrap().mode()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn normal_fstype_ext3() {
    let volume = Case::new().parameters(json!({"fstype": "ext3"})).volume();
    assert_eq!(
        serde_json::to_value(volume).unwrap(),
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": "test-testi",
                "annotations": {
                    "pv.kubernetes.io/provisioned-by": "test-driver",
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
                "csi": {
                    "driver": "test-driver",
                    "fsType": "ext3",
                    "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": "test-provisioner"},
                    "volumeHandle": "test-volume-id",
                },
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": "fake-sc",
            },
        })
    );
}

#[test]
fn extra_metadata() {
    let mut case = Case::new().parameters(json!({"fstype": "ext3"}));
    case.settings.extra_create_metadata = true;
    assert_eq!(
        case.plan().wish.parameters,
        pairs(&[
            ("fstype", "ext3"),
            ("csi.storage.k8s.io/pvc/name", "fake-pvc"),
            ("csi.storage.k8s.io/pvc/namespace", "fake-ns"),
            ("csi.storage.k8s.io/pv/name", "test-testi"),
        ])
    );
}

#[test]
fn fstype_and_prefixed_fstype() {
    let failure =
        Case::new().parameters(json!({"fstype": "ext3", "csi.storage.k8s.io/fstype": "ext4"})).failure();
    assert_eq!(failure.state, State::Finished);
    assert!(failure.message.starts_with("fstype specified in parameters with both"));
}

#[test]
fn prefixed_fstype_only() {
    let case = Case::new().parameters(json!({"csi.storage.k8s.io/fstype": "ext3"}));
    assert_eq!(case.plan().wish.parameters, pairs(&[]));
    assert_eq!(case.volume().spec.unwrap().csi.unwrap().fs_type.as_deref(), Some("ext3"));
}

#[test]
fn fs_type_of_the_volume_follows_class_and_default() {
    for (class, default, expected) in [
        (json!({}), "ext4", Some("ext4")),
        (json!({"fstype": "xfs"}), "ext4", Some("xfs")),
        (json!({}), "", None),
        (json!({"fstype": "xfs"}), "", Some("xfs")),
    ] {
        let mut case = Case::new().parameters(class);
        case.settings.default_fs_type = default.into();
        assert_eq!(case.volume().spec.unwrap().csi.unwrap().fs_type.as_deref(), expected);
    }
}

#[test]
fn rwx_rox_flag_false_rox_flag_true_rwo() {
    for (mode, flag, expected, read_only) in [
        ("ReadWriteMany", false, Mode::MultiNodeMultiWriter, None),
        ("ReadOnlyMany", false, Mode::MultiNodeReaderOnly, None),
        ("ReadOnlyMany", true, Mode::MultiNodeReaderOnly, Some(true)),
        ("ReadWriteOnce", true, Mode::SingleNodeWriter, None),
    ] {
        let mut case = Case::new().claim(json!({"spec": {"accessModes": [mode]}}));
        case.settings.controller_publish_readonly = flag;
        assert_eq!(modes(&case.plan()), [expected]);
        let spec = case.volume().spec.unwrap();
        assert_eq!(spec.csi.unwrap().read_only, read_only);
        assert_eq!(spec.access_modes.unwrap(), [mode]);
    }
}

#[test]
fn rwo_rwop_with_single_node_multi_writer() {
    for (mode, expected) in
        [("ReadWriteOnce", Mode::SingleNodeMultiWriter), ("ReadWriteOncePod", Mode::SingleNodeSingleWriter)]
    {
        let mut case = Case::new().claim(json!({"spec": {"accessModes": [mode]}}));
        case.driver.capabilities.single_node_multi_writer = true;
        assert_eq!(modes(&case.plan()), [expected]);
    }
}

#[test]
fn rox_and_rwo_two_capabilities_in_order() {
    let case = Case::new().claim(json!({"spec": {"accessModes": ["ReadOnlyMany", "ReadWriteOnce"]}}));
    assert_eq!(modes(&case.plan()), [Mode::MultiNodeReaderOnly, Mode::SingleNodeWriter]);
    assert_eq!(case.volume().spec.unwrap().access_modes.unwrap(), ["ReadOnlyMany", "ReadWriteOnce"]);
}

const PREFIXES: [&str; 7] = [
    "provisioner",
    "controller-publish",
    "node-stage",
    "node-publish",
    "controller-expand",
    "node-expand",
    "controller-modify",
];

fn reference(name: &str) -> Option<SecretReference> {
    Some(SecretReference { name: Some(name.into()), namespace: Some("default".into()) })
}

fn secrets_of(volume: PersistentVolume) -> ([Option<SecretReference>; 5], BTreeMap<String, String>) {
    let source = volume.spec.unwrap().csi.unwrap();
    let references = [
        source.controller_publish_secret_ref,
        source.node_stage_secret_ref,
        source.node_publish_secret_ref,
        source.controller_expand_secret_ref,
        source.node_expand_secret_ref,
    ];
    (references, volume.metadata.annotations.unwrap())
}

#[test]
fn all_secrets_set() {
    let mut parameters = serde_json::Map::new();
    for prefix in PREFIXES {
        parameters.insert(format!("csi.storage.k8s.io/{prefix}-secret-name"), json!(format!("{prefix}-s")));
        parameters.insert(format!("csi.storage.k8s.io/{prefix}-secret-namespace"), json!("default"));
    }
    let case = Case::new().parameters(Value::Object(parameters));
    let wanted = SecretRef { name: "provisioner-s".into(), namespace: "default".into() };
    assert_eq!(case.next().unwrap(), Step::FetchSecret(wanted));
    let case = case.secret();
    let (references, annotations) = secrets_of(case.volume());
    assert_eq!(
        references,
        ["controller-publish-s", "node-stage-s", "node-publish-s", "controller-expand-s", "node-expand-s"]
            .map(reference)
    );
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-name"], "provisioner-s");
    assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-namespace"], "default");
    assert_eq!(annotations["volume.kubernetes.io/controller-modify-secret-name"], "controller-modify-s");
    assert_eq!(annotations["volume.kubernetes.io/controller-modify-secret-namespace"], "default");
    assert_eq!(case.plan().wish.parameters, pairs(&[]), "no secret key reaches the driver");
}

#[test]
fn default_secret_pair_and_templated_default() {
    for (template, name) in [("default-secret", "default-secret"), ("${pvc.name}", "fake-pvc")] {
        let case = Case::new()
            .parameters(json!({
                "csi.storage.k8s.io/secret-name": template,
                "csi.storage.k8s.io/secret-namespace": "default",
            }))
            .secret();
        let (references, annotations) = secrets_of(case.volume());
        assert_eq!(references, [(); 5].map(|()| reference(name)));
        assert_eq!(annotations["volume.kubernetes.io/provisioner-deletion-secret-name"], name);
        assert_eq!(annotations["volume.kubernetes.io/controller-modify-secret-name"], name);
    }
}

#[test]
fn templates_with_annotations_ask_for_the_claim() {
    let mut case = Case::new().parameters(json!({
        "csi.storage.k8s.io/provisioner-secret-name": "${pvc.annotations['team']}-key",
        "csi.storage.k8s.io/provisioner-secret-namespace": "${pvc.namespace}",
    }));
    assert_eq!(case.next().unwrap(), Step::FetchAnnotations);
    case.fetched.annotations = Some(pairs(&[("team", "red")]));
    let wanted = SecretRef { name: "red-key".into(), namespace: "fake-ns".into() };
    assert_eq!(case.next().unwrap(), Step::FetchSecret(wanted));
    case.fetched.annotations = Some(pairs(&[]));
    assert_eq!(case.failure().state, State::NoChange);
}

#[test]
fn volume_mode_filesystem_and_block() {
    let filesystem = Case::new().claim(json!({"spec": {"volumeMode": "Filesystem"}})).volume();
    let spec = filesystem.spec.unwrap();
    assert_eq!(spec.volume_mode.as_deref(), Some("Filesystem"));
    assert_eq!(spec.csi.unwrap().fs_type.as_deref(), Some("ext4"));

    let case = Case::new().claim(json!({"spec": {"volumeMode": "Block"}}));
    assert!(matches!(case.plan().wish.capabilities[0].access_type, Some(AccessType::Block(_))));
    let spec = case.volume().spec.unwrap();
    assert_eq!(spec.volume_mode.as_deref(), Some("Block"));
    assert_eq!(spec.csi.unwrap().fs_type, None);
}

#[test]
fn secret_name_key_present_but_empty() {
    let failure = Case::new()
        .parameters(json!({
            "csi.storage.k8s.io/provisioner-secret-name": "",
            "csi.storage.k8s.io/provisioner-secret-namespace": "default",
        }))
        .failure();
    assert_eq!(failure.state, State::NoChange);
}

#[test]
fn default_secret_template_plus_broken_provisioner_key() {
    let failure = Case::new()
        .parameters(json!({
            "csi.storage.k8s.io/secret-name": "default-secret",
            "csi.storage.k8s.io/secret-namespace": "default",
            "csi.storage.k8s.io/provisioner-secret-name": "",
        }))
        .failure();
    assert_eq!(failure.state, State::NoChange);
}

#[test]
fn selector_non_nil_uid_empty_class_nil() {
    let failure = Case::new().claim(json!({"spec": {"selector": {}}})).failure();
    assert_eq!(
        (failure.state, failure.message.as_str()),
        (State::Finished, "claim Selector is not supported")
    );

    let failure = Case::new().claim(json!({"metadata": {"uid": ""}})).failure();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(failure.message, "corrupted PVC object, it is missing UID");

    let (settings, driver, claim) = (settings(), driver(), claim(&json!({})));
    let inputs = Inputs { settings: &settings, driver: &driver, claim: &claim, class: None };
    let failure = next(&inputs, &Fetched::default()).unwrap_err();
    assert_eq!((failure.state, failure.message.as_str()), (State::Finished, "storage class was nil"));
}

#[test]
fn mount_options() {
    let case = Case::new().class(json!({"mountOptions": ["foo=bar", "baz=qux"]}));
    let plan = case.plan();
    let Some(AccessType::Mount(mount)) = &plan.wish.capabilities[0].access_type else { panic!() };
    assert_eq!(mount.mount_flags, ["foo=bar", "baz=qux"]);
    assert_eq!(case.volume().spec.unwrap().mount_options.unwrap(), ["foo=bar", "baz=qux"]);
}

#[test]
fn data_source_kind_my_populator() {
    for field in ["dataSource", "dataSourceRef"] {
        let source = json!({"kind": "MyPopulator", "apiGroup": "my.example.io", "name": "x"});
        let failure = Case::new().claim(json!({"spec": {field: source}})).failure();
        assert_eq!((failure.state, failure.cause), (State::Finished, Cause::Populator));
        assert_eq!(
            failure.message,
            "data source (MyPopulator) is not handled by the provisioner, assuming an external populator will provision it"
        );
    }
}

#[test]
fn data_source_without_name_of_wrong_group_or_from_elsewhere() {
    let failure_of = |spec: Value| Case::new().claim(json!({ "spec": spec })).failure().message;
    assert_eq!(
        failure_of(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": ""}})),
        "the PVC source not found for PVC fake-pvc"
    );
    assert_eq!(
        failure_of(json!({"dataSource": {"kind": "VolumeSnapshot", "apiGroup": "x", "name": "s"}})),
        "the PVC source does not belong to the right APIGroup. Expected snapshot.storage.k8s.io, Got x"
    );
    assert_eq!(
        failure_of(json!({"dataSourceRef": {"kind": "Any", "name": "s", "namespace": "other"}})),
        "dataSourceRef namespace specified but the CrossNamespaceVolumeDataSource feature is disabled"
    );
}

#[test]
fn topology_of_later_versions_is_refused_unless_the_gate_is_off() {
    let mut case = Case::new();
    case.driver.capabilities.accessibility_constraints = true;
    let failure = case.failure();
    assert_eq!(failure.state, State::Finished);
    assert!(failure.message.contains("--feature-gates=Topology=false"), "{}", failure.message);
    case.settings.topology = false;
    assert!(!case.plan().node_selected);
}

fn with_attributes_class() -> Case {
    let mut case = Case::new()
        .claim(json!({"spec": {"volumeAttributesClassName": "gold"}}))
        .parameters(json!({"from": "class"}));
    case.driver.capabilities.modify_volume = true;
    case
}

#[test]
fn vac_with_gate_on_and_modify_volume() {
    let mut case = with_attributes_class();
    assert_eq!(case.next().unwrap(), Step::FetchAttributesClass("gold".into()));
    case.fetched.attributes_class = Some(attributes_class("test-driver", &[("iops", "100")]));
    let plan = case.plan();
    assert_eq!(plan.wish.mutable_parameters, pairs(&[("iops", "100")]));
    assert_eq!(plan.wish.parameters, pairs(&[("from", "class")]));
    assert_eq!(case.volume().spec.unwrap().volume_attributes_class_name.as_deref(), Some("gold"));
}

#[test]
fn vac_gate_off() {
    let mut case = with_attributes_class();
    case.settings.attributes_class = false;
    assert_eq!(case.plan().wish.mutable_parameters, pairs(&[]));
    assert_eq!(case.volume().spec.unwrap().volume_attributes_class_name, None);
}

#[test]
fn vac_driver_lacks_modify_volume() {
    let mut case = with_attributes_class();
    case.driver.capabilities.modify_volume = false;
    let failure = case.failure();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(
        failure.message,
        "CSI driver does not support VolumeAttributesClass: controller MODIFY_VOLUME capability is not reported"
    );
}

#[test]
fn vac_for_other_driver() {
    let mut case = with_attributes_class();
    case.fetched.attributes_class = Some(attributes_class("other", &[]));
    let failure = case.failure();
    assert_eq!(failure.state, State::Finished);
    assert_eq!(
        failure.message,
        "VAC gold referenced in PVC is for driver other which does not match driver name test-driver"
    );
}

#[test]
fn claims_of_other_drivers_are_ignored() {
    let (settings, driver) = (settings(), driver());
    let claim =
        claim(&json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-provisioner": "other"}}}));
    let class = class(&json!({}));
    let inputs = Inputs { settings: &settings, driver: &driver, claim: &claim, class: Some(&class) };
    assert_eq!(next(&inputs, &Fetched::default()).unwrap_err().cause, Cause::Ignored);
}

#[test]
fn quantity_rows_and_driver_attributes_win_over_ours() {
    let case = Case::new();
    let (plan, claim, class) = (case.plan(), claim(&json!({})), class(&json!({})));
    let inputs =
        Inputs { settings: &case.settings, driver: &case.driver, claim: &claim, class: Some(&class) };
    for (bytes, text) in [
        (5_970_004_541, "5970004541"),
        (5_905_580_032, "5632Mi"),
        (5_368_709_120, "5Gi"),
        (5_484_052, "5484052"),
        (102_400, "100Ki"),
    ] {
        let created = Created {
            volume_id: "id".into(),
            capacity: bytes,
            context: pairs(&[("storage.kubernetes.io/csiProvisionerIdentity", "driver"), ("a", "b")]),
        };
        let spec = volume::build(&inputs, &class, &plan, created).spec.unwrap();
        assert_eq!(spec.capacity.unwrap()["storage"].0, text);
        assert_eq!(
            spec.csi.unwrap().volume_attributes.unwrap(),
            pairs(&[("a", "b"), ("storage.kubernetes.io/csiProvisionerIdentity", "driver")])
        );
    }
}
