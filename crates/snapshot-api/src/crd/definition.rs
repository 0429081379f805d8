//! A definition: names, versions, printed columns.

use serde_json::{Value, json};

use super::Schema;
use super::group::{self, Age};
use super::snapshot;
use crate::names::kinds::{SNAPSHOT_GROUP, SnapshotKind};

/// What the API server must know to serve a kind.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its names and place.
    pub kind: &'static SnapshotKind,
    /// Its versions, in upstream's order.
    pub versions: Vec<Version>,
}

/// One version of a kind.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its name.
    pub name: &'static str,
    /// Whether objects can be read and written in it.
    pub served: bool,
    /// Whether objects are stored in it.
    pub storage: bool,
    /// Whether its users are warned, and in which words; empty for the API server's own.
    pub deprecated: Option<String>,
    /// What objects look like.
    pub schema: Schema,
}

/// The definition of one of [`crate::names::kinds::ALL`].
pub fn definition(kind: &'static SnapshotKind) -> Definition {
    let versions = if kind.group == SNAPSHOT_GROUP { snapshot_versions(kind) } else { group_versions(kind) };
    Definition { kind, versions }
}

fn snapshot_versions(kind: &SnapshotKind) -> Vec<Version> {
    let (current, first) = match kind.kind {
        "VolumeSnapshot" => (snapshot::snapshot(), snapshot::snapshot_v1beta1()),
        "VolumeSnapshotContent" => (snapshot::content(), snapshot::content_v1beta1()),
        _ => (snapshot::class(), snapshot::class_v1beta1()),
    };
    let (group, kind) = (kind.group, kind.kind);
    let warning = format!("{group}/v1beta1 {kind} is deprecated; use {group}/v1 {kind}");
    vec![
        Version { name: "v1", served: true, storage: true, deprecated: None, schema: current },
        Version { name: "v1beta1", served: false, storage: false, deprecated: Some(warning), schema: first },
    ]
}

fn group_versions(kind: &SnapshotKind) -> Vec<Version> {
    let schema = match kind.kind {
        "VolumeGroupSnapshot" => group::snapshot,
        "VolumeGroupSnapshotContent" => group::content,
        _ => group::class,
    };
    let version = |name, age| Version {
        name,
        served: true,
        storage: name == "v1beta2",
        deprecated: (age == Age::First).then(String::new),
        schema: schema(age),
    };
    // The storage version stays behind so that upstream's older controllers can be put back.
    vec![version("v1", Age::Current), version("v1beta1", Age::First), version("v1beta2", Age::Current)]
}

impl Definition {
    /// The version that controllers use.
    pub fn current(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == crate::names::kinds::VERSION)
    }

    /// As the API server takes it.
    pub fn to_json(&self) -> Value {
        let kind = self.kind;
        let versions: Vec<Value> = self.versions.iter().map(|version| version.to_json(kind)).collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {
                "name": kind.definition_name(),
                // Without it the API server refuses to establish a kind in a group of Kubernetes' own domain.
                "annotations": {"api-approved.kubernetes.io": approval(kind)},
            },
            "spec": {
                "group": kind.group,
                "names": {
                    "kind": kind.kind,
                    "listKind": format!("{}List", kind.kind),
                    "plural": kind.plural,
                    "shortNames": kind.short_names,
                    "singular": kind.kind.to_lowercase(),
                },
                "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
                "versions": versions,
            },
        })
    }
}

/// Where the schema was approved: upstream's, since the schemas are the same.
fn approval(kind: &SnapshotKind) -> String {
    let number = match kind.kind {
        "VolumeSnapshot" | "VolumeSnapshotClass" => 814,
        "VolumeSnapshotContent" => 955,
        _ => 1337,
    };
    format!("https://github.com/kubernetes-csi/external-snapshotter/pull/{number}")
}

impl Version {
    fn to_json(&self, kind: &SnapshotKind) -> Value {
        let mut version = json!({
            "name": self.name,
            "served": self.served,
            "storage": self.storage,
            "schema": {"openAPIV3Schema": self.schema.to_json()},
            "subresources": if kind.status { json!({"status": {}}) } else { json!({}) },
            "additionalPrinterColumns": columns(kind),
        });
        if let (Some(warning), Value::Object(fields)) = (&self.deprecated, &mut version) {
            fields.insert("deprecated".to_owned(), true.into());
            if !warning.is_empty() {
                fields.insert("deprecationWarning".to_owned(), warning.as_str().into());
            }
        }
        version
    }
}

