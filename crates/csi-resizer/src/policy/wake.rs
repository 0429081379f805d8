//! Which changes of a claim are worth a look (sheet 5.1, 5.10, 13.3).
//!
//! Upstream takes the echo of its own writes for a change and looks again at once, past the back-off that it has just set.
//! Here a change that only says what this program writes is told apart from one that somebody else has made.

use sidecar_core::objects::{Claim, ClaimPhase};

use super::modify;
use super::sizes::{self, Progress};

/// What a change of a claim asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Nothing.
    No,
    /// A look, unless the change is our own.
    UnlessOwn,
    /// A look.
    Yes,
}

fn is_bound(claim: &Claim) -> bool {
    claim.phase == ClaimPhase::Bound && claim.volume_name.is_some()
}

/// What a change asks for as to the size.
pub fn expansion(old: &Claim, new: &Claim) -> Wake {
    let resizer = |claim: &Claim| claim.resize.as_deref().and_then(|resize| resize.resizer.clone());
    let wants = |claim: &Claim| sizes::amount(claim.requested.as_deref());
    if wants(old) != wants(new)
        || resizer(old) != resizer(new)
        || is_bound(old) != is_bound(new)
        || old.meta.uid != new.meta.uid
        || sizes::capacity(new) > sizes::capacity(old)
    {
        return Wake::Yes;
    }
    match Progress::of(new) {
        progress if progress == Progress::of(old) => Wake::No,
        Progress::ControllerInProgress | Progress::ControllerInfeasible | Progress::NodePending => {
            Wake::UnlessOwn
        }
        _ => Wake::Yes,
    }
}

/// What a change asks for as to the attributes class.
pub fn modification(old: &Claim, new: &Claim) -> Wake {
    let status = |claim: &Claim| claim.resize.as_deref().and_then(|resize| resize.modify_status.clone());
    if old.attributes_class != new.attributes_class
        || is_bound(old) != is_bound(new)
        || old.meta.uid != new.meta.uid
    {
        return Wake::Yes;
    }
    match (status(old), status(new)) {
        (Some(_), None) if modify::is_needed(new) => Wake::Yes,
        (old, Some(new)) if old.as_ref() != Some(&new) => Wake::UnlessOwn,
        _ => Wake::No,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures::claim;

    fn progress(progress: &str) -> Value {
        json!({"status": {"allocatedResourceStatuses": {"storage": progress}}})
    }

    #[test]
    fn changes_that_ask_for_a_look_at_the_size() {
        let plain = json!({});
        let rows = [
            (&plain, plain.clone(), Wake::No),
            (&plain, json!({"metadata": {"resourceVersion": "8"}}), Wake::No),
            (&plain, json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}}), Wake::Yes),
            (&plain, json!({"spec": {"resources": {"requests": {"storage": "2048Mi"}}}}), Wake::No),
            (
                &plain,
                json!({"metadata": {"annotations": {"volume.kubernetes.io/storage-resizer": "foo"}}}),
                Wake::Yes,
            ),
            (&plain, json!({"status": {"capacity": {"storage": "2Gi"}}}), Wake::Yes),
            (&plain, json!({"status": {"capacity": {"storage": "1"}}}), Wake::No),
            (&json!({"status": {"phase": "Pending"}}), plain.clone(), Wake::Yes),
            (&plain, progress("ControllerResizeInProgress"), Wake::UnlessOwn),
            (&plain, progress("ControllerResizeInfeasible"), Wake::UnlessOwn),
            (&progress("ControllerResizeInProgress"), progress("NodeResizePending"), Wake::UnlessOwn),
            (&progress("NodeResizeInProgress"), progress("NodeResizeInfeasible"), Wake::Yes),
            (&progress("NodeResizePending"), plain.clone(), Wake::Yes),
        ];
        for (old, new, expected) in rows {
            assert_eq!(expansion(&claim(old), &claim(&new)), expected, "{old} {new}");
        }
    }

    #[test]
    fn changes_that_ask_for_a_look_at_the_class() {
        let wants = |class: &str| json!({"spec": {"volumeAttributesClassName": class}});
        let with = |status: &str| {
            json!({
                "spec": {"volumeAttributesClassName": "gold"},
                "status": {"modifyVolumeStatus": {"status": status}},
            })
        };
        let done = json!({
            "spec": {"volumeAttributesClassName": "gold"},
            "status": {"currentVolumeAttributesClassName": "gold"},
        });
        let rows = [
            (wants("a"), wants("a"), Wake::No),
            (wants("a"), wants("b"), Wake::Yes),
            (wants("a"), json!({}), Wake::Yes),
            (json!({"spec": {"volumeName": null}}), json!({}), Wake::Yes),
            (with("InProgress"), done, Wake::No),
            (with("InProgress"), wants("gold"), Wake::Yes),
            (wants("gold"), with("InProgress"), Wake::UnlessOwn),
            (with("InProgress"), with("Infeasible"), Wake::UnlessOwn),
        ];
        for (old, new, expected) in rows {
            assert_eq!(modification(&claim(&old), &claim(&new)), expected, "{old} {new}");
        }
    }
}
