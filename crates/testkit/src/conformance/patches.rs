//! The patch types.

use anyhow::ensure;
use serde_json::{Value, json};

use super::Subject;
use crate::api::doc;

/// Creates a lease with these finalizers, which a strategic patch treats as a set.
async fn lease_with(subject: &Subject, finalizers: Value) -> anyhow::Result<Value> {
    let mut lease = subject.lease("l");
    doc::set(&mut lease, &["metadata", "finalizers"], finalizers);
    subject.create(&lease).await?.ok()
}

async fn drop_finalizers(subject: &Subject) -> anyhow::Result<()> {
    subject.patch("Lease", "l", "merge", &json!({"metadata": {"finalizers": null}})).await?.ok()?;
    Ok(())
}

pub(super) async fn merge_patch_removes_with_null(subject: Subject) -> anyhow::Result<()> {
    let mut claim = subject.claim("c");
    doc::set(&mut claim, &["metadata", "annotations"], json!({"a": "1", "b": "2"}));
    subject.create(&claim).await?.ok()?;
    let patch = json!({"metadata": {"annotations": {"a": null, "c": "3"}}});
    let after = subject.patch("PersistentVolumeClaim", "c", "merge", &patch).await?.ok()?;
    ensure!(after["metadata"]["annotations"] == json!({"b": "2", "c": "3"}), "{}", after["metadata"]);
    Ok(())
}

pub(super) async fn merge_patch_with_an_old_version_conflicts(subject: Subject) -> anyhow::Result<()> {
    let lease = subject.create(&subject.lease("l")).await?.ok()?;
    let version = doc::text(&lease, "/metadata/resourceVersion");
    let patch = json!({"metadata": {"resourceVersion": version, "annotations": {"a": "1"}}});
    subject.patch("Lease", "l", "merge", &patch).await?.ok()?;
    let patch = json!({"metadata": {"resourceVersion": version, "annotations": {"a": "2"}}});
    let message = "Operation cannot be fulfilled on leases.coordination.k8s.io \"l\": the object has been modified; \
                   please apply your changes to the latest version and try again";
    subject.patch("Lease", "l", "merge", &patch).await?.refused(409, "Conflict", message)
}

pub(super) async fn a_patch_with_another_uid_is_invalid(subject: Subject) -> anyhow::Result<()> {
    let made = subject.create(&subject.claim("c")).await?.ok()?;
    let message =
        "PersistentVolumeClaim \"c\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable";
    let patch = json!({"metadata": {"uid": "other", "annotations": {"a": "1"}}});
    for kind in ["merge", "strategic"] {
        let answer = subject.patch("PersistentVolumeClaim", "c", kind, &patch).await?;
        answer.refused(422, "Invalid", message)?;
    }
    let patch = json!({"metadata": {"uid": "other"}, "status": {"phase": "Lost"}});
    subject
        .patch("PersistentVolumeClaim", "c/status", "merge", &patch)
        .await?
        .refused(422, "Invalid", message)?;
    let patch = json!({"metadata": {"uid": made["metadata"]["uid"], "annotations": {"a": "1"}}});
    subject.patch("PersistentVolumeClaim", "c", "merge", &patch).await?.ok().map(drop)
}

pub(super) async fn json_patch_test_guards(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.lease("l")).await?.ok()?;
    let patch = json!([
        {"op": "test", "path": "/spec/holderIdentity", "value": "a"},
        {"op": "replace", "path": "/spec/holderIdentity", "value": "b"},
    ]);
    let after = subject.patch("Lease", "l", "json", &patch).await?.ok()?;
    ensure!(doc::text(&after, "/spec/holderIdentity") == "b");
    let message = "the server rejected our request due to an error in our request";
    subject.patch("Lease", "l", "json", &patch).await?.refused(422, "Invalid", message)?;
    let missing = json!([{"op": "test", "path": "/metadata/annotations/x", "value": "y"}]);
    subject.patch("Lease", "l", "json", &missing).await?.refused(422, "Invalid", message)
}

