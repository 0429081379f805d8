//! Create, update and status.

use anyhow::ensure;
use serde_json::json;

use super::Subject;
use crate::api::doc;

pub(super) async fn create_fills_in_what_the_server_owns(subject: Subject) -> anyhow::Result<()> {
    let mut volume = subject.volume("v");
    doc::set(&mut volume, &["metadata", "uid"], "chosen");
    doc::set(&mut volume, &["metadata", "creationTimestamp"], "2001-01-01T00:00:00Z");
    doc::set(&mut volume, &["metadata", "deletionTimestamp"], "2001-01-01T00:00:00Z");
    let answer = subject.create(&volume).await?;
    ensure!(answer.code == 201, "created with {}", answer.code);
    let made = answer.ok()?;
    ensure!(doc::text(&made, "/metadata/uid").len() == 36, "uid {}", made["metadata"]["uid"]);
    ensure!(!doc::text(&made, "/metadata/resourceVersion").is_empty());
    ensure!(doc::text(&made, "/metadata/creationTimestamp") > "2002");
    ensure!(!doc::present(&made, "/metadata/deletionTimestamp"), "deletionTimestamp was kept");
    Ok(())
}

pub(super) async fn create_twice_already_exists(subject: Subject) -> anyhow::Result<()> {
    let attachment = subject.attachment("a");
    subject.create(&attachment).await?.ok()?;
    let name = subject.name("a");
    let message = format!("volumeattachments.storage.k8s.io {name:?} already exists");
    let again = subject.create(&attachment).await?;
    again.refused(409, "AlreadyExists", &message)?;
    let details = json!({"name": name, "group": "storage.k8s.io", "kind": "volumeattachments"});
    ensure!(again.body["details"] == details, "details {}", again.body["details"]);
    Ok(())
}

pub(super) async fn create_in_a_missing_namespace_is_not_found(subject: Subject) -> anyhow::Result<()> {
    let missing = Subject { namespace: subject.name("missing"), ..subject };
    let message = format!("namespaces {:?} not found", missing.namespace);
    missing.create(&missing.claim("c")).await?.refused(404, "NotFound", &message)
}

pub(super) async fn generated_names_differ(subject: Subject) -> anyhow::Result<()> {
    let mut lease = subject.lease("");
    doc::take(&mut lease, &["metadata", "name"]);
    doc::set(&mut lease, &["metadata", "generateName"], "made-");
    let first = subject.create(&lease).await?.ok()?;
    let second = subject.create(&lease).await?.ok()?;
    let (first, second) = (doc::text(&first, "/metadata/name"), doc::text(&second, "/metadata/name"));
    ensure!(first.len() == 10 && first.starts_with("made-") && first != second, "{first} {second}");
    Ok(())
}

pub(super) async fn update_with_an_old_version_conflicts(subject: Subject) -> anyhow::Result<()> {
    let mut claim = subject.create(&subject.claim("c")).await?.ok()?;
    let old = claim.clone();
    doc::set(&mut claim, &["metadata", "annotations", "a"], "1");
    let new = subject.update(&claim, "").await?.ok()?;
    ensure!(doc::text(&new, "/metadata/annotations/a") == "1");
    let message = "Operation cannot be fulfilled on persistentvolumeclaims \"c\": the object has been modified; \
                   please apply your changes to the latest version and try again";
    subject.update(&old, "").await?.refused(409, "Conflict", message)
}

pub(super) async fn update_that_changes_nothing_keeps_the_version(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.volume("v")).await?.ok()?;
    let before = subject.get("PersistentVolume", &subject.name("v")).await?.ok()?;
    let after = subject.update(&before, "").await?.ok()?;
    let versions = (&before["metadata"]["resourceVersion"], &after["metadata"]["resourceVersion"]);
    ensure!(versions.0 == versions.1, "{versions:?}");
    Ok(())
}

pub(super) async fn update_of_a_lease_needs_a_version(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.lease("l")).await?.ok()?;
    let answer = subject.update(&subject.lease("l"), "").await?;
    answer.refused_like(422, "Invalid", "metadata.resourceVersion: Invalid value")?;
    answer.complains("metadata.resourceVersion", "FieldValueInvalid")
}

pub(super) async fn update_creates_a_missing_lease(subject: Subject) -> anyhow::Result<()> {
    let answer = subject.update(&subject.lease("l"), "").await?;
    ensure!(answer.code == 201, "{} {}", answer.code, answer.body);
    Ok(())
}

pub(super) async fn main_resource_ignores_status(subject: Subject) -> anyhow::Result<()> {
    let mut claim = subject.claim("c");
    doc::set(&mut claim, &["status", "phase"], "Bound");
    let mut made = subject.create(&claim).await?.ok()?;
    ensure!(doc::text(&made, "/status/phase") == "Pending", "status at create: {}", made["status"]);
    doc::set(&mut made, &["status", "phase"], "Lost");
    let after = subject.update(&made, "").await?.ok()?;
    ensure!(doc::text(&after, "/status/phase") == "Pending", "status at update: {}", after["status"]);
    Ok(())
}

pub(super) async fn status_subresource_ignores_spec(subject: Subject) -> anyhow::Result<()> {
    let mut volume = subject.create(&subject.volume("v")).await?.ok()?;
    doc::set(&mut volume, &["spec", "persistentVolumeReclaimPolicy"], "Delete");
    doc::set(&mut volume, &["status", "reason"], "because");
    // The core kinds let metadata through.
    doc::set(&mut volume, &["metadata", "annotations", "through"], "status");
    let after = subject.update(&volume, "status").await?.ok()?;
    ensure!(doc::text(&after, "/status/reason") == "because");
    ensure!(doc::text(&after, "/spec/persistentVolumeReclaimPolicy") == "Retain");
    ensure!(doc::text(&after, "/metadata/annotations/through") == "status");
    Ok(())
}

pub(super) async fn attachment_status_ignores_metadata(subject: Subject) -> anyhow::Result<()> {
    let mut attachment = subject.create(&subject.attachment("a")).await?.ok()?;
    ensure!(attachment["status"]["attached"] == false, "{}", attachment["status"]);
    doc::set(&mut attachment, &["status", "attached"], true);
    doc::set(&mut attachment, &["metadata", "annotations", "through"], "status");
    let after = subject.update(&attachment, "status").await?.ok()?;
    ensure!(after["status"]["attached"] == true, "{}", after["status"]);
    ensure!(!doc::present(&after, "/metadata/annotations"), "{}", after["metadata"]);
    Ok(())
}

pub(super) async fn get_of_nothing_is_not_found(subject: Subject) -> anyhow::Result<()> {
    let message = "leases.coordination.k8s.io \"l\" not found";
    subject.get("Lease", "l").await?.refused(404, "NotFound", message)?;
    let message = format!("persistentvolumes {:?} not found", subject.name("v"));
    subject.get("PersistentVolume", &subject.name("v")).await?.refused(404, "NotFound", &message)
}

pub(super) async fn versions_increase_over_kinds(subject: Subject) -> anyhow::Result<()> {
    let mut last = 0;
    for manifest in [subject.claim("c"), subject.lease("l"), subject.volume("v"), subject.claim("d")] {
        let made = subject.create(&manifest).await?.ok()?;
        let version: u64 = doc::text(&made, "/metadata/resourceVersion").parse()?;
        ensure!(version > last, "{version} after {last}");
        last = version;
    }
    Ok(())
}
