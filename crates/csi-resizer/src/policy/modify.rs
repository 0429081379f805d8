//! Does another attributes class have to be applied, and which (sheet 5.10)?

use std::collections::BTreeMap;

use sidecar_core::objects::{AttributesClass, Claim, ModifyStatus, ObjectKey};

use super::conditions::MODIFYING_VOLUME;

/// `status.modifyVolumeStatus.status` while a class is being applied.
const IN_PROGRESS: &str = "InProgress";
/// The same after the driver called the class invalid.
const INFEASIBLE: &str = "Infeasible";

/// What is to be done about the attributes class of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Nothing,
    /// The user has given up: the claim is to say so.
    Cancel,
    /// Go on with the class that was begun, whatever is wanted now: the driver may be at it.
    Resume(String),
    /// Begin with the class that is wanted.
    Begin(String),
}

fn wanted(claim: &Claim) -> &str {
    claim.attributes_class.as_deref().unwrap_or_default()
}

fn current(claim: &Claim) -> &str {
    let resize = claim.resize.as_deref();
    resize.and_then(|resize| resize.current_attributes_class.as_deref()).unwrap_or_default()
}

/// What the claim says about a modification that is under way.
pub fn status(claim: &Claim) -> Option<&ModifyStatus> {
    claim.resize.as_deref().and_then(|resize| resize.modify_status.as_ref())
}

/// Whether a class was being applied when the claim was last written. After a start nobody knows how that ended.
pub fn is_in_progress(claim: &Claim) -> bool {
    status(claim).is_some_and(|status| *status.status == *IN_PROGRESS)
}

/// Whether the class that was begun with is known not to work.
pub fn is_infeasible(claim: &Claim) -> bool {
    status(claim).is_some_and(|status| *status.status == *INFEASIBLE)
}

/// Whether what was begun is what is wanted, so that an earlier verdict about it still counts.
pub fn is_on_target(claim: &Claim) -> bool {
    claim.attributes_class.is_some() && status(claim).is_some_and(|status| *status.target == *wanted(claim))
}

/// Whether a class was begun with, or waited for.
pub fn is_begun(claim: &Claim) -> bool {
    status(claim).is_some()
}

/// Whether there may be something to do.
pub fn is_needed(claim: &Claim) -> bool {
    wanted(claim) != current(claim) || status(claim).is_some()
}

/// The decision. `uncertain`: the driver may still be applying the class that was begun.
pub fn decide(claim: &Claim, uncertain: bool) -> Decision {
    let in_progress = is_in_progress(claim);
    let target = || status(claim).map(|status| status.target.to_string()).unwrap_or_default();
    match wanted(claim) {
        wanted if status(claim).is_none() && wanted == current(claim) => Decision::Nothing,
        "" if !in_progress => {
            let conditions = claim.resize.as_deref().map(|resize| resize.conditions.as_slice());
            let shown = conditions.unwrap_or_default().iter().any(|c| *c.kind == *MODIFYING_VOLUME);
            if shown { Decision::Cancel } else { Decision::Nothing }
        }
        "" => Decision::Resume(target()),
        _ if in_progress && uncertain => Decision::Resume(target()),
        wanted => Decision::Begin(wanted.to_owned()),
    }
}

