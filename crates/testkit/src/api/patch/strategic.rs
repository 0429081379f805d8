//! Strategic merge: lists are merged by a key that depends on the field, and `$` directives delete and order.

use serde_json::{Map, Value};

use crate::api::doc;
use crate::api::failure::Failure;

const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// How the list in a field is merged.
enum ListMerge {
    /// Items are maps that are the same when this field is.
    ByKey(&'static str),
    /// Items are scalars that form a set.
    Set,
    /// The whole list is replaced.
    Replace,
}

fn list_merge(field: &str) -> ListMerge {
    match field {
        "conditions" | "addresses" => ListMerge::ByKey("type"),
        "ownerReferences" => ListMerge::ByKey("uid"),
        "containers" | "initContainers" | "volumes" | "imagePullSecrets" | "env" | "drivers" => {
            ListMerge::ByKey("name")
        }
        "volumeMounts" => ListMerge::ByKey("mountPath"),
        "finalizers" => ListMerge::Set,
        _ => ListMerge::Replace,
    }
}

/// Merges `patch` into `target`.
pub(super) fn merge(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        return Err(Failure::bad_request("a strategic merge patch must be a JSON object"));
    };
    merge_map(doc::object(target), patch)
}

fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), Failure> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Failure::bad_request(format!("unknown patch directive {other:?}"))),
    }
    if let Some(Value::Array(kept)) = patch.get("$retainKeys") {
        target.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
    for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
        merge_field(target, key, value)?;
    }
    for (directive, value) in patch {
        if let Some(field) = directive.strip_prefix(DELETE_PRIMITIVES) {
            let gone = value.as_array().map_or(&[][..], Vec::as_slice);
            if let Some(Value::Array(items)) = target.get_mut(field) {
                items.retain(|item| !gone.contains(item));
            }
        }
    }
    for (directive, value) in patch {
        if let Some(field) = directive.strip_prefix(ORDER)
            && let (Some(Value::Array(items)), Value::Array(order)) = (target.get_mut(field), value)
        {
            reorder(field, items, order);
        }
    }
    Ok(())
}

fn merge_field(target: &mut Map<String, Value>, key: &str, value: &Value) -> Result<(), Failure> {
    match value {
        Value::Null => {
            target.remove(key);
            Ok(())
        }
        Value::Object(patch) => {
            let entry = target.entry(key.to_owned()).or_insert_with(|| Value::Object(Map::new()));
            merge_map(doc::object(entry), patch)
        }
        Value::Array(items) => {
            let entry = target.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
            if !entry.is_array() {
                *entry = Value::Array(Vec::new());
            }
            let Value::Array(existing) = entry else { return Ok(()) };
            merge_list(key, existing, items)
        }
        scalar => {
            target.insert(key.to_owned(), scalar.clone());
            Ok(())
        }
    }
}

fn merge_list(field: &str, existing: &mut Vec<Value>, patch: &[Value]) -> Result<(), Failure> {
    match list_merge(field) {
        ListMerge::Replace => existing.clone_from(&patch.to_vec()),
        ListMerge::Set => {
            for item in patch {
                if !existing.contains(item) {
                    existing.push(item.clone());
                }
            }
        }
        ListMerge::ByKey(key) => {
            if patch.iter().any(|item| directive(item) == Some("replace")) {
                existing.clear();
            }
            for item in patch {
                merge_item(key, existing, item)?;
            }
        }
    }
    Ok(())
}

fn merge_item(key: &str, existing: &mut Vec<Value>, item: &Value) -> Result<(), Failure> {
    let Value::Object(fields) = item else {
        return Err(Failure::bad_request("expected a map as list item of a strategic merge patch"));
    };
    let Some(identity) = fields.get(key) else {
        // A lone `$patch: replace` only empties the list.
        return if directive(item).is_some() {
            Ok(())
        } else {
            Err(Failure::bad_request(format!("map: {item} does not contain declared merge key: {key}")))
        };
    };
    let place = existing.iter().position(|candidate| candidate.get(key) == Some(identity));
    match (directive(item), place.and_then(|place| existing.get_mut(place))) {
        (Some("delete"), _) => existing.retain(|candidate| candidate.get(key) != Some(identity)),
        (_, Some(found)) => merge_map(doc::object(found), fields)?,
        (_, None) => existing.push(Value::Object(without_directives(fields))),
    }
    Ok(())
}

fn directive(item: &Value) -> Option<&str> {
    item.get("$patch").and_then(Value::as_str)
}

fn without_directives(fields: &Map<String, Value>) -> Map<String, Value> {
    fields
        .iter()
        .filter(|(key, _)| !key.starts_with('$'))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Brings the listed items into the listed order; the others stay where they are.
fn reorder(field: &str, items: &mut [Value], order: &[Value]) {
    let rank = |item: &Value| {
        let identity = |value: &Value| match list_merge(field) {
            ListMerge::ByKey(key) => value.get(key).cloned(),
            _ => Some(value.clone()),
        };
        let own = identity(item);
        order.iter().position(|listed| identity(listed) == own)
    };
    let mut listed: Vec<(usize, Value)> =
        items.iter().filter_map(|item| rank(item).map(|rank| (rank, item.clone()))).collect();
    listed.sort_by_key(|(rank, _)| *rank);
    let mut sorted = listed.into_iter().map(|(_, item)| item);
    for slot in items.iter_mut().filter(|item| rank(item).is_some()) {
        if let Some(next) = sorted.next() {
            *slot = next;
        }
    }
}
