//! PersistentVolume and PersistentVolumeClaim.

use serde_json::Value;

use super::{immutable, require};
use crate::api::doc;
use crate::api::failure::Cause;

/// Spec fields of a PersistentVolume that are not its source.
const NOT_A_SOURCE: &[&str] = &[
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];
const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) fn volume_defaults(volume: &mut Value) {
    doc::set_default(volume, &["spec", "persistentVolumeReclaimPolicy"], "Retain");
    doc::set_default(volume, &["spec", "volumeMode"], "Filesystem");
    if doc::present(volume, "/spec/claimRef") {
        doc::set_default(volume, &["spec", "claimRef", "kind"], "PersistentVolumeClaim");
        doc::set_default(volume, &["spec", "claimRef", "apiVersion"], "v1");
    }
}

pub(super) fn volume_first_status(volume: &mut Value, now: &str) {
    doc::set(volume, &["status", "phase"], "Pending");
    doc::set(volume, &["status", "lastPhaseTransitionTime"], now);
}

pub(super) fn volume_status_update(new: &mut Value, old: &Value, now: &str) {
    if doc::text(new, "/status/phase") != doc::text(old, "/status/phase")
        && doc::at(new, "/status/lastPhaseTransitionTime") == doc::at(old, "/status/lastPhaseTransitionTime")
    {
        doc::set(new, &["status", "lastPhaseTransitionTime"], now);
    }
}

pub(super) fn check_volume(volume: &Value, causes: &mut Vec<Cause>) {
    require(volume, "/spec/capacity", causes);
    check_modes(volume, causes);
    let sources = sources(volume);
    match sources.as_slice() {
        [] => causes.push(Cause::required("spec", "must specify a volume type")),
        [_] => {}
        [_, more @ ..] => {
            for extra in more {
                let hint = "may not specify more than 1 volume type";
                causes.push(Cause::forbidden(&format!("spec.{extra}"), hint));
            }
        }
    }
    if sources.contains(&"csi") {
        check_csi(volume, causes);
    }
    let policy = doc::text(volume, "/spec/persistentVolumeReclaimPolicy");
    let known = ["Delete", "Recycle", "Retain"];
    if !known.contains(&policy) {
        causes.push(Cause::unsupported("spec.persistentVolumeReclaimPolicy", policy, &known));
    }
}

fn check_modes(object: &Value, causes: &mut Vec<Cause>) {
    if !doc::present(object, "/spec/accessModes") {
        let claim = doc::text(object, "/kind") == "PersistentVolumeClaim";
        let hint = if claim { "at least 1 access mode is required" } else { "" };
        causes.push(Cause::required("spec.accessModes", hint));
    }
    for mode in doc::list(object, "/spec/accessModes") {
        let mode = mode.as_str().unwrap_or_default();
        if !MODES.contains(&mode) {
            causes.push(Cause::unsupported("spec.accessModes", mode, MODES));
        }
    }
    let mode = doc::text(object, "/spec/volumeMode");
    if !matches!(mode, "Block" | "Filesystem") {
        causes.push(Cause::unsupported("spec.volumeMode", mode, &["Block", "Filesystem"]));
    }
}

fn check_csi(volume: &Value, causes: &mut Vec<Cause>) {
    require(volume, "/spec/csi/driver", causes);
    require(volume, "/spec/csi/volumeHandle", causes);
    for secret in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        if doc::at(volume, &format!("/spec/csi/{secret}")).is_some() {
            require(volume, &format!("/spec/csi/{secret}/name"), causes);
            require(volume, &format!("/spec/csi/{secret}/namespace"), causes);
        }
    }
}

pub(super) fn check_volume_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let mut changed = new.clone();
    // A volume that was made before its class had an expand secret may still get one.
    if doc::at(old, "/spec/csi/controllerExpandSecretRef").is_none() {
        doc::take(&mut changed, &["spec", "csi", "controllerExpandSecretRef"]);
    }
    let (before, after) = (sources(old), sources(&changed));
    let same = before == after
        && before.iter().all(|source| {
            let pointer = format!("/spec/{source}");
            doc::at(old, &pointer) == doc::at(&changed, &pointer)
        });
    if !same {
        let hint = "spec.persistentvolumesource is immutable after creation";
        causes.push(Cause::forbidden("spec.persistentvolumesource", hint));
    }
    immutable(new, old, "/spec/volumeMode", causes);
    if doc::at(old, "/spec/nodeAffinity").is_some() {
        immutable(new, old, "/spec/nodeAffinity", causes);
    }
}

fn sources(volume: &Value) -> Vec<&str> {
    doc::map(volume, "/spec")
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .filter(|key| !NOT_A_SOURCE.contains(key))
        .collect()
}

pub(super) fn claim_defaults(claim: &mut Value) {
    doc::set_default(claim, &["spec", "volumeMode"], "Filesystem");
    // The two source fields mirror each other, except that only the newer one can name another namespace.
    let source = doc::at(claim, "/spec/dataSource").cloned();
    let reference = doc::at(claim, "/spec/dataSourceRef").cloned();
    match (source, reference) {
        (Some(source), None) => doc::set(claim, &["spec", "dataSourceRef"], source),
        (None, Some(reference)) if reference.get("namespace").is_none() => {
            doc::set(claim, &["spec", "dataSource"], reference);
        }
        _ => {}
    }
}

pub(super) fn check_claim(claim: &Value, causes: &mut Vec<Cause>) {
    check_modes(claim, causes);
    if !doc::present(claim, "/spec/resources/requests/storage") {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
}

pub(super) fn check_claim_update(new: &Value, old: &Value, causes: &mut Vec<Cause>) {
    let empty = Value::default();
    let before = doc::at(old, "/spec").unwrap_or(&empty);
    let mut after = doc::at(new, "/spec").unwrap_or(&empty).clone();
    if !doc::present(before, "/volumeName") {
        doc::copy(before, &mut after, &["volumeName"]);
    }
    if before.get("storageClassName").is_none() {
        doc::take(&mut after, &["storageClassName"]);
    }
    if doc::text(old, "/status/phase") == "Bound" {
        doc::copy(before, &mut after, &["resources", "requests"]);
    }
    doc::copy(before, &mut after, &["volumeAttributesClassName"]);
    if after != *before {
        let hint = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                    bound claims";
        causes.push(Cause::forbidden("spec", hint));
    }
}
