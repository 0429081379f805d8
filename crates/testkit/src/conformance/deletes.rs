//! Deletion: answers, finalizers, preconditions.

use anyhow::ensure;
use serde_json::{Value, json};

use super::Subject;
use crate::api::doc;

pub(super) async fn delete_answers_with_the_volume(subject: Subject) -> anyhow::Result<()> {
    let mut volume = subject.volume("v");
    // With a finalizer of our own the answer is the object with or without the server's protection finalizer.
    doc::set(&mut volume, &["metadata", "finalizers"], json!(["example.com/hold"]));
    subject.create(&volume).await?.ok()?;
    let deleted = subject.delete("PersistentVolume", &subject.name("v"), &Value::Null).await?.ok()?;
    ensure!(doc::text(&deleted, "/kind") == "PersistentVolume", "{deleted}");
    ensure!(doc::present(&deleted, "/metadata/deletionTimestamp"), "{deleted}");
    ensure!(deleted["metadata"]["deletionGracePeriodSeconds"] == 0, "{deleted}");
    let patch = json!({"metadata": {"finalizers": null}});
    subject.patch("PersistentVolume", &subject.name("v"), "merge", &patch).await?.ok()?;
    Ok(())
}

pub(super) async fn delete_answers_with_a_status_for_other_kinds(subject: Subject) -> anyhow::Result<()> {
    let lease = subject.create(&subject.lease("l")).await?.ok()?;
    let deleted = subject.delete("Lease", "l", &Value::Null).await?.ok()?;
    let details = json!({
        "name": "l", "group": "coordination.k8s.io", "kind": "leases", "uid": lease["metadata"]["uid"],
    });
    ensure!(deleted["status"] == "Success" && deleted["details"] == details, "{deleted}");
    Ok(())
}

pub(super) async fn finalizers_hold_an_object_until_the_last_one_goes(
    subject: Subject,
) -> anyhow::Result<()> {
    let mut lease = subject.lease("l");
    doc::set(&mut lease, &["metadata", "finalizers"], json!(["example.com/a", "example.com/b"]));
    subject.create(&lease).await?.ok()?;
    let first = subject.delete("Lease", "l", &Value::Null).await?.ok()?;
    let again = subject.delete("Lease", "l", &Value::Null).await?.ok()?;
    ensure!(doc::present(&first, "/metadata/deletionTimestamp"), "{first}");
    ensure!(
        first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"],
        "deleted twice: {again}"
    );
    let one = json!({"metadata": {"finalizers": ["example.com/b"]}});
    subject.patch("Lease", "l", "merge", &one).await?.ok()?;
    subject.get("Lease", "l").await?.ok()?;
    let none = json!({"metadata": {"finalizers": null}});
    subject.patch("Lease", "l", "merge", &none).await?.ok()?;
    let gone = subject.get("Lease", "l").await?;
    ensure!(gone.code == 404, "still there: {}", gone.body);
    Ok(())
}

pub(super) async fn finalizers_cannot_be_added_while_going(subject: Subject) -> anyhow::Result<()> {
    let mut lease = subject.lease("l");
    doc::set(&mut lease, &["metadata", "finalizers"], json!(["example.com/a"]));
    subject.create(&lease).await?.ok()?;
    subject.delete("Lease", "l", &Value::Null).await?.ok()?;
    let more = json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}});
    let answer = subject.patch("Lease", "l", "merge", &more).await?;
    answer.refused_like(
        422,
        "Invalid",
        "no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{\"example.com/b\"}",
    )?;
    answer.complains("metadata.finalizers", "FieldValueForbidden")?;
    subject.patch("Lease", "l", "merge", &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

pub(super) async fn deleting_twice_is_not_found(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.attachment("a")).await?.ok()?;
    let name = subject.name("a");
    subject.delete("VolumeAttachment", &name, &Value::Null).await?.ok()?;
    let message = format!("volumeattachments.storage.k8s.io {name:?} not found");
    subject.delete("VolumeAttachment", &name, &Value::Null).await?.refused(404, "NotFound", &message)
}

pub(super) async fn preconditions_guard_a_delete(subject: Subject) -> anyhow::Result<()> {
    let lease = subject.create(&subject.lease("l")).await?.ok()?;
    let uid = doc::text(&lease, "/metadata/uid");
    let wrong = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}});
    let message = format!(
        "Operation cannot be fulfilled on Lease.coordination.k8s.io \"l\": the UID in the precondition (other) \
         does not match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    subject.delete("Lease", "l", &wrong).await?.refused(409, "Conflict", &message)?;
    let wrong =
        json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": "1"}});
    let part = "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record";
    subject.delete("Lease", "l", &wrong).await?.refused_like(409, "Conflict", part)?;
    let right = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}});
    subject.delete("Lease", "l", &right).await?.ok()?;
    Ok(())
}
