//! The bodies of all writes (13.4): only what changes, and only of the very object that the decision was made about.
//!
//! Upstream writes whole objects, or lists and maps from its cache without any precondition.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};
use sidecar_core::objects::{GroupContent, GroupSnapshot, Interned, Meta, Snapshot, SnapshotContent, Uid};
use snapshot_api::names::annotations::YES;
use snapshot_api::names::finalizers::{CONTENT_BOUND, GROUP_CONTENT_BOUND};
use snapshot_api::names::labels::MANAGED_BY;

/// JSON patch: adds finalizers to a list that is as we know it, and a class where there is none.
pub fn prepare(meta: &Meta, finalizers: &[&str], class: Option<(&str, &Interned)>) -> Value {
    let mut steps = vec![test("/metadata/uid", &json!(meta.uid.to_string()))];
    if !finalizers.is_empty() {
        let all: Vec<&str> = meta.finalizers.iter().chain(finalizers.iter().copied()).collect();
        steps.push(test("/metadata/finalizers", &known_finalizers(meta)));
        steps.push(json!({"op": "add", "path": "/metadata/finalizers", "value": all}));
    }
    if let Some((field, class)) = class {
        let path = format!("/spec/{field}");
        steps.push(test(&path, &Value::Null));
        steps.push(json!({"op": "add", "path": path, "value": &**class}));
    }
    Value::Array(steps)
}

/// JSON patch: removes finalizers from a list that is as we know it.
pub fn release(meta: &Meta, finalizers: &[&str]) -> Value {
    let rest: Vec<&str> = meta.finalizers.iter().filter(|name| !finalizers.contains(name)).collect();
    json!([
        test("/metadata/uid", &json!(meta.uid.to_string())),
        test("/metadata/finalizers", &known_finalizers(meta)),
        {"op": "replace", "path": "/metadata/finalizers", "value": rest},
    ])
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

/// A list that is empty is not there at all, which equals null.
fn known_finalizers(meta: &Meta) -> Value {
    let known: Vec<&str> = meta.finalizers.iter().collect();
    if known.is_empty() { Value::Null } else { json!(known) }
}

/// Merge patch of the status, of this version of the object.
pub fn status(meta: &Meta, fields: &Map<String, Value>) -> Value {
    json!({"metadata": of_version(meta), "status": fields})
}

fn of_version(meta: &Meta) -> Value {
    json!({"uid": meta.uid.to_string(), "resourceVersion": meta.resource_version.to_string()})
}

/// The fields of a status that says what is wrong.
pub fn error_fields(message: &str, now: &str, unready: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("error".to_owned(), json!({"message": message, "time": now}));
    if unready {
        fields.insert("readyToUse".to_owned(), json!(false));
    }
    fields
}

/// Merge patch: binds a content that was made by hand, and protects it in the same write.
pub fn bind(content: &SnapshotContent, snapshot: &Snapshot) -> Value {
    let metadata = protected(&content.meta, CONTENT_BOUND);
    let class = snapshot.class.as_deref().map(|class| ("volumeSnapshotClassName", class));
    bound(&metadata, "volumeSnapshotRef", &snapshot.meta.uid, class)
}

/// The same for the content of a group, whose class can be set once only.
pub fn bind_group(content: &GroupContent, group: &GroupSnapshot) -> Value {
    let metadata = protected(&content.meta, GROUP_CONTENT_BOUND);
    let class = group.class.as_deref().filter(|_| content.class.is_none());
    let class = class.map(|class| ("volumeGroupSnapshotClassName", class));
    bound(&metadata, "volumeGroupSnapshotRef", &group.meta.uid, class)
}

fn bound(metadata: &Value, field: &str, uid: &Uid, class: Option<(&str, &str)>) -> Value {
    let mut spec = Map::new();
    spec.insert(field.to_owned(), json!({"uid": uid.to_string()}));
    if let Some((field, class)) = class {
        spec.insert(field.to_owned(), json!(class));
    }
    json!({"metadata": metadata, "spec": spec})
}

/// Merge patch: gives the content of a member, made by another controller, the UID of its snapshot.
pub fn bind_member(content: &Meta, snapshot: &Meta) -> Value {
    json!({"metadata": of_version(content), "spec": {"volumeSnapshotRef": {"uid": snapshot.uid.to_string()}}})
}

/// JSON patches, the first for an object without owners: makes a group the owner of this version of a snapshot.
pub fn adopt(meta: &Meta, owner: &OwnerReference) -> [Value; 2] {
    let version = test("/metadata/resourceVersion", &json!(meta.resource_version.to_string()));
    let uid = test("/metadata/uid", &json!(meta.uid.to_string()));
    let (list, path) = (json!([owner]), "/metadata/ownerReferences");
    [
        json!([uid, version, test(path, &Value::Null), {"op": "add", "path": path, "value": list}]),
        json!([uid, version, {"op": "add", "path": format!("{path}/-"), "value": owner}]),
    ]
}

/// JSON patch: writes another version of its API into one of the owner references of this version of an object.
pub fn modernise(meta: &Meta, index: usize, api_version: &str) -> Value {
    json!([
        test("/metadata/uid", &json!(meta.uid.to_string())),
        test("/metadata/resourceVersion", &json!(meta.resource_version.to_string())),
        {"op": "replace", "path": format!("/metadata/ownerReferences/{index}/apiVersion"), "value": api_version},
    ])
}

/// This version of an object with one more finalizer. The list is whole: nobody has changed it since.
pub fn protected(meta: &Meta, finalizer: &str) -> Value {
    let mut metadata = of_version(meta);
    if !meta.finalizers.has(finalizer)
        && !meta.deleting
        && let Some(fields) = metadata.as_object_mut()
    {
        let all: Vec<&str> = meta.finalizers.iter().chain([finalizer]).collect();
        fields.insert("finalizers".to_owned(), json!(all));
    }
    metadata
}

/// Merge patch: sets an annotation whose presence is its meaning.
pub fn annotate(meta: &Meta, annotation: &str) -> Value {
    json!({"metadata": {"uid": meta.uid.to_string(), "annotations": {annotation: YES}}})
}

/// Merge patch: puts a node in charge.
pub fn put_in_charge(meta: &Meta, node: &str) -> Value {
    json!({"metadata": {"uid": meta.uid.to_string(), "labels": {MANAGED_BY: node}}})
}

/// Options of a DELETE of this version of an object, and of no other.
pub fn delete_options(meta: &Meta) -> Value {
    json!({"preconditions": of_version(meta)})
}

/// Options of a DELETE of this object, in whichever version.
pub fn delete_any_version(meta: &Meta) -> Value {
    json!({"preconditions": {"uid": meta.uid.to_string()}})
}
