//! The definitions against annex A.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::*;
use crate::names::kinds::{self, SnapshotKind};

fn json_of(kind: &'static SnapshotKind) -> Value {
    definition(kind).to_json()
}

/// The canonical text of a schema (annex A.6).
fn canonical(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let mut result = Map::new();
            for (name, value) in sorted {
                if name == "description" && value.is_string() {
                    continue;
                }
                let mut value = canonical(value);
                match (name.as_str(), &mut value) {
                    ("required" | "enum", Value::Array(items)) => items.sort_by_key(Value::to_string),
                    ("x-kubernetes-validations", Value::Array(rules)) => rules.sort_by_key(|rule| {
                        (
                            rule["rule"].as_str().map(str::to_owned),
                            rule["message"].as_str().map(str::to_owned),
                        )
                    }),
                    _ => {}
                }
                result.insert(name.clone(), value);
            }
            Value::Object(result)
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn digest_of(schema: &Value) -> String {
    let hash = digest(&SHA256, canonical(schema).to_string().as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn count_rules(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::Array(rules) if name == "x-kubernetes-validations" => rules.len(),
                other => count_rules(other),
            })
            .sum(),
        Value::Array(items) => items.iter().map(count_rules).sum(),
        _ => 0,
    }
}

const DIGESTS: &[(&str, &str, usize, &str)] = &[
    ("VolumeSnapshot", "v1", 6, "27b3e340d0c126fdedfa55e46bb2ef8b41d22291e86ddf21fa41a7f28889e1a2"),
    ("VolumeSnapshot", "v1beta1", 0, "b0a5bb21cac72700f3a1b9f7bd5e5747d7f279748d7a682149d4cb383da465fc"),
    ("VolumeSnapshotContent", "v1", 8, "a97ee07e04e1e557b6d9f3a8540a8df437f1a2e8cf64d4902db150cfa432e5c5"),
    (
        "VolumeSnapshotContent",
        "v1beta1",
        0,
        "91a681495175b71f01536001e9430fb410fd88b0c942c4e9f42813b166ffa67a",
    ),
    ("VolumeSnapshotClass", "v1", 0, "c454327ce78ba84128f07984fce383f7f8a83856c6c8ad254e2d118f37321b58"),
    ("VolumeSnapshotClass", "v1beta1", 0, "6902c877c420f07c8b1348327c3b415cded416b6df0c46e72ae658be566e044f"),
    ("VolumeGroupSnapshot", "v1", 7, "7c0dde22d455ac29154cad42d8e795e1c4bff5c3e09399775cc089a73978c4a2"),
    ("VolumeGroupSnapshot", "v1beta2", 7, "7c0dde22d455ac29154cad42d8e795e1c4bff5c3e09399775cc089a73978c4a2"),
    ("VolumeGroupSnapshot", "v1beta1", 6, "6483f60f372ff82425ae7db6098bd2ae0168e45337aa05f691abbafe0b12d5e3"),
    (
        "VolumeGroupSnapshotContent",
        "v1",
        11,
        "9db80b192e99037f4562ad183cac4a5f95bb1ce0071523487b5a4cbf46dee753",
    ),
    (
        "VolumeGroupSnapshotContent",
        "v1beta2",
        11,
        "9db80b192e99037f4562ad183cac4a5f95bb1ce0071523487b5a4cbf46dee753",
    ),
    (
        "VolumeGroupSnapshotContent",
        "v1beta1",
        6,
        "84f8de18a5637f4689ae62548590b33e5e1825c1fb67d1b759d98009e029ab93",
    ),
    ("VolumeGroupSnapshotClass", "v1", 3, "9d3c0850d1051956f5f8cad671a02aac761dcfca30972c817da17cee7b427302"),
    (
        "VolumeGroupSnapshotClass",
        "v1beta2",
        3,
        "9d3c0850d1051956f5f8cad671a02aac761dcfca30972c817da17cee7b427302",
    ),
    (
        "VolumeGroupSnapshotClass",
        "v1beta1",
        0,
        "c454327ce78ba84128f07984fce383f7f8a83856c6c8ad254e2d118f37321b58",
    ),
];

