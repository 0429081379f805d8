//! The persistent-volume controller's part: provisioner annotations, binding, release, loss.

use serde_json::{Value, json};

use super::{ClaimKey, claim_of, key, name, volume_of};
use crate::api::{ApiServer, doc};

const CLAIM: &str = "PersistentVolumeClaim";
const VOLUME: &str = "PersistentVolume";

/// One look at a claim.
pub(super) fn claim(server: &ApiServer, claim: &Value) {
    match volume_of(claim) {
        Some(volume) => bound_claim(server, claim, &volume),
        None => pending_claim(server, claim),
    }
}

fn bound_claim(server: &ApiServer, claim: &Value, volume: &str) {
    let phase = doc::text(claim, "/status/phase");
    match server.object(VOLUME, "", volume) {
        None if phase == "Bound" => set_claim_status(server, claim, &json!({"phase": "Lost"})),
        Some(volume) if claimed_by(&volume, claim) && phase != "Bound" => {
            finish_claim(server, claim, &volume);
        }
        _ => {}
    }
}

fn pending_claim(server: &ApiServer, claim: &Value) {
    let volumes = server.objects(VOLUME);
    let mine = volumes.iter().find(|volume| {
        claim_of(volume).as_ref() == Some(&key(claim))
            && matches!(doc::text(volume, "/spec/claimRef/uid"), uid if uid.is_empty() || uid == uid_of(claim))
            && !doc::present(volume, "/metadata/deletionTimestamp")
    });
    let class = server.object("StorageClass", "", class_of(claim));
    let late = class.as_ref().is_some_and(|class| {
        doc::text(class, "/volumeBindingMode") == "WaitForFirstConsumer"
            && !doc::present(claim, "/metadata/annotations/volume.kubernetes.io~1selected-node")
    });
    if let Some(volume) = mine.or_else(|| volumes.iter().find(|volume| !late && fits(volume, claim))) {
        bind(server, claim, volume);
        return;
    }
    let Some(class) = class.filter(|_| !late && !doc::present(claim, "/metadata/deletionTimestamp")) else {
        return;
    };
    let provisioner = doc::text(&class, "/provisioner");
    let known = doc::text(claim, "/metadata/annotations/volume.kubernetes.io~1storage-provisioner");
    if provisioner != "kubernetes.io/no-provisioner" && known != provisioner {
        let annotations = json!({"metadata": {"annotations": {
            "volume.kubernetes.io/storage-provisioner": provisioner,
            "volume.beta.kubernetes.io/storage-provisioner": provisioner,
        }}});
        write(&server.patch(CLAIM, &key(claim).0, name(claim), &annotations));
    }
}

/// Whether a volume that belongs to nobody could serve the claim.
fn fits(volume: &Value, claim: &Value) -> bool {
    let mode = |object| match doc::text(object, "/spec/volumeMode") {
        "" => "Filesystem".to_owned(),
        mode => mode.to_owned(),
    };
    let modes = doc::list(volume, "/spec/accessModes");
    doc::text(volume, "/status/phase") == "Available"
        && claim_of(volume).is_none()
        && class_of(volume) == class_of(claim)
        && mode(volume) == mode(claim)
        && doc::list(claim, "/spec/accessModes").iter().all(|wanted| modes.contains(wanted))
        && doc::text(volume, "/spec/capacity/storage") == doc::text(claim, "/spec/resources/requests/storage")
}

fn bind(server: &ApiServer, claim: &Value, volume: &Value) {
    if !claimed_by(volume, claim) {
        let reference = json!({"spec": {"claimRef": {
            "apiVersion": "v1", "kind": CLAIM, "namespace": key(claim).0, "name": name(claim),
            "uid": uid_of(claim), "resourceVersion": doc::text(claim, "/metadata/resourceVersion"),
        }}});
        if !write(&server.patch(VOLUME, "", name(volume), &reference)) {
            return;
        }
    }
    set_volume_phase(server, volume, "Bound");
    let patch = json!({
        "spec": {"volumeName": name(volume)},
        "metadata": {"annotations": {
            "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes",
        }},
    });
    if write(&server.patch(CLAIM, &key(claim).0, name(claim), &patch)) {
        finish_claim(server, claim, volume);
    }
}

fn finish_claim(server: &ApiServer, claim: &Value, volume: &Value) {
    set_volume_phase(server, volume, "Bound");
    let status = json!({
        "phase": "Bound",
        "accessModes": doc::at(volume, "/spec/accessModes"),
        "capacity": doc::at(volume, "/spec/capacity"),
    });
    set_claim_status(server, claim, &status);
}

/// One look at a volume.
pub(super) fn volume(server: &ApiServer, volume: &Value) {
    let phase = doc::text(volume, "/status/phase");
    let Some((namespace, owner)) = claim_of(volume) else {
        if phase != "Available" {
            set_volume_phase(server, volume, "Available");
        }
        return;
    };
    if doc::text(volume, "/spec/claimRef/uid").is_empty() {
        if phase != "Available" {
            set_volume_phase(server, volume, "Available");
        }
        return;
    }
    let owner = server.object(CLAIM, &namespace, &owner).filter(|claim| claimed_by(volume, claim));
    match owner {
        None => release(server, volume),
        Some(claim) => match volume_of(&claim) {
            None => bind(server, &claim, volume),
            Some(bound) if bound == name(volume) => {
                if phase != "Bound" {
                    set_volume_phase(server, volume, "Bound");
                }
            }
            // The claim has another volume: one that was provisioned for it is of no use to anybody.
            Some(_) if doc::present(volume, "/metadata/annotations/pv.kubernetes.io~1provisioned-by") => {
                release(server, volume);
            }
            Some(_) => {}
        },
    }
}

fn release(server: &ApiServer, volume: &Value) {
    if !matches!(doc::text(volume, "/status/phase"), "Released" | "Failed") {
        set_volume_phase(server, volume, "Released");
    }
}

/// The volumes that name a claim.
pub(super) fn volumes_for(server: &ApiServer, key: &ClaimKey) -> Vec<String> {
    server
        .objects("PersistentVolume")
        .iter()
        .filter(|volume| claim_of(volume).as_ref() == Some(key))
        .map(|volume| name(volume).to_owned())
        .collect()
}

fn claimed_by(volume: &Value, claim: &Value) -> bool {
    claim_of(volume).as_ref() == Some(&key(claim)) && doc::text(volume, "/spec/claimRef/uid") == uid_of(claim)
}

fn uid_of(object: &Value) -> &str {
    doc::text(object, "/metadata/uid")
}

fn class_of(object: &Value) -> &str {
    match doc::text(object, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class") {
        "" => doc::text(object, "/spec/storageClassName"),
        class => class,
    }
}

fn set_volume_phase(server: &ApiServer, volume: &Value, phase: &str) {
    let now = server.object(VOLUME, "", name(volume));
    if now.is_some_and(|now| doc::text(&now, "/status/phase") == phase) {
        return;
    }
    write(&server.patch_status(VOLUME, "", name(volume), &json!({"status": {"phase": phase}})));
}

fn set_claim_status(server: &ApiServer, claim: &Value, status: &Value) {
    write(&server.patch_status(CLAIM, &key(claim).0, name(claim), &json!({"status": status})));
}

/// A write that fails because the object has gone or changed is tried again at its next change.
fn write(outcome: &Result<Value, crate::api::Failure>) -> bool {
    if let Err(failure) = outcome {
        tracing::debug!(%failure, "write of a stand-in controller refused");
    }
    outcome.is_ok()
}
