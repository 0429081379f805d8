//! Defaults and validation per kind: only what sidecars can trip over, with the texts of kube-apiserver.

mod metadata;
mod misc;
mod storage;
mod volumes;

use serde_json::Value;

use super::failure::Cause;
pub(crate) use metadata::{check_metadata, check_metadata_update};

/// What a kind adds to the handling that all kinds share.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Fills in what the writer left out; runs on every write.
    pub(crate) defaults: fn(&mut Value),
    /// Sets the status of a new object; runs after a given status was dropped.
    pub(crate) first_status: fn(&mut Value, now: &str),
    /// Checks a new or changed object.
    pub(crate) check: fn(&Value, &mut Vec<Cause>),
    /// Checks a change: new object, old object.
    pub(crate) check_update: fn(&Value, &Value, &mut Vec<Cause>),
    /// Touches up a status write: new object, old object, now.
    pub(crate) status_update: fn(&mut Value, &Value, now: &str),
}

/// A kind without rules.
pub(crate) const NONE: Rules = Rules {
    defaults: |_| {},
    first_status: |_, _| {},
    check: |_, _| {},
    check_update: |_, _, _| {},
    status_update: |_, _, _| {},
};

pub(crate) const VOLUME: Rules = Rules {
    defaults: volumes::volume_defaults,
    first_status: volumes::volume_first_status,
    check: volumes::check_volume,
    check_update: volumes::check_volume_update,
    status_update: volumes::volume_status_update,
};

pub(crate) const CLAIM: Rules = Rules {
    defaults: volumes::claim_defaults,
    first_status: |claim, _| super::doc::set(claim, &["status", "phase"], "Pending"),
    check: volumes::check_claim,
    check_update: volumes::check_claim_update,
    ..NONE
};

pub(crate) const POD: Rules = Rules {
    first_status: |pod, _| super::doc::set(pod, &["status", "phase"], "Pending"),
    check: misc::check_pod,
    ..NONE
};

pub(crate) const NAMESPACE: Rules =
    Rules { first_status: |namespace, _| super::doc::set(namespace, &["status", "phase"], "Active"), ..NONE };

pub(crate) const EVENT: Rules = Rules { check: misc::check_event, ..NONE };

pub(crate) const LEASE: Rules = Rules { check: misc::check_lease, ..NONE };

pub(crate) const SECRET: Rules = Rules { defaults: misc::secret_defaults, ..NONE };

pub(crate) const CLASS: Rules = Rules {
    defaults: storage::class_defaults,
    check: storage::check_class,
    check_update: storage::check_class_update,
    ..NONE
};

pub(crate) const ATTACHMENT: Rules = Rules {
    first_status: |attachment, _| super::doc::set(attachment, &["status", "attached"], false),
    check: storage::check_attachment,
    check_update: storage::check_attachment_update,
    ..NONE
};

pub(crate) const CSI_NODE: Rules = Rules { check: storage::check_csi_node, ..NONE };

pub(crate) const CSI_DRIVER: Rules = Rules { defaults: storage::driver_defaults, ..NONE };

pub(crate) const ATTRIBUTES_CLASS: Rules = Rules {
    check: storage::check_attributes_class,
    check_update: storage::check_attributes_class_update,
    ..NONE
};

pub(crate) const CAPACITY: Rules =
    Rules { check: storage::check_capacity, check_update: storage::check_capacity_update, ..NONE };

/// Records that `field` is empty where it may not be.
fn require(object: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    if !super::doc::present(object, pointer) {
        causes.push(Cause::required(&field_name(pointer), ""));
    }
}

/// Records a change of `pointer`, with the text most kinds use for it.
fn immutable(new: &Value, old: &Value, pointer: &str, causes: &mut Vec<Cause>) {
    if super::doc::at(new, pointer) != super::doc::at(old, pointer) {
        let now = super::doc::at(new, pointer).cloned().unwrap_or_default();
        causes.push(Cause::invalid(&field_name(pointer), &now, "field is immutable"));
    }
}

fn field_name(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
