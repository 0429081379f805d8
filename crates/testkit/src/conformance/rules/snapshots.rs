//! VolumeSnapshot and VolumeSnapshotClass.

use serde_json::{Value, json};

use super::{Row, annotated, changed, made, texts, with};

const KIND: &str = "VolumeSnapshot";
const CLASS: &str = "VolumeSnapshotClass";
const SOURCE: &str = "spec.source";
const CLAIM: &str = "spec.source.persistentVolumeClaimName";
const CONTENT: &str = "spec.source.volumeSnapshotContentName";

texts! {
    EMPTY_CLASS = "volumeSnapshotClassName must not be the empty string when set",
    ONE_SOURCE = "exactly one of volumeSnapshotContentName and persistentVolumeClaimName must be set",
    CLAIM_FIXED = "persistentVolumeClaimName is immutable",
    CONTENT_FIXED = "volumeSnapshotContentName is immutable",
    CLAIM_STAYS = "persistentVolumeClaimName is required once set",
    CONTENT_STAYS = "volumeSnapshotContentName is required once set",
}

fn of_claim(name: &str) -> Value {
    json!({"spec": {"source": {"persistentVolumeClaimName": name}}})
}

fn of_content(name: &str) -> Value {
    json!({"spec": {"source": {"volumeSnapshotContentName": name}}})
}

fn with_class(class: &str) -> Value {
    with(&of_claim("a"), &["spec", "volumeSnapshotClassName"], class)
}

fn class() -> Value {
    json!({"driver": "driver.example", "deletionPolicy": "Delete", "parameters": {"a": "b"}})
}

pub(super) fn rows() -> Vec<Row> {
    let both =
        json!({"spec": {"source": {"persistentVolumeClaimName": "a", "volumeSnapshotContentName": "b"}}});
    let status = |status: Value| with(&of_claim("a"), &["status"], status);
    vec![
        made("snapshot_with_an_empty_class", KIND, with_class(""))
            .refused("spec.volumeSnapshotClassName", EMPTY_CLASS),
        made("snapshot_without_a_class", KIND, of_claim("a")),
        made("snapshot_with_a_class", KIND, with_class("k")),
        made("snapshot_without_a_source", KIND, json!({"spec": {"source": {}}})).refused(SOURCE, ONE_SOURCE),
        made("snapshot_with_both_sources", KIND, both.clone()).refused(SOURCE, ONE_SOURCE),
        made("snapshot_of_a_claim", KIND, of_claim("a")),
        made("snapshot_of_a_content", KIND, of_content("a")),
        made("snapshot_of_a_member_without_a_volume", KIND, of_claim("")),
        changed("snapshot_of_another_claim", KIND, of_claim("a"), of_claim("b")).refused(CLAIM, CLAIM_FIXED),
        changed("snapshot_of_another_content", KIND, of_content("a"), of_content("b"))
            .refused(CONTENT, CONTENT_FIXED),
        changed("snapshot_from_claim_to_content", KIND, of_claim("a"), of_content("b"))
            .refused(SOURCE, CLAIM_STAYS),
        changed("snapshot_from_content_to_claim", KIND, of_content("a"), of_claim("b"))
            .refused(SOURCE, CONTENT_STAYS),
        changed("snapshot_gets_a_second_source", KIND, of_claim("a"), both).refused(SOURCE, ONE_SOURCE),
        changed("snapshot_of_a_claim_is_annotated", KIND, of_claim("a"), annotated(&of_claim("a"))),
        changed("snapshot_of_a_content_is_annotated", KIND, of_content("a"), annotated(&of_content("a"))),
        changed("snapshot_gets_a_class", KIND, of_claim("a"), with_class("k")),
        changed("snapshot_changes_its_class", KIND, with_class("k"), with_class("l")),
        changed("snapshot_loses_its_class", KIND, with_class("k"), of_claim("a")),
        changed(
            "snapshot_is_bound_to_another_content",
            KIND,
            status(json!({"boundVolumeSnapshotContentName": "a", "readyToUse": true})),
            status(json!({"boundVolumeSnapshotContentName": "b", "readyToUse": false})),
        )
        .of_status(),
        changed(
            "snapshot_size_may_be_a_number",
            KIND,
            status(json!({"restoreSize": "1Gi"})),
            status(json!({"restoreSize": 1})),
        )
        .of_status(),
        changed(
            "snapshot_size_is_a_quantity",
            KIND,
            status(json!({})),
            status(json!({"restoreSize": "large"})),
        )
        .of_status()
        .refused("status.restoreSize", "[eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$'"),
        made("class_is_complete", CLASS, class()),
        changed(
            "class_changes_everything",
            CLASS,
            class(),
            json!({"driver": "other.example", "deletionPolicy": "Retain"}),
        ),
        made("class_parameters_are_texts", CLASS, with(&class(), &["parameters", "a"], 1))
            .refused("parameters.a", "parameters.a in body must be of type string: \"integer\""),
    ]
}
