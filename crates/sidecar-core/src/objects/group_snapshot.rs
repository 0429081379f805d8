//! VolumeGroupSnapshot, VolumeGroupSnapshotContent and VolumeGroupSnapshotClass.

use serde::Deserialize;
use snapshot_api::names::{annotations, kinds};

use super::claim::some;
use super::meta::WireMeta;
use super::snapshot::{WireClass, WireError, WireRef, emit_contents, keep_error};
use super::wire::{Items, Pairs, Text};
use super::{
    DeletionPolicy, Interest, Interned, Kind, Meta, NoIndex, Projected, Resource, SecretAnnotations,
    SnapshotClass, SnapshotError, SnapshotRef,
};

/// A group snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSnapshot {
    /// Metadata.
    pub meta: Meta,
    /// `spec.source.selector`: which claims are snapshotted together.
    pub selector: Option<Box<LabelSelector>>,
    /// `spec.source.volumeGroupSnapshotContentName`; an empty name is a name.
    pub content: Option<Box<str>>,
    /// `spec.volumeGroupSnapshotClassName`.
    pub class: Option<Interned>,
    /// `status`, if there is one.
    pub status: Option<GroupSnapshotStatus>,
}

/// A label selector, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub labels: Box<[(Interned, Interned)]>,
    /// `matchExpressions`.
    pub expressions: Vec<LabelExpression>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelExpression {
    /// Label key.
    pub key: Interned,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Interned,
    /// Values.
    pub values: Vec<Interned>,
}

/// The status of a group snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSnapshotStatus {
    /// `boundVolumeGroupSnapshotContentName`.
    pub content: Option<Box<str>>,
    /// `creationTime` as written.
    pub creation_time: Option<Box<str>>,
    /// `readyToUse`.
    pub ready: Option<bool>,
    /// `error`.
    pub error: Option<Box<SnapshotError>>,
}

impl GroupSnapshot {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready == Some(true))
    }

    /// The content it is bound to, if it says so.
    pub fn bound_content(&self) -> Option<&str> {
        self.status.as_ref()?.content.as_deref().filter(|name| !name.is_empty())
    }
}

/// Lookups of group snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupSnapshotIndex {
    /// By class.
    Class,
    /// By name of the content, wanted or bound.
    Content,
}

impl Kind for GroupSnapshot {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_GROUP_SNAPSHOT);

    type Wire<'a> = WireGroupSnapshot<'a>;
    type Index = GroupSnapshotIndex;

    fn project(wire: WireGroupSnapshot<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(wire.keep())
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn index_values(&self, index: GroupSnapshotIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            GroupSnapshotIndex::Class => self.class.as_deref().into_iter().for_each(emit),
            GroupSnapshotIndex::Content => {
                emit_contents(self.content.as_deref(), self.bound_content(), emit);
            }
        }
    }
}

/// A group snapshot as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireGroupSnapshot<'a> {
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
    volume_group_snapshot_class_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSource<'a> {
    #[serde(borrow)]
    selector: Option<WireSelector<'a>>,
    #[serde(borrow)]
    volume_group_snapshot_content_name: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSelector<'a> {
    #[serde(borrow)]
    match_labels: Pairs<'a>,
    #[serde(borrow)]
    match_expressions: Items<WireExpression<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireExpression<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    operator: Text<'a>,
    #[serde(borrow)]
    values: Items<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus<'a> {
    #[serde(borrow)]
    bound_volume_group_snapshot_content_name: Text<'a>,
    #[serde(borrow)]
    creation_time: Text<'a>,
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    error: Option<WireError<'a>>,
}

impl WireGroupSnapshot<'_> {
    fn keep(&self) -> GroupSnapshot {
        let source = &self.spec.source;
        GroupSnapshot {
            meta: self.metadata.keep(false),
            selector: source.selector.as_ref().map(|selector| Box::new(selector.keep())),
            content: source.volume_group_snapshot_content_name.as_ref().map(|name| name.as_str().into()),
            class: some(&self.spec.volume_group_snapshot_class_name),
            status: self.status.as_ref().map(WireStatus::keep),
        }
    }
}

