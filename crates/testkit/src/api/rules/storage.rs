//! The kinds of storage.k8s.io.

use serde_json::{Value, json};

use super::{immutable, require};
use crate::api::doc;
use crate::api::failure::Cause;

pub(super) fn class_defaults(class: &mut Value) {
    doc::set_default(class, &["reclaimPolicy"], "Delete");
    doc::set_default(class, &["volumeBindingMode"], "Immediate");
}

pub(super) fn check_class(class: &Value, causes: &mut Vec<Cause>) {
    require(class, "/provisioner", causes);
    let policy = doc::text(class, "/reclaimPolicy");
    if !matches!(policy, "Delete" | "Retain") {
        causes.push(Cause::unsupported("reclaimPolicy", policy, &["Delete", "Retain"]));
    }
    let mode = doc::text(class, "/volumeBindingMode");
    let modes = ["Immediate", "WaitForFirstConsumer"];
    if !modes.contains(&mode) {
        causes.push(Cause::unsupported("volumeBindingMode", mode, &modes));
    }
}

pub(super) fn check_class_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["/parameters", "/provisioner", "/reclaimPolicy", "/volumeBindingMode"] {
        immutable(new, old, field, causes);
    }
}

/// Longest message of an attach or detach error, in bytes.
const LONGEST_ERROR: usize = 1024;

pub(super) fn check_attachment(attachment: &Value, causes: &mut Vec<Cause>) {
    require(attachment, "/spec/attacher", causes);
    require(attachment, "/spec/nodeName", causes);
    let inline = doc::present(attachment, "/spec/source/inlineVolumeSpec");
    let named = doc::present(attachment, "/spec/source/persistentVolumeName");
    if !inline && !named {
        let hint = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
        causes.push(Cause::required("spec.source", hint));
    }
    for error in ["attachError", "detachError"] {
        let message = doc::text(attachment, &format!("/status/{error}/message"));
        if message.len() > LONGEST_ERROR {
            causes.push(Cause::too_long(&format!("status.{error}.message"), LONGEST_ERROR));
        }
    }
}

pub(super) fn check_attachment_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    immutable(new, old, "/spec", causes);
}

pub(super) fn check_csi_node(node: &Value, causes: &mut Vec<Cause>) {
    for (index, driver) in doc::list(node, "/spec/drivers").iter().enumerate() {
        for field in ["name", "nodeID"] {
            if doc::text(driver, &format!("/{field}")).is_empty() {
                causes.push(Cause::required(&format!("spec.drivers[{index}].{field}"), ""));
            }
        }
    }
}

pub(super) fn driver_defaults(driver: &mut Value) {
    let defaults: [(&str, Value); 7] = [
        ("attachRequired", json!(true)),
        ("podInfoOnMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("volumeLifecycleModes", json!(["Persistent"])),
    ];
    for (field, value) in defaults {
        doc::set_default(driver, &["spec", field], value);
    }
}

pub(super) fn check_attributes_class(class: &Value, causes: &mut Vec<Cause>) {
    require(class, "/driverName", causes);
    if !doc::present(class, "/parameters") {
        causes.push(Cause::required("parameters", "must contain at least one key/value pair"));
    }
}

pub(super) fn check_attributes_class_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    for field in ["driverName", "parameters"] {
        if new.get(field) != old.get(field) {
            causes.push(Cause::forbidden(field, &format!("updates to {field} are forbidden.")));
        }
    }
}

pub(super) fn check_capacity(capacity: &Value, causes: &mut Vec<Cause>) {
    require(capacity, "/storageClassName", causes);
}

pub(super) fn check_capacity_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    immutable(new, old, "/nodeTopology", causes);
    immutable(new, old, "/storageClassName", causes);
}
