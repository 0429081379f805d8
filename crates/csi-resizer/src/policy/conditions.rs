//! The conditions of a claim after a step, and the patch that gets there (sheet 5.5, 5.10).
//!
//! A condition that says the same as before is left exactly as it is, times included. Upstream stamps it anew on every
//! try, so that a claim that cannot be helped is written for ever.

use serde_json::{Map, Value, json};
use sidecar_core::objects::{Condition, Interned};

use super::sizes::FILE_SYSTEM_RESIZE_PENDING;

/// The controller is at it.
pub const RESIZING: &str = "Resizing";
/// The last try of the controller failed.
pub const CONTROLLER_RESIZE_ERROR: &str = "ControllerResizeError";
/// The last try of the node failed; kubelet writes it.
pub const NODE_RESIZE_ERROR: &str = "NodeResizeError";
/// Another attributes class is being applied.
pub const MODIFYING_VOLUME: &str = "ModifyingVolume";
/// The last try to do so failed.
pub const MODIFY_VOLUME_ERROR: &str = "ModifyVolumeError";

/// What a node that has to do its part is waiting for.
const FILE_SYSTEM_MESSAGE: &str =
    "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";

/// A condition to be set, always with the status True.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    kind: &'static str,
    reason: String,
    message: String,
}

impl Set {
    fn new(kind: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), message: message.into() }
    }

    /// The controller is at it.
    pub fn resizing() -> Self {
        Self::new(RESIZING, "", "")
    }

    /// The controller has done its part.
    pub fn file_system_pending() -> Self {
        Self::new(FILE_SYSTEM_RESIZE_PENDING, "", FILE_SYSTEM_MESSAGE)
    }

    /// The driver refused; `error` is its error with the code.
    pub fn resize_failed(error: &str) -> Self {
        Self::new(CONTROLLER_RESIZE_ERROR, "", format!("failed to expand pvc with {error}"))
    }

    /// A class is being applied.
    pub fn modifying(class: &str) -> Self {
        Self::new(MODIFYING_VOLUME, "", format!("Modifying volume to \"{class}\" is in progress."))
    }

    /// The driver failed, and may still be at it.
    pub fn still_modifying(class: &str) -> Self {
        Self::new(MODIFYING_VOLUME, "", format!("Modifying volume to \"{class}\" is still in progress."))
    }

    /// The driver failed for good, until the next try.
    pub fn modifying_failed(class: &str) -> Self {
        let message = format!("Modifying volume to \"{class}\" failed. Waiting for retry.");
        Self::new(MODIFYING_VOLUME, "", message)
    }

    /// What the driver said: the name of the code and the text.
    pub fn modify_failed(code: &str, message: &str) -> Self {
        Self::new(MODIFY_VOLUME_ERROR, code, message)
    }

    fn says(&self, condition: &Condition) -> bool {
        *condition.status == *"True"
            && *condition.reason == *self.reason
            && *condition.message == *self.message
    }

    fn condition(&self, probe: &str, transition: &str) -> Condition {
        Condition {
            kind: Interned::new(self.kind),
            status: Interned::new("True"),
            reason: Interned::new(&self.reason),
            message: self.message.as_str().into(),
            last_probe_time: probe.into(),
            last_transition_time: transition.into(),
        }
    }
}

/// What becomes of the other conditions about expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Keep,
    /// They go.
    Drop,
}

fn is_about_expansion(kind: &str) -> bool {
    [RESIZING, FILE_SYSTEM_RESIZE_PENDING, CONTROLLER_RESIZE_ERROR, NODE_RESIZE_ERROR].contains(&kind)
}

/// The conditions after a step of an expansion. Those about other things keep their places.
pub fn after_resize(old: &[Condition], new: Option<&Set>, others: Others, now: &str) -> Vec<Condition> {
    let mut merged = Vec::with_capacity(old.len() + 1);
    let mut placed = false;
    for condition in old {
        match new.filter(|new| *new.kind == *condition.kind) {
            Some(new) if new.says(condition) => merged.push(condition.clone()),
            Some(new) => merged.push(new.condition("", now)),
            None if is_about_expansion(&condition.kind) && others == Others::Drop => continue,
            None => merged.push(condition.clone()),
        }
        placed |= new.is_some_and(|new| *new.kind == *condition.kind);
    }
    merged.extend(new.filter(|_| !placed).map(|new| new.condition("", now)));
    merged
}

/// The conditions after a step of a modification. All others stay, and new ones come last.
pub fn after_modify(old: &[Condition], new: &[Set], now: &str) -> Vec<Condition> {
    let mut merged: Vec<Condition> = old
        .iter()
        .map(|condition| match new.iter().find(|set| *set.kind == *condition.kind) {
            Some(set) if !set.says(condition) => {
                let same = *condition.reason == *set.reason && *condition.status == *"True";
                set.condition(now, if same { &condition.last_transition_time } else { now })
            }
            _ => condition.clone(),
        })
        .collect();
    let missing = new.iter().filter(|set| !old.iter().any(|condition| *condition.kind == *set.kind));
    merged.extend(missing.map(|set| set.condition(now, now)));
    merged
}

/// The conditions without those of these types.
pub fn without(old: &[Condition], kinds: &[&str]) -> Vec<Condition> {
    old.iter().filter(|condition| !kinds.contains(&&*condition.kind)).cloned().collect()
}

/// The strategic merge list that turns `old` into `new`, naming nothing that stays as it is. `None`: nothing changes.
pub fn patch(old: &[Condition], new: &[Condition]) -> Option<Value> {
    let find =
        |list: &[Condition], kind: &str| list.iter().find(|condition| *condition.kind == *kind).cloned();
    let gone = old
        .iter()
        .filter(|condition| find(new, &condition.kind).is_none())
        .map(|condition| json!({"$patch": "delete", "type": *condition.kind}));
    let changed = new.iter().filter_map(|condition| {
        let before = find(old, &condition.kind);
        (before.as_ref() != Some(condition)).then(|| entry(condition, before.as_ref()))
    });
    let list: Vec<Value> = changed.chain(gone).collect();
    (!list.is_empty()).then(|| list.into())
}

fn entry(condition: &Condition, before: Option<&Condition>) -> Value {
    let time = |time: &str| if time.is_empty() { Value::Null } else { time.into() };
    let mut entry = Map::new();
    entry.insert("type".to_owned(), (*condition.kind).into());
    entry.insert("status".to_owned(), (*condition.status).into());
    entry.insert("lastProbeTime".to_owned(), time(&condition.last_probe_time));
    entry.insert("lastTransitionTime".to_owned(), time(&condition.last_transition_time));
    let texts = [
        ("reason", &*condition.reason, before.map_or("", |before| &*before.reason)),
        ("message", &*condition.message, before.map_or("", |before| &*before.message)),
    ];
    for (field, text, before) in texts {
        if !text.is_empty() {
            entry.insert(field.to_owned(), text.into());
        } else if !before.is_empty() {
            // The entries are merged, so what is to go has to be named.
            entry.insert(field.to_owned(), Value::Null);
        }
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests;
