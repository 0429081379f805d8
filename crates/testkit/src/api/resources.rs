//! The table of kinds: one row says everything that the server must know about a kind. A new kind is a new row.

use serde_json::{Value, json};
use snapshot_api::names::kinds::{self, SnapshotKind};

use super::rules::{self, Rules};

/// How a kind treats writes to its `status` subresource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusSubresource {
    /// No such subresource: the main resource writes the status.
    None,
    /// Everything but the spec can be written through it, metadata included (the core kinds).
    KeepsSpec,
    /// Only the status can be written through it (VolumeAttachment, custom resources).
    StatusOnly,
}

/// One kind.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each column is a fact of its own")]
pub struct Resource {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version in the group.
    pub version: &'static str,
    /// Lower-case plural, as in URLs and RBAC rules.
    pub plural: &'static str,
    /// Kind name.
    pub kind: &'static str,
    /// Short names for kubectl.
    pub short_names: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// The status subresource.
    pub status: StatusSubresource,
    /// Whether it is a custom resource: not served until installed, no strategic merge patch, counts generations.
    pub custom: bool,
    /// Whether PUT creates an object that is not there.
    pub create_on_update: bool,
    /// Whether PUT without a resourceVersion overwrites.
    pub unconditional_update: bool,
    /// Whether DELETE answers with the object instead of a Status.
    pub returns_deleted: bool,
    /// Field selectors besides metadata.name and metadata.namespace: label and JSON pointer.
    pub fields: &'static [(&'static str, &'static str)],
    /// Defaults and validation.
    pub rules: Rules,
}

const CORE: Resource = Resource {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    short_names: &[],
    namespaced: true,
    status: StatusSubresource::None,
    custom: false,
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    fields: &[],
    rules: rules::NONE,
};

const STORAGE: Resource = Resource { group: "storage.k8s.io", namespaced: false, ..CORE };

const CUSTOM: Resource =
    Resource { custom: true, unconditional_update: false, status: StatusSubresource::StatusOnly, ..CORE };

/// A kind of `snapshot_api`, whose definition says what objects look like.
const fn defined(kind: &'static SnapshotKind) -> Resource {
    Resource {
        group: kind.group,
        plural: kind.plural,
        kind: kind.kind,
        short_names: kind.short_names,
        namespaced: kind.namespaced,
        status: if kind.status { StatusSubresource::StatusOnly } else { StatusSubresource::None },
        ..CUSTOM
    }
}

