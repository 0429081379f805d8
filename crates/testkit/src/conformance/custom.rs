//! What an API server does with custom resources, tried on snapshots.

use anyhow::ensure;
use serde_json::{Value, json};

use super::Subject;
use crate::api::doc;

fn snapshot(subject: &Subject) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "s", "namespace": subject.namespace},
        "spec": {"source": {"persistentVolumeClaimName": "c"}},
    })
}

fn content(subject: &Subject) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": subject.name("v")},
        "spec": {
            "deletionPolicy": "Delete", "driver": "driver.example", "source": {"volumeHandle": "h"},
            "volumeSnapshotRef": {"name": "s", "namespace": subject.namespace},
        },
    })
}

fn generation(object: &Value) -> u64 {
    doc::at(object, "/metadata/generation").and_then(Value::as_u64).unwrap_or_default()
}

const UNCHECKED: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object was \
    invalid; correct the existing errors to complete validation";

pub(super) async fn unknown_fields_and_nulls_are_dropped(subject: Subject) -> anyhow::Result<()> {
    let mut written = snapshot(&subject);
    doc::set(&mut written, &["spec", "source", "unknown"], 1);
    doc::set(&mut written, &["spec", "volumeSnapshotClassName"], Value::Null);
    doc::set(&mut written, &["unknown"], json!({"a": "b"}));
    doc::set(&mut written, &["status", "readyToUse"], true);
    let stored = subject.create(&written).await?.ok()?;
    let kept: Vec<&str> = stored.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    ensure!(kept == ["apiVersion", "kind", "metadata", "spec"], "kept {kept:?}");
    let spec = json!({"source": {"persistentVolumeClaimName": "c"}});
    ensure!(stored["spec"] == spec, "kept {}", stored["spec"]);
    Ok(())
}

pub(super) async fn generations_count_what_is_wanted(subject: Subject) -> anyhow::Result<()> {
    let made = subject.create(&snapshot(&subject)).await?.ok()?;
    let annotation = json!({"metadata": {"annotations": {"a": "b"}, "finalizers": ["example.com/held"]}});
    let annotated = subject.patch("VolumeSnapshot", "s", "merge", &annotation).await?.ok()?;
    let ready = json!({"status": {"readyToUse": true}});
    let ready = subject.patch("VolumeSnapshot", "s/status", "merge", &ready).await?.ok()?;
    let class = json!({"spec": {"volumeSnapshotClassName": "k"}});
    let wanted = subject.patch("VolumeSnapshot", "s", "merge", &class).await?.ok()?;
    let going = subject.delete("VolumeSnapshot", "s", &Value::Null).await?.ok()?;
    let found = [&made, &annotated, &ready, &wanted, &going].map(generation);
    ensure!(found == [1, 1, 1, 2, 3], "generations {found:?}");
    let free = json!({"metadata": {"finalizers": null}});
    subject.patch("VolumeSnapshot", "s", "merge", &free).await?.ok()?;
    let class = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
        "metadata": {"name": subject.name("k")}, "driver": "driver.example", "deletionPolicy": "Delete",
    });
    subject.create(&class).await?.ok()?;
    let other = json!({"deletionPolicy": "Retain"});
    let other = subject.patch("VolumeSnapshotClass", &subject.name("k"), "merge", &other).await?.ok()?;
    ensure!(generation(&other) == 2, "a class has no spec, and yet: generation {}", generation(&other));
    Ok(())
}

pub(super) async fn status_of_a_snapshot_is_written_apart(subject: Subject) -> anyhow::Result<()> {
    let stored = subject.create(&snapshot(&subject)).await?.ok()?;
    let both = json!({
        "metadata": {"annotations": {"a": "b"}}, "spec": {"volumeSnapshotClassName": "k"},
        "status": {"readyToUse": true},
    });
    let status = subject.patch("VolumeSnapshot", "s/status", "merge", &both).await?.ok()?;
    ensure!(status["spec"] == stored["spec"], "the status wrote {}", status["spec"]);
    ensure!(status["metadata"].get("annotations").is_none(), "the status wrote {}", status["metadata"]);
    let both = json!({"spec": {"volumeSnapshotClassName": "k"}, "status": {"readyToUse": false}});
    let main = subject.patch("VolumeSnapshot", "s", "merge", &both).await?.ok()?;
    ensure!(main["status"] == json!({"readyToUse": true}), "the object wrote {}", main["status"]);
    ensure!(main["spec"]["volumeSnapshotClassName"] == "k", "the object did not write {}", main["spec"]);
    Ok(())
}