pub(super) async fn strategic_patch_adds_a_finalizer(subject: Subject) -> anyhow::Result<()> {
    lease_with(&subject, json!(["example.com/a"])).await?;
    let patch = json!({"metadata": {
        "$setElementOrder/finalizers": ["example.com/a", "example.com/b"], "finalizers": ["example.com/b"],
    }});
    let after = subject.patch("Lease", "l", "strategic", &patch).await?.ok()?;
    let expected = json!(["example.com/a", "example.com/b"]);
    ensure!(after["metadata"]["finalizers"] == expected, "{}", after["metadata"]);
    let again = subject.patch("Lease", "l", "strategic", &patch).await?.ok()?;
    ensure!(again["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]);
    drop_finalizers(&subject).await
}

pub(super) async fn strategic_patch_removes_a_finalizer(subject: Subject) -> anyhow::Result<()> {
    lease_with(&subject, json!(["example.com/a", "example.com/b"])).await?;
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["example.com/a"],
        "$setElementOrder/finalizers": ["example.com/b"],
    }});
    let after = subject.patch("Lease", "l", "strategic", &patch).await?.ok()?;
    ensure!(after["metadata"]["finalizers"] == json!(["example.com/b"]), "{}", after["metadata"]);
    let patch = json!({"metadata": {"finalizers": null}});
    let after = subject.patch("Lease", "l", "strategic", &patch).await?.ok()?;
    ensure!(!doc::present(&after, "/metadata/finalizers"), "{}", after["metadata"]);
    Ok(())
}

pub(super) async fn strategic_patch_orders_finalizers(subject: Subject) -> anyhow::Result<()> {
    lease_with(&subject, json!(["example.com/a", "example.com/b"])).await?;
    let patch = json!({"metadata": {
        "$setElementOrder/finalizers": ["example.com/c", "example.com/b", "example.com/a"],
        "finalizers": ["example.com/c"],
    }});
    let after = subject.patch("Lease", "l", "strategic", &patch).await?.ok()?;
    let expected = json!(["example.com/c", "example.com/b", "example.com/a"]);
    ensure!(after["metadata"]["finalizers"] == expected, "{}", after["metadata"]);
    drop_finalizers(&subject).await
}

pub(super) async fn strategic_patch_merges_conditions_by_type(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.claim("c")).await?.ok()?;
    let first = json!({"status": {"conditions": [
        {"type": "Resizing", "status": "True"}, {"type": "FileSystemResizePending", "status": "False"},
    ]}});
    subject.patch("PersistentVolumeClaim", "c/status", "strategic", &first).await?.ok()?;
    let second = json!({"status": {"conditions": [
        {"type": "Resizing", "status": "False"}, {"$patch": "delete", "type": "FileSystemResizePending"},
    ]}});
    let after = subject.patch("PersistentVolumeClaim", "c/status", "strategic", &second).await?.ok()?;
    let conditions = doc::list(&after, "/status/conditions");
    let [only] = conditions else { anyhow::bail!("conditions {conditions:?}") };
    ensure!(only["type"] == "Resizing" && only["status"] == "False", "{only}");
    Ok(())
}

pub(super) async fn strategic_patch_counts_an_event(subject: Subject) -> anyhow::Result<()> {
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": subject.namespace},
        "involvedObject": {"kind": "PersistentVolumeClaim", "namespace": subject.namespace, "name": "c"},
        "reason": "Because", "message": "m", "type": "Normal", "count": 1, "source": {"component": "x"},
        "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
    });
    subject.create(&event).await?.ok()?;
    let patch = json!({"count": 2, "lastTimestamp": "2026-01-01T00:00:05Z"});
    let after = subject.patch("Event", "e", "strategic", &patch).await?.ok()?;
    ensure!(after["count"] == 2 && after["lastTimestamp"] == "2026-01-01T00:00:05Z", "{after}");
    ensure!(after["firstTimestamp"] == "2026-01-01T00:00:00Z", "{after}");
    Ok(())
}

pub(super) async fn patch_of_nothing_is_not_found(subject: Subject) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    let message = "persistentvolumeclaims \"c\" not found";
    subject.patch("PersistentVolumeClaim", "c", "merge", &patch).await?.refused(404, "NotFound", message)
}

pub(super) async fn unknown_patch_type_is_refused(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.lease("l")).await?.ok()?;
    let answer = subject.patch("Lease", "l", "application/json", &json!({})).await?;
    answer.refused(415, "UnsupportedMediaType", "415: Unsupported Media Type")
}
