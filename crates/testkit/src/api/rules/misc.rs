//! Pods, events, leases and secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::require;
use crate::api::doc;
use crate::api::failure::Cause;

pub(super) fn check_pod(pod: &Value, causes: &mut Vec<Cause>) {
    require(pod, "/spec/containers", causes);
}

/// Events live with the object they are about; those about cluster-scoped objects live in `default`.
pub(super) fn check_event(event: &Value, causes: &mut Vec<Cause>) {
    let namespace = doc::text(event, "/metadata/namespace");
    let involved = doc::text(event, "/involvedObject/namespace");
    let agree = if involved.is_empty() { namespace == "default" } else { namespace == involved };
    if !agree {
        let hint = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &involved.into(), hint));
    }
}

pub(super) fn check_lease(lease: &Value, causes: &mut Vec<Cause>) {
    if let Some(duration) = doc::at(lease, "/spec/leaseDurationSeconds")
        && duration.as_i64().unwrap_or_default() <= 0
    {
        causes.push(Cause::invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"));
    }
    if let Some(transitions) = doc::at(lease, "/spec/leaseTransitions")
        && transitions.as_i64().unwrap_or(-1) < 0
    {
        let hint = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", transitions, hint));
    }
}

pub(super) fn secret_defaults(secret: &mut Value) {
    doc::set_default(secret, &["type"], "Opaque");
    if let Some(Value::Object(plain)) = doc::take(secret, &["stringData"]) {
        for (key, value) in plain {
            let encoded = STANDARD.encode(value.as_str().unwrap_or_default());
            doc::set(secret, &["data", &key], encoded);
        }
    }
}
