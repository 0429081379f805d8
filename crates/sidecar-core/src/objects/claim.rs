//! PersistentVolumeClaim.

use std::fmt;

use serde::Deserialize;
use snapshot_api::names::kinds::SNAPSHOT_GROUP;

use super::meta::{WireMeta, annotation};
use super::wire::{Items, Pairs, Present, Text};
use super::{Interest, Interned, Kind, Meta, Projected, Resource, Sections, Shape, protobuf};

/// A claim. Fields follow the provisioner sheet (5.0 to 5.3) and, in [`ClaimResize`], the resizer sheet (5.2 to 5.10).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claim {
    /// Metadata.
    pub meta: Meta,
    /// The provisioner annotation: the GA key, or the beta key if the GA key is absent.
    pub provisioner: Option<Interned>,
    /// CSI driver that serves a claim of a migrated in-tree plugin.
    pub migrated_to: Option<Interned>,
    /// The selected-node annotation.
    pub selected_node: Option<Interned>,
    /// Its alpha spelling, a fallback for reading the name only.
    pub selected_node_alpha: Option<Interned>,
    /// The class in effect: the beta annotation, else `spec.storageClassName`.
    pub class: Option<Interned>,
    /// `spec.storageClassName` as written.
    pub spec_class: Option<Interned>,
    /// `spec.volumeName`, `None` while unbound.
    pub volume_name: Option<Interned>,
    /// `spec.resources.requests.storage` as written.
    pub requested: Option<Interned>,
    /// `spec.volumeAttributesClassName`.
    pub attributes_class: Option<Interned>,
    /// `spec.dataSource`.
    pub data_source: Option<Box<DataSource>>,
    /// `spec.dataSourceRef`.
    pub data_source_ref: Option<Box<DataSource>>,
    /// Section [`Sections::CLAIM_RESIZE`].
    pub resize: Option<Box<ClaimResize>>,
    /// `spec.accessModes`, in their order.
    pub access_modes: AccessModes,
    /// `spec.volumeMode`.
    pub volume_mode: Option<VolumeMode>,
    /// `status.phase`.
    pub phase: ClaimPhase,
    /// Whether `spec.selector` is set.
    pub has_selector: bool,
}

/// The object a volume is to be filled from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSource {
    /// API group; `None` is the core group.
    pub api_group: Option<Interned>,
    /// Kind.
    pub kind: Interned,
    /// Name.
    pub name: Box<str>,
    /// Namespace, only in `dataSourceRef`.
    pub namespace: Option<Interned>,
}

impl Claim {
    /// The finalizer on claims that others are cloned from, of whatever driver.
    pub const CLONING_PROTECTION: &'static str = "provisioner.storage.kubernetes.io/cloning-protection";

    /// Whether it is going and clones of it may be what keeps it.
    pub fn awaits_clones(&self) -> bool {
        self.meta.deleting && self.meta.finalizers.has(Self::CLONING_PROTECTION)
    }
}

impl DataSource {
    /// Whether it is a snapshot.
    pub fn is_snapshot(&self) -> bool {
        &*self.kind == "VolumeSnapshot" && self.api_group.as_deref() == Some(SNAPSHOT_GROUP)
    }
}

/// What only the resizer reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaimResize {
    /// The annotation `volume.kubernetes.io/storage-resizer`.
    pub resizer: Option<Interned>,
    /// Whether the annotation `volume.kubernetes.io/node-expansion-not-required` is there.
    pub expansion_not_required: bool,
    /// `status.capacity.storage`.
    pub capacity: Option<Interned>,
    /// `status.allocatedResources.storage`.
    pub allocated: Option<Interned>,
    /// `status.allocatedResourceStatuses`, all resource names.
    pub allocated_statuses: Vec<(Interned, Interned)>,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// `status.currentVolumeAttributesClassName`.
    pub current_attributes_class: Option<Interned>,
    /// `status.modifyVolumeStatus`.
    pub modify_status: Option<ModifyStatus>,
}

/// A condition of a claim, kept whole because status patches rewrite the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Type.
    pub kind: Interned,
    /// Status.
    pub status: Interned,
    /// Reason, empty if unset.
    pub reason: Interned,
    /// Message, empty if unset.
    pub message: Box<str>,
    /// `lastProbeTime` as written, empty if unset.
    pub last_probe_time: Box<str>,
    /// `lastTransitionTime` as written, empty if unset.
    pub last_transition_time: Box<str>,
}

/// `status.modifyVolumeStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModifyStatus {
    /// `Pending`, `InProgress` or `Infeasible`.
    pub status: Interned,
    /// The class that is being applied, empty if unset.
    pub target: Interned,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClaimPhase {
    /// Not bound yet, or no phase at all.
    #[default]
    Pending,
    /// Bound.
    Bound,
    /// Its volume is gone.
    Lost,
    /// A phase this program does not know.
    Other,
}

