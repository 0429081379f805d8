//! One projection per kind, shared by every sidecar.
//!
//! Upstream keeps whole API objects (about 5 kB each) in every sidecar. Here a watch line is decoded straight into a
//! borrowed *wire* struct that knows only the fields some controller reads, and from there into a small owned struct
//! with [`Interned`] strings. What is not read is never materialised, and what no controller of this process has an
//! [`Interest`] in shrinks to its name or to nothing.
//!
//! Because a projection is partial it must never be sent back to the API server: writes are patches built from the
//! fields that change, or full objects fetched for the purpose.

mod attachment;
mod claim;
mod class;
mod group_snapshot;
mod interest;
mod interned;
mod kind;
mod meta;
mod node;
mod pod;
mod protobuf;
mod snapshot;
mod volume;
mod wire;

pub use attachment::{Attachment, AttachmentError, AttachmentIndex, AttachmentStatus};
pub use claim::{
    AccessModes, Claim, ClaimIndex, ClaimPhase, ClaimResize, Condition, DataSource, ModifyStatus, VolumeMode,
};
pub use class::{AttributesClass, BindingMode, Class, ReclaimPolicy, TopologyRequirement, TopologyTerm};
pub use group_snapshot::{
    GroupContent, GroupContentIndex, GroupContentStatus, GroupHandles, GroupMember, GroupSnapshot,
    GroupSnapshotClass, GroupSnapshotIndex, GroupSnapshotStatus, LabelExpression, LabelSelector,
};
pub use interest::{Drivers, Interest, Labels, Sections};
pub use interned::Interned;
pub use kind::{Kind, NoIndex, Projected, Resource};
pub(crate) use meta::WireMeta;
pub use meta::{Finalizers, Meta, ObjectKey, Uid};
pub use node::{CsiNode, CsiNodeDriver, Node};
pub use pod::{Pod, PodIndex};
pub use protobuf::Shape;
pub(crate) use protobuf::{BARE, Field, STATUS, Type};
pub use snapshot::{
    ContentIndex, ContentStatus, DeletionPolicy, GroupOwner, SecretAnnotations, Snapshot, SnapshotClass,
    SnapshotContent, SnapshotError, SnapshotIndex, SnapshotRef, SnapshotStatus,
};
pub use volume::{
    ClaimRef, InTreeSource, InlineVolume, SecretRef, SelectorOperator, SelectorRequirement, Volume,
    VolumeIndex, VolumePhase, VolumeSource,
};
pub use wire::{Items, Pairs, Text};