impl WireSelector<'_> {
    fn keep(&self) -> LabelSelector {
        let expressions = self.match_expressions.0.iter().map(|expression| LabelExpression {
            key: Interned::new(expression.key.as_str()),
            operator: Interned::new(expression.operator.as_str()),
            values: expression.values.0.iter().map(|value| Interned::new(value.as_str())).collect(),
        });
        LabelSelector { labels: self.match_labels.keep(), expressions: expressions.collect() }
    }
}

impl WireStatus<'_> {
    fn keep(&self) -> GroupSnapshotStatus {
        GroupSnapshotStatus {
            content: self.bound_volume_group_snapshot_content_name.non_empty().map(Into::into),
            creation_time: self.creation_time.non_empty().map(Into::into),
            ready: self.ready_to_use,
            error: keep_error(self.error.as_ref()),
        }
    }
}

/// The content of a group snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupContent {
    /// Metadata.
    pub meta: Meta,
    /// Whether the annotation `volumegroupsnapshot-being-created` is there.
    pub being_created: bool,
    /// Whether the annotation `volumegroupsnapshot-being-deleted` is there.
    pub being_deleted: bool,
    /// The annotations `deletion-secret-name` and `deletion-secret-namespace` of the group API.
    pub secret: SecretAnnotations,
    /// The label `managed-by`, which nobody sets on contents of groups yet.
    pub managed_by: Option<Interned>,
    /// `spec.driver`.
    pub driver: Interned,
    /// `spec.volumeGroupSnapshotClassName`.
    pub class: Option<Interned>,
    /// `spec.deletionPolicy`.
    pub policy: DeletionPolicy,
    /// `spec.source.volumeHandles`.
    pub volume_handles: Vec<Box<str>>,
    /// `spec.source.groupSnapshotHandles`.
    pub handles: Option<Box<GroupHandles>>,
    /// `spec.volumeGroupSnapshotRef`.
    pub snapshot: SnapshotRef,
    /// `status`, if there is one.
    pub status: Option<GroupContentStatus>,
}

/// Handles of a group that exists already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupHandles {
    /// `volumeGroupSnapshotHandle`.
    pub group: Box<str>,
    /// `volumeSnapshotHandles`.
    pub snapshots: Vec<Box<str>>,
}

/// The status of a group's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupContentStatus {
    /// `volumeGroupSnapshotHandle`.
    pub handle: Option<Interned>,
    /// `creationTime` as written.
    pub creation_time: Option<Box<str>>,
    /// `readyToUse`.
    pub ready: Option<bool>,
    /// `error`.
    pub error: Option<Box<SnapshotError>>,
    /// `volumeSnapshotInfoList`.
    pub members: Vec<GroupMember>,
}

/// A snapshot of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupMember {
    /// `volumeHandle`.
    pub volume_handle: Box<str>,
    /// `snapshotHandle`.
    pub snapshot_handle: Box<str>,
    /// `creationTime`, in nanoseconds since 1970.
    pub creation_time: Option<i64>,
    /// `readyToUse`.
    pub ready: Option<bool>,
    /// `restoreSize`, in bytes.
    pub restore_size: Option<i64>,
}

impl GroupContent {
    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.ready == Some(true))
    }
}

/// Lookups of the contents of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupContentIndex {
    /// By `namespace/name` of the group snapshot.
    Snapshot,
    /// By the handle in the status.
    Handle,
    /// By class.
    Class,
}

impl Kind for GroupContent {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_GROUP_SNAPSHOT_CONTENT);

    type Wire<'a> = WireContent<'a>;
    type Index = GroupContentIndex;

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

    fn index_values(&self, index: GroupContentIndex, emit: &mut dyn FnMut(&str)) {
        match index {
            GroupContentIndex::Snapshot => emit(&self.snapshot.key()),
            GroupContentIndex::Handle => {
                self.status.iter().filter_map(|status| status.handle.as_deref()).for_each(emit);
            }
            GroupContentIndex::Class => self.class.as_deref().into_iter().for_each(emit),
        }
    }
}

