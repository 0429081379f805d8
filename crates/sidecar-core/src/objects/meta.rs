//! Object metadata: identity, version, finalizers, and the annotation keys that controllers read.

use std::fmt;
use std::num::NonZeroU64;

use serde::Deserialize;
use snapshot_api::names::annotations as snapshot;
use snapshot_api::names::kinds::is_group_owner;
use snapshot_api::names::labels::MANAGED_BY;

use super::wire::{Annotations, Items, Present, ReadLabels, Text};
use super::{GroupOwner, Interned, Pairs};

/// Annotation keys read by the projections. Anything else is skipped while parsing.
pub(super) mod annotation {
    pub(crate) const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
    pub(crate) const PROVISIONER_BETA: &str = "volume.beta.kubernetes.io/storage-provisioner";
    pub(crate) const MIGRATED_TO: &str = "pv.kubernetes.io/migrated-to";
    pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
    pub(crate) const SELECTED_NODE_ALPHA: &str = "volume.alpha.kubernetes.io/selected-node";
    pub(crate) const CLASS_BETA: &str = "volume.beta.kubernetes.io/storage-class";
    pub(crate) const RESIZER: &str = "volume.kubernetes.io/storage-resizer";
    pub(crate) const EXPANSION_NOT_REQUIRED: &str = "volume.kubernetes.io/node-expansion-not-required";
    pub(crate) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
    pub(crate) const DELETION_SECRET_NAME: &str = "volume.kubernetes.io/provisioner-deletion-secret-name";
    pub(crate) const DELETION_SECRET_NAMESPACE: &str =
        "volume.kubernetes.io/provisioner-deletion-secret-namespace";
    pub(crate) const MODIFY_SECRET_NAME: &str = "volume.kubernetes.io/controller-modify-secret-name";
    pub(crate) const MODIFY_SECRET_NAMESPACE: &str =
        "volume.kubernetes.io/controller-modify-secret-namespace";
    pub(crate) const PRE_RESIZE_CAPACITY: &str = "volume.alpha.kubernetes.io/pre-resize-capacity";
    pub(crate) const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";
    pub(crate) const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
    /// What the translation of in-tree volumes reads (provisioner sheet 5.10).
    pub(crate) const FOR_TRANSLATION: [&str; 3] = [
        "kubernetes.io/azure-file-resource-group",
        "openstorage.io/auth-secret-name",
        "openstorage.io/auth-secret-namespace",
    ];
}

/// Labels that say where a volume can be used. No projection but that of nodes reads any other.
const ZONE_LABELS: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// Whether some projection reads the label. Nodes, which keep all of theirs, read them otherwise.
pub(super) fn label_is_read(key: &str) -> bool {
    key == MANAGED_BY || ZONE_LABELS.contains(&key)
}

/// Whether some projection, or the watch itself, reads this annotation.
pub(super) fn annotation_is_read(key: &str) -> bool {
    use annotation as a;
    [
        a::PROVISIONER,
        a::PROVISIONER_BETA,
        a::MIGRATED_TO,
        a::SELECTED_NODE,
        a::SELECTED_NODE_ALPHA,
        a::CLASS_BETA,
        a::RESIZER,
        a::EXPANSION_NOT_REQUIRED,
        a::PROVISIONED_BY,
        a::DELETION_SECRET_NAME,
        a::DELETION_SECRET_NAMESPACE,
        a::MODIFY_SECRET_NAME,
        a::MODIFY_SECRET_NAMESPACE,
        a::PRE_RESIZE_CAPACITY,
        a::NODE_ID,
        a::INITIAL_EVENTS_END,
        snapshot::BEING_CREATED,
        snapshot::BEING_DELETED,
        snapshot::SECRET_NAME,
        snapshot::SECRET_NAMESPACE,
        snapshot::DEFAULT_CLASS,
        snapshot::GROUP_HANDLE,
        snapshot::GROUP_BEING_CREATED,
        snapshot::GROUP_BEING_DELETED,
        snapshot::GROUP_SECRET_NAME,
        snapshot::GROUP_SECRET_NAMESPACE,
        snapshot::GROUP_DEFAULT_CLASS,
    ]
    .contains(&key)
        || a::FOR_TRANSLATION.contains(&key)
}