pub(super) async fn a_rule_says_what_is_broken(subject: Subject) -> anyhow::Result<()> {
    let mut empty = snapshot(&subject);
    doc::set(&mut empty, &["spec", "source"], json!({}));
    let answer = subject.create(&empty).await?;
    let message = "VolumeSnapshot.snapshot.storage.k8s.io \"s\" is invalid: spec.source: Invalid value: exactly one of \
                   volumeSnapshotContentName and persistentVolumeClaimName must be set";
    answer.refused(422, "Invalid", message)?;
    answer.complains("spec.source", "FieldValueInvalid")?;
    subject.create(&snapshot(&subject)).await?.ok()?;
    let other = json!({"spec": {"source": {"persistentVolumeClaimName": "d"}}});
    let message = "VolumeSnapshot.snapshot.storage.k8s.io \"s\" is invalid: spec.source.persistentVolumeClaimName: \
                   Invalid value: \"d\": persistentVolumeClaimName is immutable";
    subject.patch("VolumeSnapshot", "s", "merge", &other).await?.refused(422, "Invalid", message)
}

pub(super) async fn a_reference_without_a_name_has_no_answer(subject: Subject) -> anyhow::Result<()> {
    let content = json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotContent",
        "metadata": {"name": subject.name("v")},
        "spec": {
            "deletionPolicy": "Delete", "driver": "driver.example", "source": {"volumeHandles": ["h"]},
            "volumeGroupSnapshotRef": {"name": "g", "namespace": "default"},
        },
    });
    subject.create(&content).await?.ok()?;
    let nameless = json!({"spec": {"volumeGroupSnapshotRef": {"name": null}}});
    let answer = subject.patch("VolumeGroupSnapshotContent", &subject.name("v"), "merge", &nameless).await?;
    let message = format!(
        "VolumeGroupSnapshotContent.groupsnapshot.storage.k8s.io {:?} is invalid: [spec.volumeGroupSnapshotRef: Invalid \
         value: both volumeGroupSnapshotRef.name and volumeGroupSnapshotRef.namespace must be set, \
         spec.volumeGroupSnapshotRef: Invalid value: \"object\": no such key: name evaluating rule: \
         volumeGroupSnapshotRef.name and volumeGroupSnapshotRef.namespace are immutable]",
        subject.name("v")
    );
    answer.refused(422, "Invalid", &message)
}

pub(super) async fn rules_wait_for_shapes(subject: Subject) -> anyhow::Result<()> {
    for (path, value, reason, text) in [
        (&["spec", "driver"][..], Value::Null, "FieldValueRequired", "spec.driver: Required value".to_owned()),
        (
            &["spec", "deletionPolicy"],
            json!("Keep"),
            "FieldValueNotSupported",
            "spec.deletionPolicy: Unsupported value: \"Keep\": supported values: \"Delete\", \"Retain\"".to_owned(),
        ),
        (
            &["spec", "driver"],
            json!(7),
            "FieldValueTypeInvalid",
            "spec.driver: Invalid value: \"integer\": spec.driver in body must be of type string: \"integer\"".to_owned(),
        ),
    ] {
        let mut wrong = content(&subject);
        doc::set(&mut wrong, path, value);
        let answer = subject.create(&wrong).await?;
        let name = subject.name("v");
        let message = format!(
            "VolumeSnapshotContent.snapshot.storage.k8s.io {name:?} is invalid: [{text}, {UNCHECKED}]"
        );
        answer.refused(422, "Invalid", &message)?;
        answer.complains(&path.join("."), reason)?;
    }
    Ok(())
}