impl ClaimPhase {
    fn read(text: &str) -> Self {
        match text {
            "" | "Pending" => Self::Pending,
            "Bound" => Self::Bound,
            "Lost" => Self::Lost,
            _ => Self::Other,
        }
    }
}

/// `spec.volumeMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeMode {
    /// Mounted file system.
    Filesystem,
    /// Raw block device.
    Block,
}

impl VolumeMode {
    /// The mode of that name.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "Filesystem" => Some(Self::Filesystem),
            "Block" => Some(Self::Block),
            _ => None,
        }
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filesystem => "Filesystem",
            Self::Block => "Block",
        }
    }
}

/// Access modes in the order of the object, packed into half-bytes. Unknown names keep their place as `Unknown`, for the
/// API server admits only the four.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessModes(u32);

impl AccessModes {
    const NAMES: [&'static str; 5] =
        ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod", "Unknown"];

    /// The modes of these names; more than eight cannot occur in a valid object and are dropped.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut packed = 0_u32;
        for (place, name) in names.into_iter().take(8).enumerate() {
            let code = Self::NAMES.iter().position(|known| *known == name).unwrap_or(4) + 1;
            packed |= u32::try_from(code).unwrap_or_default() << (4 * place);
        }
        Self(packed)
    }

    /// The names in order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        (0..8).filter_map(move |place| {
            let code = (self.0 >> (4 * place)) & 0xf;
            Self::NAMES.get(usize::try_from(code).unwrap_or_default().wrapping_sub(1)).copied()
        })
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for AccessModes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Lookups of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimIndex {
    /// By uid.
    Uid,
    /// By class in effect.
    Class,
    /// By `spec.volumeName`.
    Volume,
    /// By `namespace/name` of a claim named as data source in the same namespace.
    SourceClaim,
    /// By `namespace/name` of a snapshot it is to be filled from.
    SourceSnapshot,
    /// By the attributes class that is wanted, and by the one being applied.
    AttributesClass,
}

impl Kind for Claim {
    const RESOURCE: Resource = Resource {
        group: "",
        version: "v1",
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        namespaced: true,
    };

    const PROTOBUF: Option<&'static Shape> = Some(&protobuf::CLAIM);

    type Wire<'a> = WireClaim<'a>;
    type Index = ClaimIndex;

    fn project(wire: WireClaim<'_>, interest: &Interest) -> Projected<Self> {
        let claim = wire.keep(interest.sections);
        // A claim that nobody has been asked to provision yet may still become ours; the annotation comes later. And who lets
        // a cloned claim go is told by its volume: that may be another driver's than the annotation says.
        let ours = claim.provisioner.is_none()
            || claim.awaits_clones()
            || [&claim.provisioner, &claim.migrated_to]
                .into_iter()
                .flatten()
                .any(|driver| interest.drivers.contains(driver));
        if ours { Projected::Own(claim) } else { Projected::Nothing(claim.meta) }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: ClaimIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            ClaimIndex::Uid => self.meta.uid.with_str(emit),
            ClaimIndex::Class => self.class.as_deref().into_iter().for_each(emit),
            ClaimIndex::Volume => self.volume_name.as_deref().into_iter().for_each(emit),
            ClaimIndex::AttributesClass => {
                let wanted = self.attributes_class.as_deref();
                let status = self.resize.as_deref().and_then(|resize| resize.modify_status.as_ref());
                let target = status.map(|status| &*status.target).filter(|target| !target.is_empty());
                wanted.into_iter().chain(target.filter(|target| Some(*target) != wanted)).for_each(emit);
            }
            ClaimIndex::SourceSnapshot => {
                // The API server copies one field into the other unless the reference leaves the namespace.
                let sources = [self.data_source_ref.as_deref(), self.data_source.as_deref()];
                if let Some(source) = sources.into_iter().flatten().find(|source| source.is_snapshot()) {
                    let elsewhere = source.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                    let namespace = elsewhere.unwrap_or_else(|| self.meta.namespace());
                    emit(&format!("{namespace}/{}", source.name));
                }
            }
            ClaimIndex::SourceClaim => {
                if let Some(source) =
                    self.data_source.as_deref().filter(|s| &*s.kind == "PersistentVolumeClaim")
                {
                    emit(&format!("{}/{}", self.meta.namespace(), source.name));
                }
            }
        }
    }
}