/// A uid. Kubernetes writes UUIDs, which take 16 bytes here; other text is kept as it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(Repr);

// The variant bits make the second half of every proper UUID non-zero, and the compiler finds room for `Text` in that:
// 16 bytes in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    /// A UUID in its canonical lower-case spelling.
    Uuid(u64, NonZeroU64),
    /// Anything else.
    Text(Interned),
}

impl Uid {
    /// Keeps `text` exactly: only the canonical spelling of a UUID is stored in binary.
    pub fn new(text: &str) -> Self {
        Self(Repr::of_uuid(text).unwrap_or_else(|| Repr::Text(Interned::unshared(text))))
    }

    /// Whether there is no uid, as in objects that were never stored.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Text(text) if text.is_empty())
    }

    /// Calls `read` with the text, without allocating.
    pub fn with_str<R>(&self, read: impl FnOnce(&str) -> R) -> R {
        match &self.0 {
            Repr::Uuid(high, low) => {
                let mut buffer = uuid::Uuid::encode_buffer();
                read(uuid::Uuid::from_u64_pair(*high, low.get()).hyphenated().encode_lower(&mut buffer))
            }
            Repr::Text(text) => read(text),
        }
    }
}

impl Repr {
    fn of_uuid(text: &str) -> Option<Self> {
        let parsed = uuid::Uuid::try_parse(text).ok()?;
        let mut buffer = uuid::Uuid::encode_buffer();
        if *parsed.hyphenated().encode_lower(&mut buffer) != *text {
            return None;
        }
        let (high, low) = parsed.as_u64_pair();
        Some(Self::Uuid(high, NonZeroU64::new(low)?))
    }
}

impl Default for Uid {
    fn default() -> Self {
        Self::new("")
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| f.write_str(text))
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_str(|text| fmt::Debug::fmt(text, f))
    }
}

impl PartialEq<str> for Uid {
    fn eq(&self, other: &str) -> bool {
        self.with_str(|text| text == other)
    }
}

impl PartialEq<&str> for Uid {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// A list of finalizers. Almost all objects of a cluster share one of a handful of lists, so the whole list is interned.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Finalizers(Option<Interned>);

impl Finalizers {
    // Finalizer names are qualified names and can hold no line breaks.
    const SEPARATOR: char = '\n';

    /// The list of these names, in this order.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut joined = String::new();
        for name in names {
            if !joined.is_empty() {
                joined.push(Self::SEPARATOR);
            }
            joined.push_str(name);
        }
        Self(Some(joined).filter(|text| !text.is_empty()).map(Interned::from))
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|joined| joined.as_str().split(Self::SEPARATOR))
    }

    /// Whether `name` is in the list.
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|finalizer| finalizer == name)
    }

    /// The index of `name`, as JSON patches need it.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.iter().position(|finalizer| finalizer == name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Finalizers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The metadata that every projection has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// `None` for cluster-scoped objects.
    pub namespace: Option<Interned>,
    /// The name.
    pub name: Interned,
    /// The uid.
    pub uid: Uid,
    /// `metadata.resourceVersion`, 0 if it is absent or not a number.
    pub resource_version: u64,
    /// The finalizers.
    pub finalizers: Finalizers,
    /// Whether a deletion timestamp is set.
    pub deleting: bool,
}

impl Default for Interned {
    fn default() -> Self {
        Self::new("")
    }
}

impl Meta {
    /// The namespace, empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Namespace and name, as owned key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// `None` for cluster-scoped objects.
    pub namespace: Option<Interned>,
    /// The name.
    pub name: Interned,
}

impl ObjectKey {
    /// The key of a namespaced object, or with an empty namespace of a cluster-scoped one.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: Some(namespace).filter(|text| !text.is_empty()).map(Interned::new),
            name: Interned::new(name),
        }
    }
}

