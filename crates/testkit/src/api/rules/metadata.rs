//! Rules on metadata that hold for every kind: names, sizes, finalizers.

use serde_json::Value;

use crate::api::doc;
use crate::api::failure::Cause;
use crate::api::resources::Resource;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// Checks what a writer may put into the metadata of any object.
pub(crate) fn check_metadata(resource: &Resource, object: &Value, causes: &mut Vec<Cause>) {
    let name = doc::text(object, "/metadata/name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if !is_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), SUBDOMAIN));
    } else if name.len() > 253 {
        causes.push(Cause::invalid("metadata.name", &name.into(), "must be no more than 253 characters"));
    }
    let annotations = doc::map(object, "/metadata/annotations");
    let bytes: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_LIMIT {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
    for finalizer in doc::list(object, "/metadata/finalizers") {
        let text = finalizer.as_str().unwrap_or_default();
        let standard = matches!(text, "orphan" | "foregroundDeletion" | "kubernetes");
        if !standard && !text.contains('/') && !resource.custom {
            let hint = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid("metadata.finalizers", finalizer, hint));
        }
    }
}

/// Checks that nobody adds finalizers to an object that is going.
pub(crate) fn check_metadata_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    if !doc::present(old, "/metadata/deletionTimestamp") {
        return;
    }
    let before = doc::list(old, "/metadata/finalizers");
    let added: Vec<String> = doc::list(new, "/metadata/finalizers")
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .map(Value::to_string)
        .collect();
    if !added.is_empty() {
        let list = added.join(", ");
        let hint = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"
        );
        causes.push(Cause::forbidden("metadata.finalizers", &hint));
    }
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(|label| {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|byte| edge(*byte))
            && bytes.last().is_some_and(|byte| edge(*byte))
            && bytes.iter().all(|byte| edge(*byte) || *byte == b'-')
    })
}
