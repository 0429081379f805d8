//! VolumeSnapshot, VolumeSnapshotContent and VolumeSnapshotClass.
//!
//! Fields follow the sheets `csi-snapshotter` (5) and `snapshot-controller` (5). A missing status is told from an empty
//! one: the first failure of a snapshotter creates it, and what happens next depends on that.

use std::collections::BTreeMap;

use serde::Deserialize;
use snapshot_api::names::{annotations, kinds};

use super::claim::some;
use super::class::keep_map;
use super::meta::WireMeta;
use super::wire::{Pairs, Text};
use super::{Interest, Interned, Kind, Meta, NoIndex, Projected, Resource, Uid};

/// What happens to a snapshot in the storage system when its content is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Kept; also for a policy this program does not know, as that loses nothing.
    #[default]
    Retain,
    /// Deleted.
    Delete,
}

impl DeletionPolicy {
    pub(super) fn read(text: &str) -> Self {
        if text == "Delete" { Self::Delete } else { Self::Retain }
    }

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}

/// An error recorded in a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotError {
    /// Message.
    pub message: Box<str>,
    /// Time as written.
    pub time: Box<str>,
}

/// The object that a content belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRef {
    /// Namespace.
    pub namespace: Interned,
    /// Name.
    pub name: Box<str>,
    /// Uid; empty while a content that was made by hand is not bound.
    pub uid: Uid,
}

/// A reference to a secret out of two annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretAnnotations {
    /// The annotation with the name, which may be empty.
    pub name: Option<Interned>,
    /// The annotation with the namespace, which may be empty.
    pub namespace: Option<Interned>,
}

/// The group snapshot that owns a snapshot. Owner references of any version of the API group count (13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOwner {
    /// The API version as written, such as `groupsnapshot.storage.k8s.io/v1`.
    pub api_version: Interned,
    /// Name.
    pub name: Interned,
    /// Uid.
    pub uid: Uid,
}

/// A snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Metadata.
    pub meta: Meta,
    /// The group snapshot among its owners.
    pub group: Option<GroupOwner>,
    /// `spec.source.persistentVolumeClaimName`; an empty name is a name (a group's member without a volume has one).
    pub claim: Option<Interned>,
    /// `spec.source.volumeSnapshotContentName`; an empty name is a name.
    pub content: Option<Box<str>>,
    /// `spec.volumeSnapshotClassName`.
    pub class: Option<Interned>,
    /// `status`, if there is one.
    pub status: Option<SnapshotStatus>,
}

/// The status of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotStatus {
    /// `boundVolumeSnapshotContentName`.
    pub content: Option<Box<str>>,
    /// `creationTime` as written.
    pub creation_time: Option<Box<str>>,
    /// `readyToUse`.
    pub ready: Option<bool>,
    /// `restoreSize` as written.
    pub restore_size: Option<Interned>,
    /// `error`.
    pub error: Option<Box<SnapshotError>>,
    /// `volumeGroupSnapshotName`.
    pub group: Option<Interned>,
}

impl Snapshot {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready == Some(true))
    }

    /// The content it is bound to, if it says so.
    pub fn bound_content(&self) -> Option<&str> {
        self.status.as_ref()?.content.as_deref().filter(|name| !name.is_empty())
    }
}

/// Lookups of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SnapshotIndex {
    /// By `namespace/name` of the claim it is taken of.
    Claim,
    /// By class.
    Class,
    /// By name of the content, wanted or bound.
    Content,
    /// By `namespace/name` of the group snapshot it is a member of.
    Group,
}

impl Kind for Snapshot {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_SNAPSHOT);

    type Wire<'a> = WireSnapshot<'a>;
    type Index = SnapshotIndex;

    fn project(wire: WireSnapshot<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(wire.keep())
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: SnapshotIndex, emit: &mut dyn FnMut(&str)) {
        let namespace = self.meta.namespace();
        match index {
            SnapshotIndex::Claim => {
                self.claim.iter().for_each(|claim| emit(&format!("{namespace}/{claim}")));
            }
            SnapshotIndex::Class => self.class.as_deref().into_iter().for_each(emit),
            SnapshotIndex::Content => {
                emit_contents(self.content.as_deref(), self.bound_content(), emit);
            }
            SnapshotIndex::Group => {
                self.group.iter().for_each(|group| emit(&format!("{namespace}/{}", group.name)));
            }
        }
    }
}

/// The name of the content that a snapshot or a group of them wants, and of the one it is bound to, once if they are one.
pub(super) fn emit_contents(wanted: Option<&str>, bound: Option<&str>, emit: &mut dyn FnMut(&str)) {
    let bound = bound.filter(|bound| Some(*bound) != wanted);
    wanted.into_iter().chain(bound).for_each(emit);
}

