//! VolumeSnapshotContent.

use serde_json::{Value, json};

use super::{Row, annotated, changed, made, texts, with};

const KIND: &str = "VolumeSnapshotContent";
const SOURCE: &str = "spec.source";
const MODE: &[&str] = &["spec", "sourceVolumeMode"];

texts! {
    ONE_SOURCE = "exactly one of volumeHandle and snapshotHandle must be set",
    VOLUME_FIXED = "volumeHandle is immutable",
    SNAPSHOT_FIXED = "snapshotHandle is immutable",
    VOLUME_STAYS = "volumeHandle is required once set",
    SNAPSHOT_STAYS = "snapshotHandle is required once set",
    MODE_FIXED = "sourceVolumeMode is immutable",
    MODE_STAYS = "sourceVolumeMode is required once set",
    WHOLE_REFERENCE = "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set",
}

fn from(source: Value) -> Value {
    let mut content = json!({"spec": {
        "deletionPolicy": "Delete", "driver": "driver.example",
        "volumeSnapshotRef": {"name": "s", "namespace": "default"},
    }});
    crate::api::doc::set(&mut content, &["spec", "source"], source);
    content
}

fn of_volume(handle: &str) -> Value {
    from(json!({"volumeHandle": handle}))
}

fn of_snapshot(handle: &str) -> Value {
    from(json!({"snapshotHandle": handle}))
}

pub(super) fn rows() -> Vec<Row> {
    let both = from(json!({"volumeHandle": "a", "snapshotHandle": "b"}));
    let referring = |reference: Value| with(&of_volume("a"), &["spec", "volumeSnapshotRef"], reference);
    let of_mode = |mode: &str| with(&of_volume("a"), MODE, mode);
    let status = |status: Value| with(&of_volume("a"), &["status"], status);
    vec![
        made("content_without_a_source", KIND, from(json!({}))).refused(SOURCE, ONE_SOURCE),
        made("content_with_both_sources", KIND, both).refused(SOURCE, ONE_SOURCE),
        made("content_of_a_volume", KIND, of_volume("a")),
        made("content_of_a_snapshot", KIND, of_snapshot("a")),
        made("content_without_the_snapshots_name", KIND, referring(json!({"namespace": "default"})))
            .refused("spec.volumeSnapshotRef", WHOLE_REFERENCE),
        made("content_without_the_snapshots_namespace", KIND, referring(json!({"name": "s"})))
            .refused("spec.volumeSnapshotRef", WHOLE_REFERENCE),
        changed("content_of_a_volume_is_annotated", KIND, of_volume("a"), annotated(&of_volume("a"))),
        changed("content_of_a_snapshot_is_annotated", KIND, of_snapshot("a"), annotated(&of_snapshot("a"))),
        changed("content_of_another_volume", KIND, of_volume("a"), of_volume("b"))
            .refused("spec.source.volumeHandle", VOLUME_FIXED),
        changed("content_of_another_snapshot", KIND, of_snapshot("a"), of_snapshot("b"))
            .refused("spec.source.snapshotHandle", SNAPSHOT_FIXED),
        changed("content_from_volume_to_snapshot", KIND, of_volume("a"), of_snapshot("b"))
            .refused(SOURCE, VOLUME_STAYS),
        changed("content_from_snapshot_to_volume", KIND, of_snapshot("a"), of_volume("b"))
            .refused(SOURCE, SNAPSHOT_STAYS),
        changed("content_loses_its_mode", KIND, of_mode("Block"), of_volume("a")).refused("spec", MODE_STAYS),
        changed("content_changes_its_mode", KIND, of_mode("Block"), of_mode("Filesystem"))
            .refused("spec.sourceVolumeMode", MODE_FIXED),
        changed("content_gets_a_mode", KIND, of_volume("a"), of_mode("Block")),
        changed(
            "content_is_bound",
            KIND,
            of_volume("a"),
            referring(json!({"name": "s", "namespace": "default", "uid": "u"})),
        ),
        changed(
            "content_is_given_to_another_snapshot",
            KIND,
            of_volume("a"),
            referring(json!({"name": "t", "namespace": "other", "uid": "v"})),
        ),
        changed(
            "content_changes_driver_class_and_policy",
            KIND,
            with(&of_volume("a"), &["spec", "volumeSnapshotClassName"], "k"),
            with(
                &with(
                    &with(&of_volume("a"), &["spec", "volumeSnapshotClassName"], "l"),
                    &["spec", "driver"],
                    "other.example",
                ),
                &["spec", "deletionPolicy"],
                "Retain",
            ),
        ),
        changed(
            "content_gets_another_handle",
            KIND,
            status(json!({"snapshotHandle": "a", "creationTime": 1, "restoreSize": 0})),
            status(json!({"snapshotHandle": "b", "creationTime": 2, "restoreSize": 1})),
        )
        .of_status(),
        changed("content_has_a_negative_size", KIND, status(json!({})), status(json!({"restoreSize": -1})))
            .of_status()
            .refused("status.restoreSize", "restoreSize in body should be greater than or equal to 0"),
    ]
}
