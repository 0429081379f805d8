//! What is written into contents (sheet 5.10 to 5.12, 13.3).
//!
//! Only what changes is sent, so that what others write at the same time stays. Every patch names the object by its UID, or
//! by its version where nothing at all may have changed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use snapshot_api::names::annotations;

use crate::content::View;

/// The content says that its snapshot is being created.
pub fn mark(view: &View<'_>, annotation: &str) -> Value {
    annotate(view, annotation, &annotations::YES.into())
}

/// The content says so no longer.
pub fn unmark(view: &View<'_>, annotation: &str) -> Value {
    annotate(view, annotation, &Value::Null)
}

fn annotate(view: &View<'_>, annotation: &str, value: &Value) -> Value {
    json!({"metadata": {"uid": view.meta.uid.to_string(), "annotations": {annotation: value}}})
}

/// Takes our finalizer away from the very content that was decided on: its snapshot may only be left behind as it was seen.
/// `None` if it is not there. A JSON patch, unlike all others here.
pub fn release(view: &View<'_>, finalizer: &str) -> Option<Value> {
    let path = format!("/metadata/finalizers/{}", view.meta.finalizers.position(finalizer)?);
    Some(json!([
        {"op": "test", "path": "/metadata/uid", "value": view.meta.uid.to_string()},
        {"op": "test", "path": "/metadata/resourceVersion", "value": view.meta.resource_version.to_string()},
        {"op": "test", "path": path, "value": finalizer},
        {"op": "remove", "path": path},
    ]))
}

/// The status changes in these fields.
pub fn status(view: &View<'_>, changes: impl Into<Value>) -> Value {
    json!({"metadata": {"uid": view.meta.uid.to_string()}, "status": changes.into()})
}

/// A snapshot could not be taken or looked at; it is not ready, whatever was known before.
pub fn failed(view: &View<'_>, message: &str, now: Timestamp) -> Value {
    status(view, json!({"error": error(message, now), "readyToUse": false}))
}

/// A snapshot could not be deleted; whether it can be used is another question (13.12).
pub fn not_deleted(view: &View<'_>, message: &str, now: Timestamp) -> Value {
    status(view, Map::from_iter([("error".to_owned(), error(message, now))]))
}

fn error(message: &str, now: Timestamp) -> Value {
    json!({"message": message, "time": format!("{now:.0}")})
}