/// A snapshot as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireSnapshot<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireSpec<'a>,
    #[serde(borrow)]
    status: Option<WireStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec<'a> {
    #[serde(borrow)]
    source: WireSource<'a>,
    #[serde(borrow)]
    volume_snapshot_class_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSource<'a> {
    #[serde(borrow)]
    persistent_volume_claim_name: Option<Text<'a>>,
    #[serde(borrow)]
    volume_snapshot_content_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus<'a> {
    #[serde(borrow)]
    bound_volume_snapshot_content_name: Text<'a>,
    #[serde(borrow)]
    creation_time: Text<'a>,
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    restore_size: Text<'a>,
    #[serde(borrow)]
    error: Option<WireError<'a>>,
    #[serde(borrow)]
    volume_group_snapshot_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireError<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    time: Text<'a>,
}

impl WireSnapshot<'_> {
    fn keep(&self) -> Snapshot {
        let source = &self.spec.source;
        Snapshot {
            meta: self.metadata.keep(false),
            group: self.metadata.group_owner(),
            claim: source.persistent_volume_claim_name.as_ref().map(|name| Interned::new(name.as_str())),
            content: source.volume_snapshot_content_name.as_ref().map(|name| name.as_str().into()),
            class: some(&self.spec.volume_snapshot_class_name),
            status: self.status.as_ref().map(WireStatus::keep),
        }
    }
}

impl WireStatus<'_> {
    fn keep(&self) -> SnapshotStatus {
        SnapshotStatus {
            content: self.bound_volume_snapshot_content_name.non_empty().map(Into::into),
            creation_time: self.creation_time.non_empty().map(Into::into),
            ready: self.ready_to_use,
            restore_size: some(&self.restore_size),
            error: keep_error(self.error.as_ref()),
            group: some(&self.volume_group_snapshot_name),
        }
    }
}

pub(super) fn keep_error(error: Option<&WireError<'_>>) -> Option<Box<SnapshotError>> {
    error.map(|error| {
        Box::new(SnapshotError { message: error.message.as_str().into(), time: error.time.as_str().into() })
    })
}

/// The content of a snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotContent {
    /// Metadata.
    pub meta: Meta,
    /// Whether the annotation `volumesnapshot-being-created` is there.
    pub being_created: bool,
    /// Whether the annotation `volumesnapshot-being-deleted` is there.
    pub being_deleted: bool,
    /// Whether the annotation `volumeGroupSnapshotHandle` is there: a member of a group, taken with it.
    pub is_member: bool,
    /// The annotations `deletion-secret-name` and `deletion-secret-namespace`.
    pub secret: SecretAnnotations,
    /// The label `managed-by`: the node whose snapshotter is in charge.
    pub managed_by: Option<Interned>,
    /// `spec.driver`.
    pub driver: Interned,
    /// `spec.volumeSnapshotClassName`.
    pub class: Option<Interned>,
    /// `spec.deletionPolicy`.
    pub policy: DeletionPolicy,
    /// `spec.source.volumeHandle`.
    pub volume_handle: Option<Box<str>>,
    /// `spec.source.snapshotHandle`.
    pub snapshot_handle: Option<Box<str>>,
    /// `spec.volumeSnapshotRef`.
    pub snapshot: SnapshotRef,
    /// `status`, if there is one.
    pub status: Option<ContentStatus>,
}

/// The status of a content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContentStatus {
    /// `snapshotHandle`.
    pub handle: Option<Box<str>>,
    /// `creationTime`, in nanoseconds since 1970.
    pub creation_time: Option<i64>,
    /// `readyToUse`.
    pub ready: Option<bool>,
    /// `restoreSize`, in bytes.
    pub restore_size: Option<i64>,
    /// `error`.
    pub error: Option<Box<SnapshotError>>,
    /// `volumeGroupSnapshotHandle`.
    pub group_handle: Option<Interned>,
}

impl SnapshotContent {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready == Some(true))
    }
}

/// Lookups of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentIndex {
    /// By `namespace/name` of the snapshot.
    Snapshot,
    /// By class.
    Class,
}

impl Kind for SnapshotContent {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_SNAPSHOT_CONTENT);

    type Wire<'a> = WireContent<'a>;
    type Index = ContentIndex;

    // A content of another driver is nobody's business here: names of contents are not looked up across drivers.
    fn project(wire: WireContent<'_>, interest: &Interest) -> Projected<Self> {
        if interest.drivers.contains(wire.spec.driver.as_str()) {
            Projected::Own(wire.keep())
        } else {
            Projected::Nothing(wire.metadata.keep(false))
        }
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: ContentIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            ContentIndex::Snapshot => emit(&self.snapshot.key()),
            ContentIndex::Class => self.class.as_deref().into_iter().for_each(emit),
        }
    }
}