/// The parameters for the driver. `extra`: with the names of claim and volume, which win over equal keys of the class.
pub fn parameters(class: &AttributesClass, extra: Option<(&ObjectKey, &str)>) -> BTreeMap<String, String> {
    let given = class.parameters.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let mut parameters: BTreeMap<String, String> = given.collect();
    if let Some((claim, volume)) = extra {
        let namespace = claim.namespace.as_deref().unwrap_or_default();
        for (key, value) in [
            ("csi.storage.k8s.io/pvc/name", &*claim.name),
            ("csi.storage.k8s.io/pvc/namespace", namespace),
            ("csi.storage.k8s.io/pv/name", volume),
        ] {
            parameters.insert(key.to_owned(), value.to_owned());
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::fixtures;

    fn claim(wanted: &str, current: &str, status: &Value) -> Claim {
        fixtures::claim(&json!({
            "spec": {"volumeAttributesClassName": wanted},
            "status": {"currentVolumeAttributesClassName": current, "modifyVolumeStatus": status},
        }))
    }

    fn state(status: &str, target: &str) -> Value {
        json!({"status": status, "targetVolumeAttributesClassName": target})
    }

    #[test]
    fn decisions() {
        use Decision::{Begin, Nothing, Resume};
        let (begin, resume) = (|class: &str| Begin(class.into()), |class: &str| Resume(class.into()));
        let none = &Value::Null;
        let rows = [
            // wanted, current, status, uncertain, decision
            ("", "", none, false, Nothing),
            ("gold", "gold", none, false, Nothing),
            ("gold", "", none, false, begin("gold")),
            ("gold", "silver", none, true, begin("gold")),
            ("", "gold", none, false, Nothing),
            ("", "", &state("Infeasible", "gold"), false, Nothing),
            ("", "", &state("Pending", ""), false, Nothing),
            ("", "", &state("InProgress", "gold"), false, resume("gold")),
            ("", "silver", &state("InProgress", "gold"), true, resume("gold")),
            ("gold", "silver", &state("Pending", ""), false, begin("gold")),
            ("gold", "silver", &state("InProgress", "gold"), false, begin("gold")),
            ("gold", "silver", &state("InProgress", "gold"), true, resume("gold")),
            ("bronze", "silver", &state("InProgress", "gold"), false, begin("bronze")),
            ("bronze", "silver", &state("InProgress", "gold"), true, resume("gold")),
            ("silver", "silver", &state("InProgress", "gold"), false, begin("silver")),
            ("silver", "silver", &state("InProgress", "gold"), true, resume("gold")),
            ("silver", "silver", &state("Infeasible", "gold"), true, begin("silver")),
            ("bronze", "silver", &state("Infeasible", "gold"), false, begin("bronze")),
        ];
        for (wanted, current, status, uncertain, expected) in rows {
            let row = format!("{wanted:?} {current:?} {status} {uncertain}");
            assert_eq!(decide(&claim(wanted, current, status), uncertain), expected, "{row}");
        }
    }

    #[test]
    fn giving_up_is_said_once() {
        let shown = json!({"status": {
            "modifyVolumeStatus": state("Infeasible", "gold"),
            "conditions": [{"type": "ModifyingVolume", "status": "True"}],
        }});
        assert_eq!(decide(&fixtures::claim(&shown), false), Decision::Cancel);
    }

    #[test]
    fn a_verdict_counts_as_long_as_the_same_is_wanted() {
        assert!(is_on_target(&claim("gold", "silver", &state("Infeasible", "gold"))));
        assert!(!is_on_target(&claim("bronze", "silver", &state("Infeasible", "gold"))));
        assert!(!is_on_target(&claim("", "silver", &state("Infeasible", "gold"))));
        assert!(!is_on_target(&claim("gold", "silver", &Value::Null)));
        assert!(is_infeasible(&claim("", "", &state("Infeasible", "gold"))));
    }

    #[test]
    fn names_win_over_parameters_of_the_class() {
        let class = fixtures::class("gold", &json!({"iops": "4567", "csi.storage.k8s.io/pv/name": "x"}));
        assert_eq!(parameters(&class, None)["csi.storage.k8s.io/pv/name"], "x");
        let key = ObjectKey::new("ns", "claim");
        let given = parameters(&class, Some((&key, "pv")));
        let expected = [
            ("csi.storage.k8s.io/pv/name", "pv"),
            ("csi.storage.k8s.io/pvc/name", "claim"),
            ("csi.storage.k8s.io/pvc/namespace", "ns"),
            ("iops", "4567"),
        ];
        assert_eq!(given, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }
}
