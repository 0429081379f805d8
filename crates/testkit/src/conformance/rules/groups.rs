//! The kinds for groups.

use serde_json::{Value, json};

use super::{Row, annotated, changed, made, texts, with};

const KIND: &str = "VolumeGroupSnapshot";
const CONTENT: &str = "VolumeGroupSnapshotContent";
const CLASS: &str = "VolumeGroupSnapshotClass";
const SOURCE: &str = "spec.source";
const REFERENCE: &str = "spec.volumeGroupSnapshotRef";

texts! {
    EMPTY_CLASS = "volumeGroupSnapshotClassName must not be the empty string when set",
    ONE_SOURCE = "exactly one of selector and volumeGroupSnapshotContentName must be set",
    SELECTOR_FIXED = "selector is immutable",
    CONTENT_FIXED = "volumeGroupSnapshotContentName is immutable",
    SELECTOR_STAYS = "selector is required once set",
    CONTENT_STAYS = "volumeGroupSnapshotContentName is required once set",
    BOUND_FIXED = "boundVolumeGroupSnapshotContentName is immutable once set",
    POLICY_FIXED = "deletionPolicy is immutable once set",
    DRIVER_FIXED = "driver is immutable once set",
    PARAMETERS_FIXED = "parameters are immutable once set",
    CLASS_FIXED = "volumeGroupSnapshotClassName is immutable once set",
    HANDLE_FIXED = "volumeGroupSnapshotHandle is immutable once set",
    WHOLE_REFERENCE = "both volumeGroupSnapshotRef.name and volumeGroupSnapshotRef.namespace must be set",
    REFERENCE_FIXED = "volumeGroupSnapshotRef.name and volumeGroupSnapshotRef.namespace are immutable",
    UID_FIXED = "volumeGroupSnapshotRef.uid is immutable once set",
    ONE_CONTENT_SOURCE = "exactly one of volumeHandles and groupSnapshotHandles must be set",
    VOLUMES_FIXED = "volumeHandles is immutable",
    HANDLES_FIXED = "groupSnapshotHandles is immutable",
    VOLUMES_STAY = "volumeHandles is required once set",
    HANDLES_STAY = "groupSnapshotHandles is required once set",
}

pub(super) fn rows() -> Vec<Row> {
    [groups(), classes(), contents(), content_changes()].into_iter().flatten().collect()
}

fn of_claims(label: &str) -> Value {
    json!({"spec": {"source": {"selector": {"matchLabels": {"app": label}}}}})
}

fn of_content(name: &str) -> Value {
    json!({"spec": {"source": {"volumeGroupSnapshotContentName": name}}})
}

fn groups() -> Vec<Row> {
    let both = json!({"spec": {"source": {"selector": {}, "volumeGroupSnapshotContentName": "a"}}});
    let with_class = |class: &str| with(&of_claims("a"), &["spec", "volumeGroupSnapshotClassName"], class);
    let bound =
        |content: &str| with(&of_claims("a"), &["status", "boundVolumeGroupSnapshotContentName"], content);
    vec![
        made("group_with_an_empty_class", KIND, with_class(""))
            .refused("spec.volumeGroupSnapshotClassName", EMPTY_CLASS),
        made("group_without_a_class", KIND, of_claims("a")),
        made("group_without_a_source", KIND, json!({"spec": {"source": {}}})).refused(SOURCE, ONE_SOURCE),
        made("group_with_both_sources", KIND, both).refused(SOURCE, ONE_SOURCE),
        made("group_of_claims", KIND, of_claims("a")),
        made("group_of_all_claims", KIND, json!({"spec": {"source": {"selector": {}}}})),
        made("group_of_a_content", KIND, of_content("a")),
        changed("group_of_other_claims", KIND, of_claims("a"), of_claims("b"))
            .refused("spec.source.selector", SELECTOR_FIXED),
        changed("group_of_another_content", KIND, of_content("a"), of_content("b"))
            .refused("spec.source.volumeGroupSnapshotContentName", CONTENT_FIXED),
        changed("group_from_claims_to_content", KIND, of_claims("a"), of_content("b"))
            .refused(SOURCE, SELECTOR_STAYS),
        changed("group_from_content_to_claims", KIND, of_content("a"), of_claims("b"))
            .refused(SOURCE, CONTENT_STAYS),
        changed("group_is_annotated", KIND, of_claims("a"), annotated(&of_claims("a"))),
        changed("group_changes_its_class", KIND, with_class("k"), with_class("l")),
        changed("group_is_bound", KIND, of_claims("a"), bound("b")).of_status(),
        changed("group_is_bound_to_another_content", KIND, bound("b"), bound("c"))
            .of_status()
            .refused("status.boundVolumeGroupSnapshotContentName", BOUND_FIXED),
        changed("group_is_let_go", KIND, bound("b"), with(&of_claims("a"), &["status", "readyToUse"], false))
            .of_status(),
    ]
}

fn classes() -> Vec<Row> {
    let class = json!({"driver": "driver.example", "deletionPolicy": "Delete", "parameters": {"a": "b"}});
    let other = |path: &[&str], value: Value| with(&class, path, value);
    vec![
        made("group_class_is_complete", CLASS, class.clone()),
        changed(
            "group_class_changes_its_policy",
            CLASS,
            class.clone(),
            other(&["deletionPolicy"], "Retain".into()),
        )
        .refused("deletionPolicy", POLICY_FIXED),
        changed(
            "group_class_changes_its_driver",
            CLASS,
            class.clone(),
            other(&["driver"], "other.example".into()),
        )
        .refused("driver", DRIVER_FIXED),
        changed(
            "group_class_changes_a_parameter",
            CLASS,
            class.clone(),
            other(&["parameters", "a"], "c".into()),
        )
        .refused("parameters", PARAMETERS_FIXED),
        changed(
            "group_class_loses_its_parameters",
            CLASS,
            class.clone(),
            other(&["parameters"], Value::Null),
        ),
        changed("group_class_is_annotated", CLASS, class.clone(), annotated(&class)),
    ]
}