impl SnapshotRef {
    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// A content as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireContent<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    spec: WireContentSpec<'a>,
    #[serde(borrow)]
    status: Option<WireContentStatus<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContentSpec<'a> {
    #[serde(borrow)]
    driver: Text<'a>,
    #[serde(borrow)]
    deletion_policy: Text<'a>,
    #[serde(borrow)]
    volume_snapshot_class_name: Text<'a>,
    #[serde(borrow)]
    source: WireContentSource<'a>,
    #[serde(borrow)]
    volume_snapshot_ref: WireRef<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContentSource<'a> {
    #[serde(borrow)]
    volume_handle: Option<Text<'a>>,
    #[serde(borrow)]
    snapshot_handle: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireRef<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContentStatus<'a> {
    #[serde(borrow)]
    snapshot_handle: Text<'a>,
    creation_time: Option<i64>,
    ready_to_use: Option<bool>,
    restore_size: Option<i64>,
    #[serde(borrow)]
    error: Option<WireError<'a>>,
    #[serde(borrow)]
    volume_group_snapshot_handle: Text<'a>,
}

impl WireContent<'_> {
    fn keep(&self) -> SnapshotContent {
        let (meta, spec) = (&self.metadata, &self.spec);
        let has = |key| meta.annotations().get(key).is_some();
        SnapshotContent {
            // Named after its snapshot's uid; nothing else has the name.
            meta: meta.keep(false),
            being_created: has(annotations::BEING_CREATED),
            being_deleted: has(annotations::BEING_DELETED),
            is_member: has(annotations::GROUP_HANDLE),
            secret: meta.secret(annotations::SECRET_NAME, annotations::SECRET_NAMESPACE),
            managed_by: meta.managed_by(),
            driver: Interned::new(spec.driver.as_str()),
            class: some(&spec.volume_snapshot_class_name),
            policy: DeletionPolicy::read(spec.deletion_policy.as_str()),
            volume_handle: spec.source.volume_handle.as_ref().map(|handle| handle.as_str().into()),
            snapshot_handle: spec.source.snapshot_handle.as_ref().map(|handle| handle.as_str().into()),
            snapshot: spec.volume_snapshot_ref.keep(),
            status: self.status.as_ref().map(WireContentStatus::keep),
        }
    }
}

impl WireRef<'_> {
    pub(super) fn keep(&self) -> SnapshotRef {
        SnapshotRef {
            namespace: Interned::new(self.namespace.as_str()),
            name: self.name.as_str().into(),
            uid: Uid::new(self.uid.as_str()),
        }
    }
}

impl WireContentStatus<'_> {
    fn keep(&self) -> ContentStatus {
        ContentStatus {
            handle: self.snapshot_handle.non_empty().map(Into::into),
            creation_time: self.creation_time,
            ready: self.ready_to_use,
            restore_size: self.restore_size,
            error: keep_error(self.error.as_ref()),
            group_handle: some(&self.volume_group_snapshot_handle),
        }
    }
}

impl WireMeta<'_> {
    pub(super) fn secret(&self, name: &str, namespace: &str) -> SecretAnnotations {
        SecretAnnotations { name: self.annotation(name), namespace: self.annotation(namespace) }
    }
}

/// A class of snapshots, kept whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotClass {
    /// Metadata.
    pub meta: Meta,
    /// Whether the annotation `is-default-class` says `true`.
    pub is_default: bool,
    /// `driver`.
    pub driver: Interned,
    /// `parameters`.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
    /// `deletionPolicy`.
    pub policy: DeletionPolicy,
}

impl Kind for SnapshotClass {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_SNAPSHOT_CLASS);

    type Wire<'a> = WireClass<'a>;
    type Index = NoIndex;

    fn project(wire: WireClass<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(wire.keep(annotations::DEFAULT_CLASS))
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}

/// A class of snapshots or of group snapshots as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireClass<'a> {
    #[serde(borrow)]
    metadata: WireMeta<'a>,
    #[serde(borrow)]
    driver: Text<'a>,
    #[serde(borrow)]
    parameters: Pairs<'a>,
    #[serde(borrow)]
    deletion_policy: Text<'a>,
}

impl WireClass<'_> {
    /// What both kinds of classes have; `default_key` is the annotation that makes one the default.
    pub(super) fn keep(&self, default_key: &str) -> SnapshotClass {
        let default = self.metadata.annotations().get(default_key);
        SnapshotClass {
            meta: self.metadata.keep(true),
            is_default: default.is_some_and(|value| value.as_str() == "true"),
            driver: Interned::new(self.driver.as_str()),
            parameters: keep_map(&self.parameters),
            policy: DeletionPolicy::read(self.deletion_policy.as_str()),
        }
    }
}
