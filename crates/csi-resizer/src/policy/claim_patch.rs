//! What is written into a claim: W1 to W5 of an expansion and M1, M3, M4 of a modification (sheet 5.7).
//!
//! Strategic merge patches for the status subresource, with the keys that change and no others: upstream's patches null
//! whole maps and lists when their last entry goes, and so wipe what somebody else has just added. A patch that would
//! change nothing is not made at all.

use serde_json::{Map, Value, json};
use sidecar_core::objects::{Claim, ClaimResize, Condition};

use super::conditions::{self, Others, Set};
use super::sizes::{Progress, Size, amount};

/// Told to kubelet: the node has nothing to do.
const EXPANSION_NOT_REQUIRED: &str = "volume.kubernetes.io/node-expansion-not-required";

/// Which state of the claim a patch may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Exactly the one that it was computed from.
    Version,
    /// Any state of this claim, but not another claim of the same name.
    Uid,
}

/// A patch in the making.
struct Changes<'c> {
    resize: &'c ClaimResize,
    claim: &'c Claim,
    status: Map<String, Value>,
    metadata: Map<String, Value>,
}

static NO_STATUS: ClaimResize = ClaimResize {
    resizer: None,
    expansion_not_required: false,
    capacity: None,
    allocated: None,
    allocated_statuses: Vec::new(),
    conditions: Vec::new(),
    current_attributes_class: None,
    modify_status: None,
};

impl<'c> Changes<'c> {
    fn of(claim: &'c Claim) -> Self {
        let resize = claim.resize.as_deref().unwrap_or(&NO_STATUS);
        Self { resize, claim, status: Map::new(), metadata: Map::new() }
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) -> &mut Self {
        self.status.insert(field.to_owned(), value.into());
        self
    }

    fn capacity(&mut self, size: &str) -> &mut Self {
        let before = self.resize.capacity.as_deref();
        if before.is_none() || amount(before) != amount(Some(size)) {
            self.set("capacity", json!({"storage": size}));
        }
        self
    }

    fn allocated(&mut self, size: &Size) -> &mut Self {
        if self.resize.allocated.as_ref().map(Size::new).as_ref() != Some(size) {
            self.set("allocatedResources", json!({"storage": *size.text}));
        }
        self
    }

    fn progress(&mut self, progress: Progress) -> &mut Self {
        let before = Progress::of(self.claim);
        if before == progress {
            return self;
        }
        let value = if progress == Progress::None { Value::Null } else { progress.as_str().into() };
        self.set("allocatedResourceStatuses", json!({"storage": value}))
    }

    fn not_required(&mut self, value: bool) -> &mut Self {
        if self.resize.expansion_not_required != value {
            let value = if value { "true".into() } else { Value::Null };
            self.metadata.insert("annotations".to_owned(), json!({EXPANSION_NOT_REQUIRED: value}));
        }
        self
    }

    fn conditions(&mut self, new: &[Condition]) -> &mut Self {
        if let Some(list) = conditions::patch(&self.resize.conditions, new) {
            self.set("conditions", list);
        }
        self
    }

    fn resize_condition(&mut self, new: Option<&Set>, others: Others, now: &str) -> &mut Self {
        let merged = conditions::after_resize(&self.resize.conditions, new, others, now);
        self.conditions(&merged)
    }

    fn modify_conditions(&mut self, new: &[Set], now: &str) -> &mut Self {
        let merged = conditions::after_modify(&self.resize.conditions, new, now);
        self.conditions(&merged)
    }

    fn modify_status(&mut self, status: &str, target: Option<&str>) -> &mut Self {
        let before = self.resize.modify_status.as_ref();
        let mut changed = Map::new();
        if before.is_none_or(|before| *before.status != *status) {
            changed.insert("status".to_owned(), status.into());
        }
        if let Some(target) = target.filter(|target| before.is_none_or(|before| *before.target != **target)) {
            changed.insert("targetVolumeAttributesClassName".to_owned(), target.into());
        }
        if !changed.is_empty() {
            self.set("modifyVolumeStatus", changed);
        }
        self
    }

    /// The patch; `None` if nothing changes.
    fn patch(&mut self, guard: Guard) -> Option<Value> {
        if self.status.is_empty() && self.metadata.is_empty() {
            return None;
        }
        let meta = &self.claim.meta;
        let (field, value) = match guard {
            Guard::Version => ("resourceVersion", meta.resource_version.to_string()),
            Guard::Uid => ("uid", meta.uid.to_string()),
        };
        let mut patch = Map::new();
        let mut metadata = std::mem::take(&mut self.metadata);
        metadata.insert(field.to_owned(), value.into());
        patch.insert("metadata".to_owned(), metadata.into());
        if !self.status.is_empty() {
            patch.insert("status".to_owned(), std::mem::take(&mut self.status).into());
        }
        Some(patch.into())
    }
}