/// The content of a group as it comes.
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
    volume_group_snapshot_class_name: Text<'a>,
    #[serde(borrow)]
    source: WireContentSource<'a>,
    #[serde(borrow)]
    volume_group_snapshot_ref: WireRef<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContentSource<'a> {
    #[serde(borrow)]
    volume_handles: Items<Text<'a>>,
    #[serde(borrow)]
    group_snapshot_handles: Option<WireHandles<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireHandles<'a> {
    #[serde(borrow)]
    volume_group_snapshot_handle: Text<'a>,
    #[serde(borrow)]
    volume_snapshot_handles: Items<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContentStatus<'a> {
    #[serde(borrow)]
    volume_group_snapshot_handle: Text<'a>,
    #[serde(borrow)]
    creation_time: Text<'a>,
    ready_to_use: Option<bool>,
    #[serde(borrow)]
    error: Option<WireError<'a>>,
    #[serde(borrow)]
    volume_snapshot_info_list: Items<WireMember<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMember<'a> {
    #[serde(borrow)]
    volume_handle: Text<'a>,
    #[serde(borrow)]
    snapshot_handle: Text<'a>,
    creation_time: Option<i64>,
    ready_to_use: Option<bool>,
    restore_size: Option<i64>,
}

impl WireContent<'_> {
    fn keep(&self) -> GroupContent {
        let (meta, spec) = (&self.metadata, &self.spec);
        let has = |key| meta.annotations().get(key).is_some();
        GroupContent {
            meta: meta.keep(false),
            being_created: has(annotations::GROUP_BEING_CREATED),
            being_deleted: has(annotations::GROUP_BEING_DELETED),
            secret: meta.secret(annotations::GROUP_SECRET_NAME, annotations::GROUP_SECRET_NAMESPACE),
            managed_by: meta.managed_by(),
            driver: Interned::new(spec.driver.as_str()),
            class: some(&spec.volume_group_snapshot_class_name),
            policy: DeletionPolicy::read(spec.deletion_policy.as_str()),
            volume_handles: boxed(&spec.source.volume_handles),
            handles: spec.source.group_snapshot_handles.as_ref().map(|handles| Box::new(handles.keep())),
            snapshot: spec.volume_group_snapshot_ref.keep(),
            status: self.status.as_ref().map(WireContentStatus::keep),
        }
    }
}

fn boxed(items: &Items<Text<'_>>) -> Vec<Box<str>> {
    items.0.iter().map(|item| item.as_str().into()).collect()
}

impl WireHandles<'_> {
    fn keep(&self) -> GroupHandles {
        GroupHandles {
            group: self.volume_group_snapshot_handle.as_str().into(),
            snapshots: boxed(&self.volume_snapshot_handles),
        }
    }
}

impl WireContentStatus<'_> {
    fn keep(&self) -> GroupContentStatus {
        let members = self.volume_snapshot_info_list.0.iter().map(|member| GroupMember {
            volume_handle: member.volume_handle.as_str().into(),
            snapshot_handle: member.snapshot_handle.as_str().into(),
            creation_time: member.creation_time,
            ready: member.ready_to_use,
            restore_size: member.restore_size,
        });
        GroupContentStatus {
            handle: some(&self.volume_group_snapshot_handle),
            creation_time: self.creation_time.non_empty().map(Into::into),
            ready: self.ready_to_use,
            error: keep_error(self.error.as_ref()),
            members: members.collect(),
        }
    }
}

/// A class of group snapshots, kept whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupSnapshotClass(pub SnapshotClass);

impl Kind for GroupSnapshotClass {
    const RESOURCE: Resource = Resource::of_snapshots(&kinds::VOLUME_GROUP_SNAPSHOT_CLASS);

    type Wire<'a> = WireClass<'a>;
    type Index = NoIndex;

    fn project(wire: WireClass<'_>, _: &Interest) -> Projected<Self> {
        Projected::Own(Self(wire.keep(annotations::GROUP_DEFAULT_CLASS)))
    }

    fn meta(&self) -> &Meta {
        &self.0.meta
    }

    fn index_values(&self, index: NoIndex, _: &mut dyn FnMut(&str)) {
        match index {}
    }
}