pub(super) async fn shapes_in_a_status_are_named_from_there(subject: Subject) -> anyhow::Result<()> {
    subject.create(&content(&subject)).await?.ok()?;
    let name = subject.name("v");
    for (status, text) in [
        (
            json!({"readyToUse": "yes"}),
            "status.readyToUse: Invalid value: \"string\": readyToUse in body must be of type \
                                        boolean: \"string\"",
        ),
        (
            json!({"restoreSize": "1Gi"}),
            "status.restoreSize: Invalid value: \"string\": restoreSize in body must be of \
                                         type integer: \"string\"",
        ),
        (
            json!({"error": {"time": "now"}}),
            "status.error.time: Invalid value: \"now\": error.time in body must be of \
                                             type date-time: \"now\"",
        ),
    ] {
        let patch = json!({"status": status});
        let answer =
            subject.patch("VolumeSnapshotContent", &format!("{name}/status"), "merge", &patch).await?;
        let message = format!(
            "VolumeSnapshotContent.snapshot.storage.k8s.io {name:?} is invalid: [{text}, {UNCHECKED}]"
        );
        answer.refused(422, "Invalid", &message)?;
    }
    Ok(())
}

pub(super) async fn strategic_patches_are_refused(subject: Subject) -> anyhow::Result<()> {
    subject.create(&snapshot(&subject)).await?.ok()?;
    let message = "the body of the request was in an unknown format - accepted media types include: \
                   application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    let answer = subject.patch("VolumeSnapshot", "s", "strategic", &json!({"metadata": {}})).await?;
    answer.refused(415, "UnsupportedMediaType", message)
}

pub(super) async fn json_patch_replace_makes_an_absent_member(subject: Subject) -> anyhow::Result<()> {
    subject.create(&snapshot(&subject)).await?.ok()?;
    let replace = |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
    let absent = replace("/spec/volumeSnapshotClassName", json!("k"));
    let stored = subject.patch("VolumeSnapshot", "s", "json", &absent).await?.ok()?;
    ensure!(stored["spec"]["volumeSnapshotClassName"] == "k", "stored {}", stored["spec"]);
    let status = json!([
        {"op": "replace", "path": "/status", "value": {}},
        {"op": "replace", "path": "/status/boundVolumeSnapshotContentName", "value": "v"},
        {"op": "replace", "path": "/status/creationTime", "value": null},
    ]);
    let stored = subject.patch("VolumeSnapshot", "s/status", "json", &status).await?.ok()?;
    ensure!(
        stored["status"] == json!({"boundVolumeSnapshotContentName": "v"}),
        "stored {}",
        stored["status"]
    );
    let text = "the server rejected our request due to an error in our request";
    for orphan in ["/metadata/annotations/a", "/metadata/finalizers/-"] {
        let answer = subject.patch("VolumeSnapshot", "s", "json", &replace(orphan, json!("b"))).await?;
        answer.refused(422, "Invalid", text)?;
    }
    let remove = json!([{"op": "remove", "path": "/spec/absent"}]);
    subject.patch("VolumeSnapshot", "s", "json", &remove).await?.refused(422, "Invalid", text)
}

pub(super) async fn finalizers_may_be_plain_words(subject: Subject) -> anyhow::Result<()> {
    let mut held = snapshot(&subject);
    doc::set(&mut held, &["metadata", "finalizers"], json!(["plain"]));
    subject.create(&held).await?.ok()?;
    let none = json!([{"op": "replace", "path": "/metadata/finalizers", "value": null}]);
    let freed = subject.patch("VolumeSnapshot", "s", "json", &none).await?.ok()?;
    ensure!(freed["metadata"].get("finalizers").is_none(), "still {}", freed["metadata"]);
    Ok(())
}

pub(super) async fn objects_are_listed_by_kind_and_group(subject: Subject) -> anyhow::Result<()> {
    subject.create(&snapshot(&subject)).await?.ok()?;
    let list = subject.list("VolumeSnapshot", "limit=1").await?.ok()?;
    ensure!(list["kind"] == "VolumeSnapshotList", "listed {}", list["kind"]);
    ensure!(list["apiVersion"] == "snapshot.storage.k8s.io/v1", "listed {}", list["apiVersion"]);
    let list = subject.list("VolumeGroupSnapshot", "limit=1").await?.ok()?;
    ensure!(list["apiVersion"] == "groupsnapshot.storage.k8s.io/v1", "listed {}", list["apiVersion"]);
    Ok(())
}
