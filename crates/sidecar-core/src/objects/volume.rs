//! PersistentVolume.

use serde::Deserialize;
use serde_json::Value;

use super::claim::{WireStorage, some};
use super::class::ReclaimPolicy;
use super::meta::{WireMeta, annotation};
use super::wire::{Items, Pairs, Present, Text};
use super::{
    AccessModes, Interest, Interned, Kind, Meta, Projected, Resource, Sections, Shape, Uid, VolumeMode,
    protobuf,
};

/// A volume. The provisioner sheet (5.11, 5.12) reads the inline fields; attacher and resizer need [`VolumeSource`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volume {
    /// Metadata.
    pub meta: Meta,
    /// The annotation `pv.kubernetes.io/provisioned-by`.
    pub provisioned_by: Option<Interned>,
    /// CSI driver that serves a volume of a migrated in-tree plugin.
    pub migrated_to: Option<Interned>,
    /// The class in effect: the beta annotation, else `spec.storageClassName`.
    pub class: Option<Interned>,
    /// `spec.storageClassName`.
    pub spec_class: Option<Interned>,
    /// `spec.csi.driver`; `None` without a CSI source.
    pub driver: Option<Interned>,
    /// `spec.csi.volumeHandle`.
    pub handle: Box<str>,
    /// The source of an in-tree plugin that has a CSI replacement.
    // Behind a pointer: the many volumes that have a CSI source pay one word for it.
    pub in_tree: Option<Box<InTreeSource>>,
    /// `spec.claimRef`.
    pub claim: Option<ClaimRef>,
    /// The annotation naming the deletion secret: `None` absent, else its text, which may be empty.
    pub deletion_secret_name: Option<Interned>,
    /// The annotation with that secret's namespace.
    pub deletion_secret_namespace: Option<Interned>,
    /// `spec.volumeAttributesClassName`.
    pub attributes_class: Option<Interned>,
    /// `spec.capacity.storage` as written.
    pub capacity: Option<Interned>,
    /// Section [`Sections::VOLUME_SOURCE`].
    pub source: Option<Box<VolumeSource>>,
    /// Section [`Sections::VOLUME_AFFINITY`]: required terms, any one of which must match; `None` without affinity.
    pub affinity: Option<Box<Vec<Vec<SelectorRequirement>>>>,
    /// `spec.persistentVolumeReclaimPolicy`.
    pub reclaim: ReclaimPolicy,
    /// `spec.volumeMode`. A [`VolumeSource`] has it too, because a volume inside an attachment is only that.
    pub volume_mode: Option<VolumeMode>,
    /// `status.phase`.
    pub phase: VolumePhase,
}

/// A volume source that a CSI driver takes over, with what its translation reads from the object's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InTreeSource {
    /// Its JSON name, such as `awsElasticBlockStore`.
    pub kind: &'static str,
    /// The source, in JSON.
    pub json: Box<str>,
    /// Labels for zone and region, under their present and their old names.
    pub labels: Box<[(Interned, Interned)]>,
    /// Annotations that say what the source does not: resource group, names of a secret.
    pub annotations: Box<[(Interned, Interned)]>,
}

/// The claim a volume belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimRef {
    /// Namespace.
    pub namespace: Interned,
    /// Name.
    pub name: Interned,
    /// Uid; empty for a volume reserved by name only.
    pub uid: Uid,
}

/// A secret by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretRef {
    /// Namespace.
    pub namespace: Interned,
    /// Name.
    pub name: Interned,
}

/// What CSI calls about an existing volume need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VolumeSource {
    /// `spec.csi.fsType`, empty if unset.
    pub fs_type: Interned,
    /// `spec.csi.volumeAttributes`.
    pub attributes: Vec<(Interned, Interned)>,
    /// `spec.csi.controllerPublishSecretRef`.
    pub publish_secret: Option<SecretRef>,
    /// `spec.csi.controllerExpandSecretRef`.
    pub expand_secret: Option<SecretRef>,
    /// `spec.csi.nodeExpandSecretRef` is set.
    pub has_node_expand_secret: bool,
    /// Annotations naming the secret for ControllerModifyVolume: name and namespace, as far as present.
    pub modify_secret: (Option<Interned>, Option<Interned>),
    /// `spec.mountOptions`.
    pub mount_options: Vec<Interned>,
    /// `spec.accessModes`.
    pub access_modes: AccessModes,
    /// `spec.volumeMode`.
    pub volume_mode: Option<VolumeMode>,
    /// `spec.csi.readOnly`.
    pub read_only: bool,
    /// The annotation `volume.alpha.kubernetes.io/pre-resize-capacity`.
    pub pre_resize_capacity: Option<Interned>,
}