/// Annex A.6: schema and rules are upstream's, in every version.
#[test]
fn schemas_have_the_digests_of_upstreams() {
    let mut found = Vec::new();
    for kind in kinds::ALL {
        let definition = json_of(kind);
        for version in definition["spec"]["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            let name = version["name"].as_str().unwrap().to_owned();
            found.push((kind.kind, name, count_rules(schema), digest_of(schema)));
        }
    }
    let mut wanted: Vec<_> = DIGESTS
        .iter()
        .map(|(kind, version, rules, digest)| (*kind, (*version).to_owned(), *rules, (*digest).to_owned()))
        .collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

/// Annex A.1.
#[test]
fn names_scope_and_subresources_are_upstreams() {
    let rows = [
        ("volumesnapshots.snapshot.storage.k8s.io", "Namespaced", "VolumeSnapshot", "vs", true),
        (
            "volumesnapshotcontents.snapshot.storage.k8s.io",
            "Cluster",
            "VolumeSnapshotContent",
            "vsc vscs",
            true,
        ),
        (
            "volumesnapshotclasses.snapshot.storage.k8s.io",
            "Cluster",
            "VolumeSnapshotClass",
            "vsclass vsclasses",
            false,
        ),
        (
            "volumegroupsnapshots.groupsnapshot.storage.k8s.io",
            "Namespaced",
            "VolumeGroupSnapshot",
            "vgs",
            true,
        ),
        (
            "volumegroupsnapshotcontents.groupsnapshot.storage.k8s.io",
            "Cluster",
            "VolumeGroupSnapshotContent",
            "vgsc vgscs",
            true,
        ),
        (
            "volumegroupsnapshotclasses.groupsnapshot.storage.k8s.io",
            "Cluster",
            "VolumeGroupSnapshotClass",
            "vgsclass vgsclasses",
            false,
        ),
    ];
    for (kind, (name, scope, kind_name, short_names, status)) in kinds::ALL.into_iter().zip(rows) {
        let found = json_of(kind);
        let (plural, group) = name.split_once('.').unwrap();
        assert_eq!(found["metadata"]["name"], name);
        assert_eq!(found["spec"]["group"], group);
        assert_eq!(found["spec"]["scope"], scope);
        let names = json!({
            "kind": kind_name, "listKind": format!("{kind_name}List"), "plural": plural,
            "shortNames": short_names.split(' ').collect::<Vec<_>>(), "singular": kind_name.to_lowercase(),
        });
        assert_eq!(found["spec"]["names"], names);
        let subresources = if status { json!({"status": {}}) } else { json!({}) };
        for version in found["spec"]["versions"].as_array().unwrap() {
            assert_eq!(version["subresources"], subresources);
        }
        let members: Vec<&str> = found["spec"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            members,
            ["group", "names", "scope", "versions"],
            "no conversion, no preserveUnknownFields"
        );
        assert!(found.get("status").is_none());
    }
}

/// Annex A, head: the API server asks for the approval of kinds in Kubernetes' own domain.
#[test]
fn definitions_name_their_approval() {
    let numbers = kinds::ALL.map(|kind| {
        let found = json_of(kind);
        let approval = found["metadata"]["annotations"]["api-approved.kubernetes.io"].as_str().unwrap();
        let number = approval.strip_prefix("https://github.com/kubernetes-csi/external-snapshotter/pull/");
        number.unwrap().parse::<u32>().unwrap()
    });
    assert_eq!(numbers, [814, 955, 814, 1337, 1337, 1337]);
}

/// Annex A.2.
#[test]
fn versions_are_served_and_stored_as_upstreams() {
    for kind in kinds::ALL {
        let found = json_of(kind);
        let versions: Vec<_> = found["spec"]["versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| {
                let flag = |name: &str| version.get(name).is_some_and(|flag| flag == true);
                (version["name"].as_str().unwrap(), flag("served"), flag("storage"), flag("deprecated"))
            })
            .collect();
        let first = &found["spec"]["versions"][1];
        if kind.group == "snapshot.storage.k8s.io" {
            assert_eq!(versions, [("v1", true, true, false), ("v1beta1", false, false, true)]);
            let kind = kind.kind;
            let warning = format!(
                "snapshot.storage.k8s.io/v1beta1 {kind} is deprecated; use snapshot.storage.k8s.io/v1 {kind}"
            );
            assert_eq!(first["deprecationWarning"], warning);
        } else {
            let expected =
                [("v1", true, false, false), ("v1beta1", true, false, true), ("v1beta2", true, true, false)];
            assert_eq!(versions, expected);
            assert!(first.get("deprecationWarning").is_none());
        }
    }
}