/// W1: the controller begins. `repeats`: it has begun with the same target before, so its status stays.
pub fn resize_started(claim: &Claim, target: &Size, repeats: bool, now: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    let others = if repeats { Others::Keep } else { Others::Drop };
    changes.resize_condition(Some(&Set::resizing()), others, now).allocated(target).not_required(false);
    if !repeats {
        changes.progress(Progress::ControllerInProgress);
    }
    changes.patch(Guard::Version)
}

/// W2 and W3: the driver refused, for good (`infeasible`) or not.
pub fn resize_failed(claim: &Claim, error: &str, infeasible: bool, now: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    changes.resize_condition(Some(&Set::resize_failed(error)), Others::Keep, now);
    if infeasible {
        changes.progress(Progress::ControllerInfeasible);
    }
    changes.patch(Guard::Uid)
}

/// W4: the node has to do its part.
pub fn node_pending(claim: &Claim, now: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    changes
        .resize_condition(Some(&Set::file_system_pending()), Others::Keep, now)
        .progress(Progress::NodePending)
        .not_required(false);
    changes.patch(Guard::Version)
}

/// W5: all is done, the volume has this size.
pub fn resize_finished(claim: &Claim, size: &str, now: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    changes
        .resize_condition(None, Others::Drop, now)
        .capacity(size)
        .progress(Progress::None)
        .not_required(true);
    changes.patch(Guard::Version)
}

/// The start without `RecoverVolumeExpansionFailure` (sheet 5.8).
pub fn legacy_started(claim: &Claim, now: &str) -> Option<Value> {
    Changes::of(claim).resize_condition(Some(&Set::resizing()), Others::Drop, now).patch(Guard::Version)
}

/// The end of the controller's part without `RecoverVolumeExpansionFailure`.
pub fn legacy_node_pending(claim: &Claim, now: &str) -> Option<Value> {
    let pending = Set::file_system_pending();
    Changes::of(claim).resize_condition(Some(&pending), Others::Drop, now).patch(Guard::Version)
}

/// The end without `RecoverVolumeExpansionFailure`.
pub fn legacy_finished(claim: &Claim, size: &str, now: &str) -> Option<Value> {
    Changes::of(claim).resize_condition(None, Others::Drop, now).capacity(size).patch(Guard::Version)
}

/// M1: the class that is wanted does not exist.
pub fn modify_pending(claim: &Claim) -> Option<Value> {
    Changes::of(claim).modify_status("Pending", None).patch(Guard::Version)
}

/// M1: a class is about to be applied.
pub fn modify_started(claim: &Claim, class: &str, now: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    changes.modify_status("InProgress", Some(class)).modify_conditions(&[Set::modifying(class)], now);
    changes.patch(Guard::Version)
}

/// How a try to apply a class failed.
#[derive(Clone, Copy, Debug)]
pub struct ModifyError<'e> {
    /// The driver may still be at it.
    pub uncertain: bool,
    /// It will never work.
    pub infeasible: bool,
    /// Name of the code.
    pub code: &'e str,
    /// The driver's text.
    pub message: &'e str,
}

/// M1: the driver failed.
pub fn modify_failed(claim: &Claim, class: &str, error: ModifyError<'_>, now: &str) -> Option<Value> {
    let modifying = if error.uncertain { Set::still_modifying(class) } else { Set::modifying_failed(class) };
    let set = [modifying, Set::modify_failed(error.code, error.message)];
    let mut changes = Changes::of(claim);
    let status = if error.infeasible { "Infeasible" } else { "InProgress" };
    changes.modify_status(status, None).modify_conditions(&set, now);
    changes.patch(Guard::Version)
}

/// M3: the class is applied.
///
/// Names all that is to go, seen or not: a failure may have been written whose answer was lost, and while the watch is late
/// the claim in hand does not show it. Nobody would take it away later.
pub fn modify_finished(claim: &Claim, class: &str) -> Option<Value> {
    let mut changes = Changes::of(claim);
    let gone = [conditions::MODIFYING_VOLUME, conditions::MODIFY_VOLUME_ERROR];
    let before = changes.resize;
    let says_so = before.current_attributes_class.as_deref() == Some(class)
        && before.modify_status.is_none()
        && conditions::without(&before.conditions, &gone).len() == before.conditions.len();
    if says_so {
        return None;
    }
    let gone = gone.map(|kind| json!({"$patch": "delete", "type": kind}));
    changes
        .set("currentVolumeAttributesClassName", class)
        .set("modifyVolumeStatus", Value::Null)
        .set("conditions", gone.to_vec())
        .patch(Guard::Uid)
}

/// M4: the user wants no class any more.
pub fn modify_canceled(claim: &Claim) -> Option<Value> {
    let mut changes = Changes::of(claim);
    let left = conditions::without(&changes.resize.conditions, &[conditions::MODIFYING_VOLUME]);
    changes.conditions(&left).patch(Guard::Uid)
}

#[cfg(test)]
mod tests;