/// A column of `kubectl get`: name, type, path, and what `kubectl explain` has no place for.
type Column = (&'static str, &'static str, &'static str, &'static str);

const READY: Column =
    ("ReadyToUse", "boolean", ".status.readyToUse", "Whether a volume can be restored from it now.");
const CUT: Column =
    ("CreationTime", "date", ".status.creationTime", "The point in time whose data it holds.");
const AGE: Column = ("Age", "date", ".metadata.creationTimestamp", "");
const DRIVER: Column = ("Driver", "string", ".spec.driver", "The CSI driver that has it.");
const POLICY: Column = (
    "DeletionPolicy",
    "string",
    ".spec.deletionPolicy",
    "Whether the driver's side goes when the user's does.",
);

const SNAPSHOT: &[Column] = &[
    READY,
    ("SourcePVC", "string", ".spec.source.persistentVolumeClaimName", "The claim that it is taken of."),
    (
        "SourceSnapshotContent",
        "string",
        ".spec.source.volumeSnapshotContentName",
        "The content of a snapshot that existed already.",
    ),
    ("RestoreSize", "string", ".status.restoreSize", "The least size of a volume that is restored from it."),
    ("SnapshotClass", "string", ".spec.volumeSnapshotClassName", "The class that it is made with."),
    (
        "SnapshotContent",
        "string",
        ".status.boundVolumeSnapshotContentName",
        "The content that belongs to it.",
    ),
    CUT,
    AGE,
];

const CONTENT: &[Column] = &[
    READY,
    (
        "RestoreSize",
        "integer",
        ".status.restoreSize",
        "The least size in bytes of a volume that is restored from it.",
    ),
    POLICY,
    DRIVER,
    ("VolumeSnapshotClass", "string", ".spec.volumeSnapshotClassName", "The class that it is made with."),
    ("VolumeSnapshot", "string", ".spec.volumeSnapshotRef.name", "The snapshot that it belongs to."),
    (
        "VolumeSnapshotNamespace",
        "string",
        ".spec.volumeSnapshotRef.namespace",
        "The namespace of the snapshot that it belongs to.",
    ),
    AGE,
];

const CLASS: &[Column] = &[
    ("Driver", "string", ".driver", "The CSI driver in charge."),
    ("DeletionPolicy", "string", ".deletionPolicy", "Whether the driver's side goes when the user's does."),
    AGE,
];

const GROUP: &[Column] = &[
    READY,
    (
        "VolumeGroupSnapshotClass",
        "string",
        ".spec.volumeGroupSnapshotClassName",
        "The class that it is made with.",
    ),
    (
        "VolumeGroupSnapshotContent",
        "string",
        ".status.boundVolumeGroupSnapshotContentName",
        "The content that belongs to it.",
    ),
    CUT,
    AGE,
];

const GROUP_CONTENT: &[Column] = &[
    READY,
    POLICY,
    DRIVER,
    (
        "VolumeGroupSnapshotClass",
        "string",
        ".spec.volumeGroupSnapshotClassName",
        "The class that it is made with.",
    ),
    (
        "VolumeGroupSnapshotNamespace",
        "string",
        ".spec.volumeGroupSnapshotRef.namespace",
        "The namespace of the group snapshot that it belongs to.",
    ),
    (
        "VolumeGroupSnapshot",
        "string",
        ".spec.volumeGroupSnapshotRef.name",
        "The group snapshot that it belongs to.",
    ),
    AGE,
];

fn columns(kind: &SnapshotKind) -> Vec<Value> {
    let columns = match kind.kind {
        "VolumeSnapshot" => SNAPSHOT,
        "VolumeSnapshotContent" => CONTENT,
        "VolumeGroupSnapshot" => GROUP,
        "VolumeGroupSnapshotContent" => GROUP_CONTENT,
        _ => CLASS,
    };
    columns.iter().map(column).collect()
}

fn column((name, kind, path, description): &Column) -> Value {
    let mut column = json!({"name": name, "type": kind, "jsonPath": path});
    if let (false, Value::Object(fields)) = (description.is_empty(), &mut column) {
        fields.insert("description".to_owned(), (*description).into());
    }
    column
}