/// Every kind that the server knows.
pub static RESOURCES: &[Resource] = &[
    Resource {
        plural: "namespaces",
        kind: "Namespace",
        short_names: &["ns"],
        namespaced: false,
        status: StatusSubresource::KeepsSpec,
        fields: &[("status.phase", "/status/phase")],
        rules: rules::NAMESPACE,
        ..CORE
    },
    Resource {
        plural: "persistentvolumes",
        kind: "PersistentVolume",
        short_names: &["pv"],
        namespaced: false,
        status: StatusSubresource::KeepsSpec,
        returns_deleted: true,
        rules: rules::VOLUME,
        ..CORE
    },
    Resource {
        plural: "persistentvolumeclaims",
        kind: "PersistentVolumeClaim",
        short_names: &["pvc"],
        status: StatusSubresource::KeepsSpec,
        returns_deleted: true,
        rules: rules::CLAIM,
        ..CORE
    },
    Resource {
        plural: "pods",
        kind: "Pod",
        short_names: &["po"],
        status: StatusSubresource::KeepsSpec,
        returns_deleted: true,
        fields: &[("spec.nodeName", "/spec/nodeName"), ("status.phase", "/status/phase")],
        rules: rules::POD,
        ..CORE
    },
    Resource {
        plural: "nodes",
        kind: "Node",
        short_names: &["no"],
        namespaced: false,
        status: StatusSubresource::KeepsSpec,
        fields: &[("spec.unschedulable", "/spec/unschedulable")],
        ..CORE
    },
    Resource {
        plural: "events",
        kind: "Event",
        short_names: &["ev"],
        create_on_update: true,
        fields: &[
            ("involvedObject.kind", "/involvedObject/kind"),
            ("involvedObject.namespace", "/involvedObject/namespace"),
            ("involvedObject.name", "/involvedObject/name"),
            ("involvedObject.uid", "/involvedObject/uid"),
            ("reason", "/reason"),
            ("source", "/source/component"),
            ("type", "/type"),
        ],
        rules: rules::EVENT,
        ..CORE
    },
    Resource {
        plural: "secrets",
        kind: "Secret",
        fields: &[("type", "/type")],
        rules: rules::SECRET,
        ..CORE
    },
    Resource { plural: "configmaps", kind: "ConfigMap", short_names: &["cm"], ..CORE },
    Resource { plural: "serviceaccounts", kind: "ServiceAccount", short_names: &["sa"], ..CORE },
    Resource {
        plural: "storageclasses",
        kind: "StorageClass",
        short_names: &["sc"],
        returns_deleted: true,
        rules: rules::CLASS,
        ..STORAGE
    },
    Resource {
        plural: "volumeattachments",
        kind: "VolumeAttachment",
        status: StatusSubresource::StatusOnly,
        unconditional_update: false,
        returns_deleted: true,
        rules: rules::ATTACHMENT,
        ..STORAGE
    },
    Resource {
        plural: "csinodes",
        kind: "CSINode",
        unconditional_update: false,
        returns_deleted: true,
        rules: rules::CSI_NODE,
        ..STORAGE
    },
    Resource {
        plural: "csidrivers",
        kind: "CSIDriver",
        unconditional_update: false,
        returns_deleted: true,
        rules: rules::CSI_DRIVER,
        ..STORAGE
    },
    Resource {
        plural: "volumeattributesclasses",
        kind: "VolumeAttributesClass",
        short_names: &["vac"],
        returns_deleted: true,
        rules: rules::ATTRIBUTES_CLASS,
        ..STORAGE
    },
    Resource {
        plural: "csistoragecapacities",
        kind: "CSIStorageCapacity",
        namespaced: true,
        unconditional_update: false,
        rules: rules::CAPACITY,
        ..STORAGE
    },
    Resource {
        group: "coordination.k8s.io",
        plural: "leases",
        kind: "Lease",
        create_on_update: true,
        unconditional_update: false,
        rules: rules::LEASE,
        ..CORE
    },
    Resource { group: "apps", plural: "replicasets", kind: "ReplicaSet", short_names: &["rs"], ..CORE },
    defined(&kinds::VOLUME_SNAPSHOT),
    defined(&kinds::VOLUME_SNAPSHOT_CONTENT),
    defined(&kinds::VOLUME_SNAPSHOT_CLASS),
    defined(&kinds::VOLUME_GROUP_SNAPSHOT),
    defined(&kinds::VOLUME_GROUP_SNAPSHOT_CONTENT),
    defined(&kinds::VOLUME_GROUP_SNAPSHOT_CLASS),
    Resource {
        group: "gateway.networking.k8s.io",
        version: "v1beta1",
        plural: "referencegrants",
        kind: "ReferenceGrant",
        short_names: &["refgrant"],
        status: StatusSubresource::None,
        ..CUSTOM
    },
];

/// Identity of a row: group and plural.
pub(crate) type Id = (&'static str, &'static str);

impl Resource {
    /// A row that is in no table and names something in error messages.
    pub(crate) const fn only_for_messages(group: &'static str, kind: &'static str) -> Self {
        Self { group, kind, ..CORE }
    }

    /// The row of a kind or plural; `None` if the table has none.
    pub fn find(kind_or_plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|row| row.kind == kind_or_plural || row.plural == kind_or_plural)
    }

    /// The row that a URL means.
    pub fn at(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        RESOURCES.iter().find(|row| row.group == group && row.version == version && row.plural == plural)
    }

    /// What the row is known by.
    pub(crate) fn id(&self) -> Id {
        (self.group, self.plural)
    }

    /// `v1` or `group/version`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `plural` or `plural.group`, as messages name resources.
    pub fn qualified(&self) -> String {
        join(self.plural, self.group)
    }

    /// `Kind` or `Kind.group`, as validation messages name kinds.
    pub fn qualified_kind(&self) -> String {
        join(self.kind, self.group)
    }

    /// `details` of a Status about an object of this kind.
    pub fn details(&self, name: &str) -> Value {
        let mut details = json!({"kind": self.plural});
        if !name.is_empty() {
            super::doc::set(&mut details, &["name"], name);
        }
        if !self.group.is_empty() {
            super::doc::set(&mut details, &["group"], self.group);
        }
        details
    }

    /// Path of the collection; `namespace` is ignored for cluster-scoped kinds.
    pub fn collection_path(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural)
        } else {
            format!("{root}/{}/{}", self.version, self.plural)
        }
    }
}

fn join(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