/// A volume that has no object of its own: its spec stands in the attachment that needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InlineVolume {
    /// `csi.driver`; `None` without a CSI source.
    pub driver: Option<Interned>,
    /// `csi.volumeHandle`.
    pub handle: Box<str>,
    /// Everything else that CSI calls need.
    pub source: VolumeSource,
}

/// One requirement of a node selector term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// Label key.
    pub key: Interned,
    /// Operator.
    pub operator: SelectorOperator,
    /// Values.
    pub values: Vec<Interned>,
    /// Whether it is about `metadata.name` (a match field) rather than a label.
    pub field: bool,
}

impl SelectorRequirement {
    /// Whether a node is met where the label, or field, has this value, or is not there.
    pub fn is_met_by(&self, value: Option<&str>) -> bool {
        let is_listed = |value: &str| self.values.iter().any(|listed| **listed == *value);
        match self.operator {
            SelectorOperator::In => value.is_some_and(is_listed),
            SelectorOperator::NotIn => !value.is_some_and(is_listed),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
            SelectorOperator::Gt => self.compares(value, |a, b| a > b),
            SelectorOperator::Lt => self.compares(value, |a, b| a < b),
            SelectorOperator::Unknown => false,
        }
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        match (value.and_then(|value| value.parse().ok()), &*self.values) {
            (Some(value), [bound]) => bound.parse().is_ok_and(|bound| holds(value, bound)),
            _ => false,
        }
    }
}

/// Operators of node selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorOperator {
    /// Value is listed.
    In,
    /// Value is not listed.
    NotIn,
    /// Key exists.
    Exists,
    /// Key does not exist.
    DoesNotExist,
    /// Value is a larger integer.
    Gt,
    /// Value is a smaller integer.
    Lt,
    /// Unknown; never matches.
    Unknown,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumePhase {
    /// Just created, or no phase.
    #[default]
    Pending,
    /// Free.
    Available,
    /// Bound to a claim.
    Bound,
    /// The claim is gone.
    Released,
    /// Reclamation failed.
    Failed,
    /// A phase this program does not know.
    Other,
}

impl VolumePhase {
    fn read(text: &str) -> Self {
        match text {
            "" | "Pending" => Self::Pending,
            "Available" => Self::Available,
            "Bound" => Self::Bound,
            "Released" => Self::Released,
            "Failed" => Self::Failed,
            _ => Self::Other,
        }
    }
}

/// Lookups of volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumeIndex {
    /// By `spec.claimRef.uid`.
    ClaimUid,
    /// By `namespace/name` of the claim.
    Claim,
    /// By CSI volume handle.
    Handle,
    /// By class in effect.
    Class,
}

impl Volume {
    /// Whether one of `drivers` owns the volume: by the provisioned-by or migrated-to annotation, or by its source.
    fn is_of(&self, interest: &Interest) -> bool {
        let plugin = self.in_tree.as_ref().map(|source| plugin_of(source.kind));
        [&self.provisioned_by, &self.migrated_to, &self.driver]
            .into_iter()
            .filter_map(Option::as_deref)
            .chain(plugin)
            .any(|driver| interest.drivers.contains(driver))
            || interest.drivers == super::Drivers::All
    }
}

/// In-tree sources that CSI drivers take over, and the plugins they belong to.
const IN_TREE: [(&str, &str); 7] = [
    ("awsElasticBlockStore", "kubernetes.io/aws-ebs"),
    ("azureDisk", "kubernetes.io/azure-disk"),
    ("azureFile", "kubernetes.io/azure-file"),
    ("cinder", "kubernetes.io/cinder"),
    ("gcePersistentDisk", "kubernetes.io/gce-pd"),
    ("portworxVolume", "kubernetes.io/portworx-volume"),
    ("vsphereVolume", "kubernetes.io/vsphere-volume"),
];

fn plugin_of(kind: &str) -> &'static str {
    IN_TREE.iter().find(|(source, _)| *source == kind).map(|(_, plugin)| *plugin).unwrap_or_default()
}

impl Kind for Volume {
    const RESOURCE: Resource = Resource {
        group: "",
        version: "v1",
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        namespaced: false,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::VOLUME);

    type Wire<'a> = WireVolume<'a>;
    type Index = VolumeIndex;