fn content_from(source: Value) -> Value {
    with(
        &json!({"spec": {
            "deletionPolicy": "Delete", "driver": "driver.example",
            "volumeGroupSnapshotRef": {"name": "g", "namespace": "default"},
        }}),
        &["spec", "source"],
        source,
    )
}

fn of_volumes(handle: &str) -> Value {
    content_from(json!({"volumeHandles": [handle]}))
}

fn of_handles(group: &str) -> Value {
    let handles = json!({"volumeGroupSnapshotHandle": group, "volumeSnapshotHandles": ["h"]});
    content_from(json!({"groupSnapshotHandles": handles}))
}

fn referring(reference: Value) -> Value {
    with(&of_volumes("a"), &["spec", "volumeGroupSnapshotRef"], reference)
}

fn contents() -> Vec<Row> {
    let complete = with(&of_volumes("a"), &["spec", "volumeGroupSnapshotClassName"], "k");
    let both = json!({
        "volumeHandles": ["a"],
        "groupSnapshotHandles": {"volumeGroupSnapshotHandle": "g", "volumeSnapshotHandles": ["h"]},
    });
    vec![
        made("group_content_is_complete", CONTENT, complete),
        made("group_content_without_the_groups_namespace", CONTENT, referring(json!({"name": "g"})))
            .refused(REFERENCE, WHOLE_REFERENCE),
        made("group_content_without_the_groups_name", CONTENT, referring(json!({"namespace": "default"})))
            .refused(REFERENCE, WHOLE_REFERENCE),
        made("group_content_without_a_source", CONTENT, content_from(json!({})))
            .refused(SOURCE, ONE_CONTENT_SOURCE),
        made("group_content_with_both_sources", CONTENT, content_from(both))
            .refused(SOURCE, ONE_CONTENT_SOURCE),
        made("group_content_of_handles", CONTENT, of_handles("g")),
    ]
}

fn content_changes() -> Vec<Row> {
    let base = of_volumes("a");
    let class = |class: &str| with(&base, &["spec", "volumeGroupSnapshotClassName"], class);
    let bound = |uid: &str| referring(json!({"name": "g", "namespace": "default", "uid": uid}));
    let handle = |handle: &str| with(&base, &["status", "volumeGroupSnapshotHandle"], handle);
    vec![
        changed("group_content_changes_its_class", CONTENT, class("k"), class("l"))
            .refused("spec.volumeGroupSnapshotClassName", CLASS_FIXED),
        changed("group_content_gets_a_class", CONTENT, base.clone(), class("k")),
        changed("group_content_loses_its_class", CONTENT, class("k"), base.clone()),
        changed(
            "group_content_changes_its_driver",
            CONTENT,
            base.clone(),
            with(&base, &["spec", "driver"], "other.example"),
        )
        .refused("spec.driver", DRIVER_FIXED),
        changed(
            "group_content_changes_the_groups_name",
            CONTENT,
            base.clone(),
            referring(json!({"name": "h", "namespace": "default"})),
        )
        .refused(REFERENCE, REFERENCE_FIXED),
        changed(
            "group_content_changes_the_groups_namespace",
            CONTENT,
            base.clone(),
            referring(json!({"name": "g", "namespace": "other"})),
        )
        .refused(REFERENCE, REFERENCE_FIXED),
        changed("group_content_changes_the_groups_uid", CONTENT, bound("u"), bound("v"))
            .refused(REFERENCE, UID_FIXED),
        changed("group_content_loses_the_groups_uid", CONTENT, bound("u"), base.clone())
            .refused(REFERENCE, UID_FIXED),
        changed("group_content_is_bound", CONTENT, base.clone(), bound("u")),
        changed(
            "group_content_changes_its_policy",
            CONTENT,
            base.clone(),
            with(&base, &["spec", "deletionPolicy"], "Retain"),
        ),
        changed("group_content_of_other_volumes", CONTENT, base.clone(), of_volumes("b"))
            .refused("spec.source.volumeHandles", VOLUMES_FIXED),
        changed("group_content_of_another_group", CONTENT, of_handles("g"), of_handles("h"))
            .refused("spec.source.groupSnapshotHandles", HANDLES_FIXED),
        changed("group_content_from_volumes_to_handles", CONTENT, base.clone(), of_handles("g"))
            .refused(SOURCE, VOLUMES_STAY),
        changed("group_content_from_handles_to_volumes", CONTENT, of_handles("g"), base.clone())
            .refused(SOURCE, HANDLES_STAY),
        changed("group_content_gets_a_handle", CONTENT, base.clone(), handle("g")).of_status(),
        changed("group_content_changes_its_handle", CONTENT, handle("g"), handle("h"))
            .of_status()
            .refused("status.volumeGroupSnapshotHandle", HANDLE_FIXED),
        changed(
            "group_content_loses_its_handle",
            CONTENT,
            handle("g"),
            with(&base, &["status", "readyToUse"], false),
        )
        .of_status(),
    ]
}
