//! Short ways into JSON documents: the server keeps objects as plain JSON, so that a kind is one row of a
//! table and fields that it does not know survive.

use serde_json::{Map, Value};

/// What is at a JSON pointer. Unlike [`Value::pointer`] it allocates nothing for plain keys, which is most of what
/// the server does all day.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut found = value;
    for key in pointer.split('/').skip(1) {
        found = match found {
            Value::Object(fields) if key.contains('~') => {
                fields.get(&key.replace("~1", "/").replace("~0", "~"))?
            }
            Value::Object(fields) => fields.get(key)?,
            Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(found)
}

/// The string at `pointer`, or the empty string: Kubernetes treats absent and empty alike.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`; absent is empty.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map at `pointer`, if there is one.
pub fn map<'a>(value: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    at(value, pointer).and_then(Value::as_object)
}

/// Whether something other than null, an empty string, list or map is at `pointer`.
pub fn present(value: &Value, pointer: &str) -> bool {
    at(value, pointer).is_some_and(|found| match found {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    })
}

/// The map behind `value`; anything else there is replaced by an empty map.
pub fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object just above"),
    }
}

/// Writes `new` at `path`, making the maps on the way.
pub fn set(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    match path {
        [] => *value = new.into(),
        [first, rest @ ..] => {
            set(object(value).entry((*first).to_owned()).or_insert(Value::Null), rest, new);
        }
    }
}

/// Writes `new` at `path` unless something is there.
pub fn set_default(value: &mut Value, path: &[&str], new: impl Into<Value>) {
    let pointer: String = path.iter().flat_map(|part| ["/", part]).collect();
    if !present(value, &pointer) {
        set(value, path, new);
    }
}

/// Takes what is at `path` out of the document.
pub fn take(value: &mut Value, path: &[&str]) -> Option<Value> {
    match path {
        [] => None,
        [last] => value.as_object_mut()?.remove(*last),
        [first, rest @ ..] => take(value.as_object_mut()?.get_mut(*first)?, rest),
    }
}

/// Copies what `from` has at `path` to `to`, absence included.
pub fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    let pointer: String = path.iter().flat_map(|part| ["/", part]).collect();
    match at(from, &pointer) {
        Some(found) => set(to, path, found.clone()),
        None => {
            take(to, path);
        }
    }
}

/// Removes nulls everywhere and empty collections in the metadata, as a typed decode and encode would.
pub fn tidy(value: &mut Value) {
    drop_nulls(value);
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
            let empty = metadata.get(key).is_some_and(|found| match found {
                Value::Object(fields) => fields.is_empty(),
                Value::Array(items) => items.is_empty(),
                _ => false,
            });
            if empty {
                metadata.remove(key);
            }
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