    fn project(wire: WireVolume<'_>, interest: &Interest) -> Projected<Self> {
        let volume = wire.keep(interest.sections);
        if volume.is_of(interest) { Projected::Own(volume) } else { Projected::Foreign(volume.meta) }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: VolumeIndex, emit: &mut dyn FnMut(&str)) {
        match (index, &self.claim) {
            (VolumeIndex::ClaimUid, Some(claim)) => claim.uid.with_str(emit),
            (VolumeIndex::Claim, Some(claim)) => emit(&format!("{}/{}", claim.namespace, claim.name)),
            (VolumeIndex::Handle, _) if self.driver.is_some() => emit(&self.handle),
            (VolumeIndex::ClaimUid | VolumeIndex::Claim | VolumeIndex::Handle, _) => {}
            (VolumeIndex::Class, _) => self.class.as_deref().into_iter().for_each(emit),
        }
    }
}

/// A volume as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireVolume<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
    #[serde(borrow)]
    status: WirePhase<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WirePhase<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
}

/// `spec` of a volume, also where an attachment contains it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Text<'a>,
    #[serde(borrow)]
    csi: Option<WireCsi<'a>>,
    #[serde(borrow)]
    claim_ref: Option<WireClaimRef<'a>>,
    #[serde(borrow)]
    persistent_volume_reclaim_policy: Text<'a>,
    #[serde(borrow)]
    volume_attributes_class_name: Text<'a>,
    #[serde(borrow)]
    capacity: WireStorage<'a>,
    #[serde(borrow)]
    mount_options: Items<Text<'a>>,
    #[serde(borrow)]
    access_modes: Items<Text<'a>>,
    #[serde(borrow)]
    volume_mode: Text<'a>,
    #[serde(borrow)]
    node_affinity: Option<WireAffinity<'a>>,
    // Rare: read whole and only if there.
    aws_elastic_block_store: Option<Box<Value>>,
    azure_disk: Option<Box<Value>>,
    azure_file: Option<Box<Value>>,
    cinder: Option<Box<Value>>,
    gce_persistent_disk: Option<Box<Value>>,
    portworx_volume: Option<Box<Value>>,
    vsphere_volume: Option<Box<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCsi<'a> {
    #[serde(borrow)]
    driver: Text<'a>,
    #[serde(borrow)]
    volume_handle: Text<'a>,
    #[serde(borrow)]
    fs_type: Text<'a>,
    #[serde(borrow)]
    volume_attributes: Pairs<'a>,
    #[serde(borrow)]
    controller_publish_secret_ref: Option<WireSecretRef<'a>>,
    #[serde(borrow)]
    controller_expand_secret_ref: Option<WireSecretRef<'a>>,
    node_expand_secret_ref: Present,
    read_only: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireSecretRef<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireClaimRef<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireAffinity<'a> {
    #[serde(borrow)]
    required: WireSelector<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSelector<'a> {
    #[serde(borrow)]
    node_selector_terms: Items<WireTerm<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerm<'a> {
    #[serde(borrow)]
    match_expressions: Items<WireRequirement<'a>>,
    #[serde(borrow)]
    match_fields: Items<WireRequirement<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireRequirement<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow)]
    values: Items<Text<'a>>,
}

impl WireVolume<'_> {
    fn keep(&self, sections: Sections) -> Volume {
        let (meta, spec) = (&self.metadata, &self.spec);
        let spec_class = some(&spec.storage_class_name);
        let affinity = spec.node_affinity.as_ref().filter(|_| sections.has(Sections::VOLUME_AFFINITY));
        Volume {
            meta: meta.keep(true),
            provisioned_by: meta.annotation(annotation::PROVISIONED_BY),
            migrated_to: meta.annotation(annotation::MIGRATED_TO),
            class: meta.annotation(annotation::CLASS_BETA).or_else(|| spec_class.clone()),
            spec_class,
            driver: spec.csi.as_ref().map(|csi| Interned::new(csi.driver.as_str())),
            handle: spec.csi.as_ref().map(|csi| csi.volume_handle.as_str().into()).unwrap_or_default(),
            in_tree: spec.in_tree().map(|(kind, source)| Box::new(meta.keep_in_tree(kind, source))),
            claim: spec.claim_ref.as_ref().map(WireClaimRef::keep),
            deletion_secret_name: meta.annotation(annotation::DELETION_SECRET_NAME),
            deletion_secret_namespace: meta.annotation(annotation::DELETION_SECRET_NAMESPACE),
            attributes_class: some(&spec.volume_attributes_class_name),
            capacity: some(&spec.capacity.storage),
            source: sections.has(Sections::VOLUME_SOURCE).then(|| Box::new(spec.keep_source(Some(meta)))),
            affinity: affinity.map(|affinity| Box::new(affinity.keep())),
            reclaim: ReclaimPolicy::read(spec.persistent_volume_reclaim_policy.as_str()),
            volume_mode: VolumeMode::read(spec.volume_mode.as_str()),
            phase: VolumePhase::read(self.status.phase.as_str()),
        }
    }
}

