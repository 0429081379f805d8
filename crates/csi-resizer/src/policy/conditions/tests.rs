use super::*;

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-11-21T05:00:00Z";

fn condition(kind: &str, reason: &str, message: &str) -> Condition {
    Condition {
        kind: Interned::new(kind),
        status: Interned::new("True"),
        reason: Interned::new(reason),
        message: message.into(),
        last_probe_time: "".into(),
        last_transition_time: THEN.into(),
    }
}

fn kinds(conditions: &[Condition]) -> Vec<&str> {
    conditions.iter().map(|condition| &*condition.kind).collect()
}

#[test]
fn merge_resize_condition_onto_pvc_with_modifying_volume() {
    let old = [condition(MODIFYING_VOLUME, "", "m")];
    for others in [Others::Keep, Others::Drop] {
        let merged = after_resize(&old, Some(&Set::resizing()), others, NOW);
        assert_eq!(kinds(&merged), [MODIFYING_VOLUME, RESIZING]);
        assert_eq!(merged[0], old[0]);
        assert_eq!((&*merged[1].last_transition_time, &*merged[1].last_probe_time), (NOW, ""));
    }
}

#[test]
fn same_type_twice_keep_old() {
    let old = [condition(CONTROLLER_RESIZE_ERROR, "", "first"), condition(RESIZING, "", "")];
    let merged = after_resize(&old, Some(&Set::resize_failed("second")), Others::Keep, NOW);
    assert_eq!(kinds(&merged), [CONTROLLER_RESIZE_ERROR, RESIZING]);
    assert_eq!(&*merged[0].message, "failed to expand pvc with second");
    assert_eq!(&*merged[0].last_transition_time, NOW);
    assert_eq!(merged[1], old[1]);
}

#[test]
fn resize_conditions_that_are_not_kept_go() {
    let old = [
        condition(FILE_SYSTEM_RESIZE_PENDING, "", ""),
        condition("Custom", "", ""),
        condition(NODE_RESIZE_ERROR, "", "n"),
        condition(CONTROLLER_RESIZE_ERROR, "", "c"),
    ];
    let started = after_resize(&old, Some(&Set::resizing()), Others::Drop, NOW);
    assert_eq!(kinds(&started), ["Custom", RESIZING]);
    assert_eq!(kinds(&after_resize(&old, None, Others::Drop, NOW)), ["Custom"]);
    let pending = after_resize(&old, Some(&Set::file_system_pending()), Others::Keep, NOW);
    assert_eq!(pending.len(), 4);
    assert_eq!(&*pending[0].message, FILE_SYSTEM_MESSAGE);
}

#[test]
fn what_says_the_same_keeps_its_times() {
    let old = [condition(RESIZING, "", "")];
    let merged = after_resize(&old, Some(&Set::resizing()), Others::Keep, NOW);
    assert_eq!(merged, old);
    assert_eq!(patch(&old, &merged), None);
    let old = [condition(MODIFY_VOLUME_ERROR, "Aborted", "busy")];
    assert_eq!(after_modify(&old, &[Set::modify_failed("Aborted", "busy")], NOW), old);
}

#[test]
fn modify_merge_new_type() {
    let merged = after_modify(&[], &[Set::modifying("gold")], NOW);
    assert_eq!((&*merged[0].last_probe_time, &*merged[0].last_transition_time), (NOW, NOW));
    assert_eq!(&*merged[0].message, "Modifying volume to \"gold\" is in progress.");
}

#[test]
fn modify_merge_same_reason_and_status() {
    let old = [condition(MODIFYING_VOLUME, "", "before"), condition("Custom", "r", "m")];
    let merged = after_modify(&old, &[Set::modifying("gold")], NOW);
    assert_eq!((&*merged[0].last_probe_time, &*merged[0].last_transition_time), (NOW, THEN));
    assert_eq!(merged[1], old[1]);
}

#[test]
fn modify_merge_reason_changes() {
    let old = [condition(MODIFY_VOLUME_ERROR, "Aborted", "x")];
    let merged = after_modify(&old, &[Set::modify_failed("Internal", "x")], NOW);
    assert_eq!((&*merged[0].reason, &*merged[0].last_transition_time), ("Internal", NOW));
}

#[test]
fn merge_empty_new_and_both_empty() {
    let old = [condition(RESIZING, "", "")];
    assert_eq!(after_modify(&old, &[], NOW), old);
    assert_eq!(after_resize(&old, None, Others::Keep, NOW), old);
    assert_eq!(after_modify(&[], &[], NOW), []);
    assert_eq!(after_resize(&[], None, Others::Drop, NOW), []);
    assert_eq!(patch(&[], &[]), None);
}

#[test]
fn patches_name_what_changes_and_nothing_else() {
    let old =
        [condition(RESIZING, "r", "m"), condition("Custom", "", ""), condition(MODIFY_VOLUME_ERROR, "", "")];
    let new = after_resize(&without(&old, &[MODIFY_VOLUME_ERROR]), Some(&Set::resizing()), Others::Keep, NOW);
    assert_eq!(
        patch(&old, &new).unwrap(),
        json!([
            {
                "type": RESIZING, "status": "True", "lastProbeTime": null, "lastTransitionTime": NOW,
                "reason": null, "message": null,
            },
            {"$patch": "delete", "type": MODIFY_VOLUME_ERROR},
        ])
    );
}