/// A claim as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireClaim<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
    #[serde(borrow)]
    status: WireStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    volume_name: Text<'a>,
    #[serde(borrow)]
    volume_mode: Text<'a>,
    #[serde(borrow)]
    access_modes: Items<Text<'a>>,
    #[serde(borrow)]
    resources: WireResources<'a>,
    selector: Present,
    #[serde(borrow)]
    data_source: Option<WireDataSource<'a>>,
    #[serde(borrow)]
    data_source_ref: Option<WireDataSource<'a>>,
    #[serde(borrow)]
    volume_attributes_class_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireResources<'a> {
    #[serde(borrow)]
    requests: WireStorage<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireStorage<'a> {
    #[serde(borrow)]
    pub(super) storage: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDataSource<'a> {
    #[serde(borrow)]
    api_group: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    #[serde(borrow)]
    capacity: WireStorage<'a>,
    #[serde(borrow)]
    allocated_resources: WireStorage<'a>,
    #[serde(borrow)]
    allocated_resource_statuses: Pairs<'a>,
    #[serde(borrow)]
    conditions: Items<WireCondition<'a>>,
    #[serde(borrow)]
    current_volume_attributes_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    modify_volume_status: Option<WireModify<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    reason: Text<'a>,
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    last_probe_time: Text<'a>,
    #[serde(borrow)]
    last_transition_time: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireModify<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    target_volume_attributes_class_name: Text<'a>,
}

/// Interns unless empty.
pub(super) fn some(text: &Text<'_>) -> Option<Interned> {
    text.non_empty().map(Interned::new)
}

impl WireClaim<'_> {
    fn keep(&self, sections: Sections) -> Claim {
        let (meta, spec) = (&self.metadata, &self.spec);
        let spec_class = spec.storage_class_name.as_ref().map(|name| Interned::new(name.as_str()));
        let provisioner = match meta.annotation(annotation::PROVISIONER) {
            Some(name) => Some(name),
            None => meta.annotation(annotation::PROVISIONER_BETA),
        };
        Claim {
            meta: meta.keep(true),
            provisioner,
            migrated_to: meta.annotation(annotation::MIGRATED_TO),
            selected_node: meta.annotation(annotation::SELECTED_NODE),
            selected_node_alpha: meta.annotation(annotation::SELECTED_NODE_ALPHA),
            class: meta.annotation(annotation::CLASS_BETA).or_else(|| spec_class.clone()),
            spec_class,
            volume_name: some(&spec.volume_name),
            requested: some(&spec.resources.requests.storage),
            attributes_class: some(&spec.volume_attributes_class_name),
            data_source: spec.data_source.as_ref().map(|source| Box::new(source.keep())),
            data_source_ref: spec.data_source_ref.as_ref().map(|source| Box::new(source.keep())),
            resize: sections.has(Sections::CLAIM_RESIZE).then(|| Box::new(self.keep_resize())),
            access_modes: AccessModes::new(spec.access_modes.0.iter().map(Text::as_str)),
            volume_mode: VolumeMode::read(spec.volume_mode.as_str()),
            phase: ClaimPhase::read(self.status.phase.as_str()),
            has_selector: spec.selector.0,
        }
    }

    fn keep_resize(&self) -> ClaimResize {
        let status = &self.status;
        let pairs = status.allocated_resource_statuses.0.iter();
        ClaimResize {
            resizer: self.metadata.annotation(annotation::RESIZER),
            expansion_not_required: self.metadata.annotation(annotation::EXPANSION_NOT_REQUIRED).is_some(),
            capacity: some(&status.capacity.storage),
            allocated: some(&status.allocated_resources.storage),
            allocated_statuses: pairs
                .map(|(k, v)| (Interned::new(k.as_str()), Interned::new(v.as_str())))
                .collect(),
            conditions: status.conditions.0.iter().map(WireCondition::keep).collect(),
            current_attributes_class: status.current_volume_attributes_class_name.as_ref().and_then(some),
            modify_status: status.modify_volume_status.as_ref().map(|modify| ModifyStatus {
                status: Interned::new(modify.status.as_str()),
                target: Interned::new(modify.target_volume_attributes_class_name.as_str()),
            }),
        }
    }
}

impl WireDataSource<'_> {
    fn keep(&self) -> DataSource {
        DataSource {
            api_group: self.api_group.as_ref().map(|group| Interned::new(group.as_str())),
            kind: Interned::new(self.kind.as_str()),
            name: self.name.as_str().into(),
            namespace: self.namespace.as_ref().map(|namespace| Interned::new(namespace.as_str())),
        }
    }
}

impl WireCondition<'_> {
    fn keep(&self) -> Condition {
        Condition {
            kind: Interned::new(self.kind.as_str()),
            status: Interned::new(self.status.as_str()),
            reason: Interned::new(self.reason.as_str()),
            message: self.message.as_str().into(),
            last_probe_time: self.last_probe_time.as_str().into(),
            last_transition_time: self.last_transition_time.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_modes_keep_their_order() {
        let modes = AccessModes::new(["ReadWriteMany", "ReadWriteOnce"]);
        assert_eq!(modes.iter().collect::<Vec<_>>(), ["ReadWriteMany", "ReadWriteOnce"]);
        assert!(AccessModes::new([]).is_empty());
        assert_eq!(
            AccessModes::new(["X", "ReadOnlyMany"]).iter().collect::<Vec<_>>(),
            ["Unknown", "ReadOnlyMany"]
        );
    }
}