impl WireSpec<'_> {
    /// The volume that an attachment contains.
    pub(super) fn keep_inline(&self) -> InlineVolume {
        InlineVolume {
            driver: self.csi.as_ref().map(|csi| Interned::new(csi.driver.as_str())),
            handle: self.csi.as_ref().map(|csi| csi.volume_handle.as_str().into()).unwrap_or_default(),
            source: self.keep_source(None),
        }
    }

    /// Without metadata in an attachment, which cannot carry the volume's annotations.
    fn keep_source(&self, meta: Option<&WireMeta<'_>>) -> VolumeSource {
        let read = |key: &str| meta.and_then(|meta| meta.annotation(key));
        let csi = self.csi.as_ref();
        let attributes = csi.map(|csi| &csi.volume_attributes.0).into_iter().flatten();
        VolumeSource {
            fs_type: csi.map(|csi| Interned::new(csi.fs_type.as_str())).unwrap_or_default(),
            attributes: attributes
                .map(|(k, v)| (Interned::new(k.as_str()), Interned::new(v.as_str())))
                .collect(),
            publish_secret: csi
                .and_then(|csi| csi.controller_publish_secret_ref.as_ref())
                .map(WireSecretRef::keep),
            expand_secret: csi
                .and_then(|csi| csi.controller_expand_secret_ref.as_ref())
                .map(WireSecretRef::keep),
            has_node_expand_secret: csi.is_some_and(|csi| csi.node_expand_secret_ref.0),
            modify_secret: (read(annotation::MODIFY_SECRET_NAME), read(annotation::MODIFY_SECRET_NAMESPACE)),
            mount_options: self.mount_options.0.iter().map(|option| Interned::new(option.as_str())).collect(),
            access_modes: AccessModes::new(self.access_modes.0.iter().map(Text::as_str)),
            volume_mode: VolumeMode::read(self.volume_mode.as_str()),
            read_only: csi.and_then(|csi| csi.read_only).unwrap_or_default(),
            pre_resize_capacity: read(annotation::PRE_RESIZE_CAPACITY),
        }
    }

    fn in_tree(&self) -> Option<(&'static str, &Value)> {
        let sources = [
            &self.aws_elastic_block_store,
            &self.azure_disk,
            &self.azure_file,
            &self.cinder,
            &self.gce_persistent_disk,
            &self.portworx_volume,
            &self.vsphere_volume,
        ];
        let named = IN_TREE.iter().map(|(kind, _)| *kind).zip(sources);
        named.into_iter().find_map(|(kind, source)| Some((kind, source.as_deref()?)))
    }
}

impl WireMeta<'_> {
    fn keep_in_tree(&self, kind: &'static str, source: &Value) -> InTreeSource {
        InTreeSource {
            kind,
            json: source.to_string().into(),
            labels: self.zones(),
            annotations: self.annotations().keep_only(&annotation::FOR_TRANSLATION),
        }
    }
}

impl WireClaimRef<'_> {
    fn keep(&self) -> ClaimRef {
        ClaimRef {
            namespace: Interned::new(self.namespace.as_str()),
            name: Interned::new(self.name.as_str()),
            uid: Uid::new(self.uid.as_str()),
        }
    }
}

impl WireSecretRef<'_> {
    fn keep(&self) -> SecretRef {
        SecretRef {
            namespace: Interned::new(self.namespace.as_str()),
            name: Interned::new(self.name.as_str()),
        }
    }
}

impl WireAffinity<'_> {
    fn keep(&self) -> Vec<Vec<SelectorRequirement>> {
        self.required.node_selector_terms.0.iter().map(WireTerm::keep).collect()
    }
}

impl WireTerm<'_> {
    fn keep(&self) -> Vec<SelectorRequirement> {
        let labels = self.match_expressions.0.iter().map(|requirement| requirement.keep(false));
        labels.chain(self.match_fields.0.iter().map(|requirement| requirement.keep(true))).collect()
    }
}

impl WireRequirement<'_> {
    fn keep(&self, field: bool) -> SelectorRequirement {
        let operator = match self.operator.as_str() {
            "In" => SelectorOperator::In,
            "NotIn" => SelectorOperator::NotIn,
            "Exists" => SelectorOperator::Exists,
            "DoesNotExist" => SelectorOperator::DoesNotExist,
            "Gt" => SelectorOperator::Gt,
            "Lt" => SelectorOperator::Lt,
            _ => SelectorOperator::Unknown,
        };
        let values = self.values.0.iter().map(|value| Interned::new(value.as_str())).collect();
        SelectorRequirement { key: Interned::new(self.key.as_str()), operator, values, field }
    }
}
