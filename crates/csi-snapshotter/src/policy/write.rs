//! What is written into contents (sheet 5.10 to 5.12, 13.3).
//!
//! Only what changes is sent, so that what others write at the same time stays. Every patch names the object by its UID, and
//! by its version where that is not enough.

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
    let test = |path: &str, value: String| json!({"op": "test", "path": path, "value": value});
    let mut steps = vec![test("/metadata/uid", view.meta.uid.to_string())];
    // 0 stands for a version that is no number, as no API server of today has it.
    if view.meta.resource_version > 0 {
        steps.push(test("/metadata/resourceVersion", view.meta.resource_version.to_string()));
    }
    steps.push(test(&path, finalizer.to_owned()));
    steps.push(json!({"op": "remove", "path": path}));
    Some(steps.into())
}

/// The status changes in these fields, provided that the content is still as it was seen. Of custom resources the API server
/// checks a version in a patch of the status, but no UID.
pub fn status(view: &View<'_>, changes: &Value) -> Value {
    let mut metadata = json!({"uid": view.meta.uid.to_string()});
    if let (Some(fields), 1..) = (metadata.as_object_mut(), view.meta.resource_version) {
        fields.insert("resourceVersion".to_owned(), view.meta.resource_version.to_string().into());
    }
    json!({"metadata": metadata, "status": changes})
}

/// A snapshot could not be taken or looked at; it is not ready, whatever was known before. `None` if the status says so.
pub fn failed(view: &View<'_>, message: &str, now: Timestamp) -> Option<Value> {
    let known = view.error() == Some(message);
    (!known).then(|| json!({"error": error(message, now), "readyToUse": false}))
}

/// A snapshot could not be deleted; whether it can be used is another question (13.12). `None` if the status says so.
pub fn not_deleted(view: &View<'_>, message: &str, now: Timestamp) -> Option<Value> {
    let known = view.error() == Some(message);
    (!known).then(|| Map::from_iter([("error".to_owned(), error(message, now))]).into())
}

fn error(message: &str, now: Timestamp) -> Value {
    json!({"message": message, "time": format!("{now:.0}")})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Content, SINGLE};
    use crate::policy::fixtures::content;

    /// Rows G-F and G-AN, in the form of what is sent.
    #[test]
    fn patches_name_their_object_and_nothing_that_is_not_ours() {
        let held = content(&json!({"metadata": {"finalizers": ["a", SINGLE.finalizer, "b"]}}));
        let patch = release(&held.view(), SINGLE.finalizer).unwrap();
        assert_eq!(patch[3], json!({"op": "remove", "path": "/metadata/finalizers/1"}));
        assert_eq!(patch[1], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
        assert_eq!(release(&content(&json!({})).view(), SINGLE.finalizer), None);
        let opaque = json!({"metadata": {"resourceVersion": "opaque", "finalizers": [SINGLE.finalizer]}});
        let patch = release(&content(&opaque).view(), SINGLE.finalizer).unwrap();
        assert_eq!(patch.as_array().unwrap().len(), 3);
        let content = content(&json!({}));
        assert_eq!(
            unmark(&content.view(), "key"),
            json!({"metadata": {"uid": "content-uid", "annotations": {"key": null}}})
        );
        assert_eq!(mark(&content.view(), "key")["metadata"]["annotations"], json!({"key": "yes"}));
        let now = "2026-01-02T03:04:05.9Z".parse().unwrap();
        assert_eq!(
            failed(&content.view(), "it broke", now).unwrap(),
            json!({"error": {"message": "it broke", "time": "2026-01-02T03:04:05Z"}, "readyToUse": false})
        );
        assert!(not_deleted(&content.view(), "it broke", now).unwrap().get("readyToUse").is_none());
        assert_eq!(
            status(&content.view(), &json!({})),
            json!({"metadata": {"uid": "content-uid", "resourceVersion": "7"}, "status": {}})
        );
        let known = json!({"status": {"error": {"message": "it broke"}}});
        let known = super::super::fixtures::content(&known);
        assert_eq!(failed(&known.view(), "it broke", now), None);
        assert_eq!(not_deleted(&known.view(), "it broke", now), None);
    }
}
