//! The patch types that sidecars use: merge, JSON patch and strategic merge.

mod strategic;

use std::sync::Arc;

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

use super::doc;
use super::failure::{Cause, Failure};
use super::resources::Resource;
use super::store::{Object, Store};
use super::write::Target;

/// How a patch body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
    /// Kubernetes' own, with merge keys and `$` directives.
    Strategic,
}

impl PatchType {
    /// The type that a Content-Type header names for a kind.
    pub(crate) fn from_content_type(content_type: &str, resource: &Resource) -> Result<Self, Failure> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/json-patch+json" => Ok(Self::Json),
            "application/strategic-merge-patch+json" if !resource.custom => Ok(Self::Strategic),
            _ if resource.custom => Err(Failure::unsupported_media_type(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                    .to_owned(),
            )),
            _ => Err(Failure::unsupported_media_type("415: Unsupported Media Type".to_owned())),
        }
    }
}

impl Store {
    /// Applies a patch to an object and stores the outcome.
    pub(crate) fn patch(
        &mut self,
        target: &Target,
        kind: PatchType,
        patch: &Value,
    ) -> Result<Arc<Object>, Failure> {
        let old = Arc::clone(self.find(target)?);
        let mut new = apply(&old.value, kind, patch)?;
        let version = doc::text(&new, "/metadata/resourceVersion");
        if version != old.version.to_string() && !matches!(version, "" | "0") {
            return Err(Failure::modified(target.resource, &target.name));
        }
        for field in ["name", "namespace"] {
            let pointer = format!("/metadata/{field}");
            if doc::at(&new, &pointer) != doc::at(&old.value, &pointer) {
                return Err(Failure::bad_request(format!("a patch cannot change the {field} of an object")));
            }
        }
        let uid = doc::text(&new, "/metadata/uid");
        if !uid.is_empty() && uid != doc::text(&old.value, "/metadata/uid") {
            // What is a precondition of an update is for a patch a change of the field. Only the status of a custom resource
            // is taken without a look at the metadata.
            if !(target.resource.custom && target.status) {
                let cause = Cause::invalid("metadata.uid", &uid.into(), "field is immutable");
                return Err(Failure::invalid(target.resource, &target.name, &[cause]));
            }
            doc::copy(&old.value, &mut new, &["metadata", "uid"]);
        }
        self.replace(target, &old, new)
    }
}

fn apply(old: &Value, kind: PatchType, patch: &Value) -> Result<Value, Failure> {
    let mut new = old.clone();
    match kind {
        PatchType::Merge => {
            if !patch.is_object() {
                return Err(Failure::bad_request("a merge patch must be a JSON object"));
            }
            json_patch::merge(&mut new, patch);
        }
        PatchType::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
            apply_operations(&mut new, &operations.0)?;
        }
        PatchType::Strategic => strategic::merge(&mut new, patch)?,
    }
    Ok(new)
}

/// RFC 6902, with two liberties of the real server's library: a member that is absent passes a `test` for null, and is
/// made by a `replace`.
fn apply_operations(document: &mut Value, operations: &[PatchOperation]) -> Result<(), Failure> {
    for operation in operations {
        let operation = match operation {
            PatchOperation::Test(test) if test.value.is_null() && is_absent_member(document, &test.path) => {
                continue;
            }
            PatchOperation::Replace(replace) if is_absent_member(document, &replace.path) => {
                let (path, value) = (replace.path.clone(), replace.value.clone());
                PatchOperation::Add(AddOperation { path, value })
            }
            other => other.clone(),
        };
        json_patch::patch(document, std::slice::from_ref(&operation))
            .map_err(|_| Failure::patch_does_not_apply())?;
    }
    Ok(())
}

fn is_absent_member(document: &Value, path: &Pointer) -> bool {
    document.pointer(path.as_str()).is_none() && parent(document, path.as_str()).is_some_and(Value::is_object)
}

fn parent<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    document.pointer(path.rsplit_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_member_passes_a_test_for_null() {
        let object = json!({"metadata": {"name": "a", "finalizers": ["f"]}});
        let test = |path: &str| {
            apply(&object, PatchType::Json, &json!([{"op": "test", "path": path, "value": null}]))
        };
        assert!(test("/metadata/absent").is_ok());
        assert!(test("/metadata/name").is_err() && test("/absent/absent").is_err());
        assert!(test("/metadata/finalizers/1").is_err(), "an index is not a member");
    }

    #[test]
    fn replacing_an_absent_member_makes_it() {
        let object = json!({"status": {}, "list": []});
        let replace = |path: &str| {
            apply(&object, PatchType::Json, &json!([{"op": "replace", "path": path, "value": 1}]))
        };
        assert_eq!(replace("/status/a").unwrap(), json!({"status": {"a": 1}, "list": []}));
        assert!(replace("/absent/a").is_err(), "its parent must be there");
        assert!(replace("/list/0").is_err(), "an index is not a member");
    }
}