/// Annex A.3, as the sheet writes it.
const COLUMNS: [&str; 6] = [
    "ReadyToUse:boolean:.status.readyToUse; SourcePVC:string:.spec.source.persistentVolumeClaimName; \
     SourceSnapshotContent:string:.spec.source.volumeSnapshotContentName; RestoreSize:string:.status.restoreSize; \
     SnapshotClass:string:.spec.volumeSnapshotClassName; \
     SnapshotContent:string:.status.boundVolumeSnapshotContentName; CreationTime:date:.status.creationTime; \
     Age:date:.metadata.creationTimestamp",
    "ReadyToUse:boolean:.status.readyToUse; RestoreSize:integer:.status.restoreSize; \
     DeletionPolicy:string:.spec.deletionPolicy; Driver:string:.spec.driver; \
     VolumeSnapshotClass:string:.spec.volumeSnapshotClassName; VolumeSnapshot:string:.spec.volumeSnapshotRef.name; \
     VolumeSnapshotNamespace:string:.spec.volumeSnapshotRef.namespace; Age:date:.metadata.creationTimestamp",
    "Driver:string:.driver; DeletionPolicy:string:.deletionPolicy; Age:date:.metadata.creationTimestamp",
    "ReadyToUse:boolean:.status.readyToUse; VolumeGroupSnapshotClass:string:.spec.volumeGroupSnapshotClassName; \
     VolumeGroupSnapshotContent:string:.status.boundVolumeGroupSnapshotContentName; \
     CreationTime:date:.status.creationTime; Age:date:.metadata.creationTimestamp",
    "ReadyToUse:boolean:.status.readyToUse; DeletionPolicy:string:.spec.deletionPolicy; Driver:string:.spec.driver; \
     VolumeGroupSnapshotClass:string:.spec.volumeGroupSnapshotClassName; \
     VolumeGroupSnapshotNamespace:string:.spec.volumeGroupSnapshotRef.namespace; \
     VolumeGroupSnapshot:string:.spec.volumeGroupSnapshotRef.name; Age:date:.metadata.creationTimestamp",
    "Driver:string:.driver; DeletionPolicy:string:.deletionPolicy; Age:date:.metadata.creationTimestamp",
];

#[test]
fn printed_columns_are_upstreams_in_every_version() {
    for (kind, wanted) in kinds::ALL.into_iter().zip(COLUMNS) {
        let found = json_of(kind);
        for version in found["spec"]["versions"].as_array().unwrap() {
            let columns: Vec<String> = version["additionalPrinterColumns"]
                .as_array()
                .unwrap()
                .iter()
                .map(|column| {
                    let text = |name: &str| column[name].as_str().unwrap();
                    format!("{}:{}:{}", text("name"), text("type"), text("jsonPath"))
                })
                .collect();
            assert_eq!(columns.join("; "), wanted, "{}", kind.kind);
        }
    }
}

/// Walks a schema; every field but the metadata has something to say for itself.
fn check_described(schema: &Schema, path: &str) {
    match &schema.shape {
        Shape::Metadata => return,
        Shape::Object(members) => {
            for member in members {
                let path = format!("{path}.{}", member.name);
                let described = !member.schema.description.is_empty();
                assert!(described || member.schema.shape == Shape::Metadata, "{path} is not described");
                check_described(&member.schema, &path);
            }
        }
        Shape::List(items) => check_described(items, &format!("{path}[]")),
        _ => {}
    }
    let text = schema.description;
    assert!(text.is_empty() || text.ends_with('.'), "{path}: {text}");
}

#[test]
fn every_field_is_described() {
    for kind in kinds::ALL {
        for version in definition(kind).versions {
            check_described(&version.schema, kind.kind);
        }
    }
}
