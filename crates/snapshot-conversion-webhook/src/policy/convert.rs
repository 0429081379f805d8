//! One object, from one version to another.
//!
//! `v1beta1` has pairs of handles where its successors have a list that says more of each member. What the pairs cannot hold
//! travels in an annotation, so that nothing is lost on the way there and back. `v1` is the same as `v1beta2`; upstream's
//! webhook does not know it, which breaks every use of groups where it is in use (13.15).

use serde_json::{Map, Value};
use snapshot_api::names::annotations::INFO_LIST;
use snapshot_api::names::kinds::{GROUP_SNAPSHOT_GROUP, VOLUME_GROUP_SNAPSHOT_CONTENT};

const LIST: &str = "volumeSnapshotInfoList";
const PAIRS: &str = "volumeSnapshotHandlePairList";

/// What a pair has no room for.
const MORE_THAN_A_PAIR: [&str; 3] = ["creationTime", "readyToUse", "restoreSize"];

/// Why an object cannot be converted; the texts are upstream's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConversionError {
    #[error("conversion from a version to itself should not call the webhook: {0}")]
    SameVersion(String),
    #[error("unexpected conversion kind {0:?}")]
    Kind(String),
    #[error("unexpected conversion version from {0:?} to {1:?}")]
    Versions(String, String),
    #[error("unable to deserialize annotation {INFO_LIST:?}: {0}")]
    Annotation(String),
}

/// A version of VolumeGroupSnapshotContent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `v1beta1`.
    Pairs,
    /// `v1beta2` and `v1`.
    List,
}

impl Shape {
    fn of(api_version: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/')?;
        match version {
            "v1beta1" if group == GROUP_SNAPSHOT_GROUP => Some(Self::Pairs),
            "v1beta2" | "v1" if group == GROUP_SNAPSHOT_GROUP => Some(Self::List),
            _ => None,
        }
    }
}

/// The object in version `wanted`.
pub(super) fn convert(mut object: Value, wanted: &str) -> Result<Value, ConversionError> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version == wanted {
        return Err(ConversionError::SameVersion(version));
    }
    if kind != VOLUME_GROUP_SNAPSHOT_CONTENT.kind {
        return Err(ConversionError::Kind(kind));
    }
    let (Some(from), Some(to)) = (Shape::of(&version), Shape::of(wanted)) else {
        return Err(ConversionError::Versions(version, wanted.to_owned()));
    };
    match (from, to) {
        (Shape::Pairs, Shape::List) => pairs_to_list(&mut object)?,
        (Shape::List, Shape::Pairs) => list_to_pairs(&mut object),
        _ => {}
    }
    if let Value::Object(members) = &mut object {
        members.insert("apiVersion".to_owned(), wanted.into());
    }
    Ok(object)
}

fn pairs_to_list(object: &mut Value) -> Result<(), ConversionError> {
    let Some(text) = take_annotation(object) else {
        rename(object, PAIRS, LIST);
        return Ok(());
    };
    let failed = |reason: String| ConversionError::Annotation(reason);
    let list: Value = match text.as_str().map(serde_json::from_str) {
        Some(Ok(list @ Value::Array(_))) => list,
        Some(Ok(_)) | None => return Err(failed("it is not a list".to_owned())),
        Some(Err(error)) => return Err(failed(error.to_string())),
    };
    if let Some(status) = member(object, "status") {
        status.remove(PAIRS);
        status.insert(LIST.to_owned(), list);
    }
    Ok(())
}

fn list_to_pairs(object: &mut Value) {
    let Some(Value::Array(list)) = object.pointer("/status").and_then(|status| status.get(LIST)) else {
        return;
    };
    let mut pairs = list.clone();
    let text = Value::Array(pairs.clone()).to_string();
    for pair in pairs.iter_mut().filter_map(Value::as_object_mut) {
        pair.retain(|name, _| !MORE_THAN_A_PAIR.contains(&name.as_str()));
    }
    if let Some(status) = member(object, "status") {
        status.remove(LIST);
        status.insert(PAIRS.to_owned(), Value::Array(pairs));
    }
    let annotations = member(object, "metadata")
        .map(|metadata| metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new())));
    if let Some(Value::Object(annotations)) = annotations {
        annotations.insert(INFO_LIST.to_owned(), text.into());
    }
}

/// A member that is an object, made if it is absent.
fn member<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let member = object.as_object_mut()?.entry(name).or_insert(Value::Null);
    if member.is_null() {
        *member = Value::Object(Map::new());
    }
    member.as_object_mut()
}

/// Takes our annotation off, and the whole map if nothing else is in it.
fn take_annotation(object: &mut Value) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let found = annotations.remove(INFO_LIST)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Some(found)
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut)
        && let Some(value) = status.remove(from)
    {
        status.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests;
