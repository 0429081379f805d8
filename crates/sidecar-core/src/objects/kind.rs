//! What the cache needs to know about a kind in order to watch, store and index it.

use std::fmt::Debug;

use serde::Deserialize;
use snapshot_api::names::kinds::{SnapshotKind, VERSION};

use super::{Interest, Meta, Shape};

/// Where a kind lives in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version, such as `v1`.
    pub version: &'static str,
    /// Kind, such as `PersistentVolume`.
    pub kind: &'static str,
    /// Plural resource name as it occurs in paths and RBAC rules.
    pub plural: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// Where one of the snapshot kinds lives.
    pub(super) const fn of_snapshots(kind: &SnapshotKind) -> Self {
        let SnapshotKind { group, kind, plural, namespaced, .. } = *kind;
        Self { group, version: VERSION, kind, plural, namespaced }
    }

    /// The path of the collection over all namespaces.
    pub fn path(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/{}", self.version, self.plural),
        }
    }

    /// The Go type name that client-go prints in reflector messages, such as `*v1.PersistentVolume`.
    pub fn go_type(&self) -> String {
        format!("*{}.{}", self.version, self.kind)
    }
}

/// What became of an object under an [`Interest`].
#[derive(Debug)]
pub enum Projected<T> {
    /// Wanted: stored, indexed and delivered to subscribers.
    Own(T),
    /// Somebody else's: only its existence is remembered.
    Foreign(Meta),
    /// Not wanted at all.
    Nothing(Meta),
}

impl<T: Kind> Projected<T> {
    /// The metadata, which every outcome has.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::Own(object) => object.meta(),
            Self::Foreign(meta) | Self::Nothing(meta) => meta,
        }
    }
}

/// A kind that can be cached.
pub trait Kind: Sized + PartialEq + Send + Sync + Debug + 'static {
    /// Where it lives.
    const RESOURCE: Resource;

    /// The fields that are read, borrowed from the bytes of the response.
    type Wire<'a>: Deserialize<'a>;

    /// Field selector with which the kind is listed and watched, empty for none. What it leaves out need not be sent.
    const FIELD_SELECTOR: &'static str = "";

    /// Where those fields are in protobuf; `None` for kinds that API servers know in JSON only, as all custom resources.
    const PROTOBUF: Option<&'static Shape> = None;

    /// The lookups this kind offers besides namespace and name.
    type Index: Copy + Ord + Debug + Send + Sync + 'static;

    /// Keeps what `interest` asks for.
    fn project(wire: Self::Wire<'_>, interest: &Interest) -> Projected<Self>;

    /// The metadata.
    fn meta(&self) -> &Meta;

    /// Calls `emit` with every value under which the object is found through `index`.
    fn index_values(&self, index: Self::Index, emit: &mut dyn FnMut(&str));
}

/// For kinds that are only looked up by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoIndex {}