/// `namespace/name`, or the bare name, as client-go writes keys.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Metadata as it comes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireMeta<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
    #[serde(borrow)]
    resource_version: Text<'a>,
    #[serde(borrow)]
    finalizers: Items<Text<'a>>,
    deletion_timestamp: Present,
    #[serde(borrow)]
    annotations: Annotations<'a>,
    #[serde(borrow)]
    labels: ReadLabels<'a>,
    #[serde(borrow)]
    owner_references: Items<WireOwner<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireOwner<'a> {
    #[serde(borrow)]
    api_version: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Text<'a>,
}

impl<'a> WireMeta<'a> {
    /// The owned metadata. `shared_name` says that other kinds refer to the object by name, so that sharing pays.
    pub(crate) fn keep(&self, shared_name: bool) -> Meta {
        let name = self.name.as_str();
        Meta {
            namespace: self.namespace.non_empty().map(Interned::new),
            name: if shared_name { Interned::new(name) } else { Interned::unshared(name) },
            uid: Uid::new(self.uid.as_str()),
            resource_version: self.resource_version.as_str().parse().unwrap_or_default(),
            finalizers: Finalizers::new(self.finalizers.0.iter().map(Text::as_str)),
            deleting: self.deletion_timestamp.0,
        }
    }

    /// The annotations that are read.
    pub(super) fn annotations(&self) -> &Pairs<'a> {
        &self.annotations.0
    }

    /// The labels for zone and region.
    pub(super) fn zones(&self) -> Box<[(Interned, Interned)]> {
        self.labels.0.keep_only(&ZONE_LABELS)
    }

    /// The label `managed-by` of a snapshot content.
    pub(super) fn managed_by(&self) -> Option<Interned> {
        self.labels.0.get(MANAGED_BY).map(|value| Interned::new(value.as_str()))
    }

    /// The group snapshot among the owners.
    pub(super) fn group_owner(&self) -> Option<GroupOwner> {
        let is_group =
            |owner: &&WireOwner<'_>| is_group_owner(owner.api_version.as_str(), owner.kind.as_str());
        self.owner_references.0.iter().find(is_group).map(|owner| GroupOwner {
            api_version: Interned::new(owner.api_version.as_str()),
            name: Interned::new(owner.name.as_str()),
            uid: Uid::new(owner.uid.as_str()),
        })
    }

    /// One annotation, interned; an empty value is a value.
    pub(super) fn annotation(&self, key: &str) -> Option<Interned> {
        self.annotations().get(key).map(|value| Interned::new(value.as_str()))
    }

    /// The resource version, 0 if it is absent.
    pub(crate) fn version(&self) -> u64 {
        self.resource_version.as_str().parse().unwrap_or_default()
    }

    /// Whether this is the bookmark that ends the initial events of a streaming list.
    pub(crate) fn ends_initial_events(&self) -> bool {
        self.annotations().get(annotation::INITIAL_EVENTS_END).is_some_and(|value| value.as_str() == "true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_keep_their_exact_text() {
        for text in
            ["3d0a31a6-2b1c-4c9f-9b0c-0123456789ab", "3D0A31A6-2B1C-4C9F-9B0C-0123456789AB", "uid-1", ""]
        {
            assert_eq!(Uid::new(text).to_string(), text);
            assert_eq!(Uid::new(text), *text);
        }
        assert_eq!(Uid::new("00000000-0000-0000-0000-000000000000"), "00000000-0000-0000-0000-000000000000");
        assert!(matches!(Uid::new("3d0a31a6-2b1c-4c9f-9b0c-0123456789ab").0, Repr::Uuid(..)));
        assert_eq!(size_of::<Uid>(), 16);
        assert!(Uid::default().is_empty());
    }

    #[test]
    fn finalizers_keep_their_order() {
        let list = Finalizers::new(["kubernetes.io/pv-protection", "a/b"]);
        assert_eq!(list.iter().collect::<Vec<_>>(), ["kubernetes.io/pv-protection", "a/b"]);
        assert_eq!((list.position("a/b"), list.len(), list.has("x")), (Some(1), 2, false));
        assert!(Finalizers::new([]).is_empty());
        assert_eq!(Finalizers::new([]).len(), 0);
    }

    #[test]
    fn keys_read_as_in_client_go() {
        assert_eq!(ObjectKey::new("ns", "n").to_string(), "ns/n");
        assert_eq!(ObjectKey::new("", "n").to_string(), "n");
    }
}
