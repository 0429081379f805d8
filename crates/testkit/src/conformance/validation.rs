//! Defaults and validation.

use anyhow::ensure;
use serde_json::json;

use super::Subject;
use crate::api::doc;

pub(super) async fn volume_source_is_immutable(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.volume("v")).await?.ok()?;
    let patch = json!({"spec": {"csi": {"volumeHandle": "other"}}});
    let answer = subject.patch("PersistentVolume", &subject.name("v"), "merge", &patch).await?;
    answer.refused_like(422, "Invalid", "spec.persistentvolumesource is immutable after creation")?;
    answer.complains("spec.persistentvolumesource", "FieldValueForbidden")
}

pub(super) async fn volume_needs_a_handle(subject: Subject) -> anyhow::Result<()> {
    let mut volume = subject.volume("v");
    doc::set(&mut volume, &["spec", "csi", "volumeHandle"], "");
    let message =
        format!("PersistentVolume {:?} is invalid: spec.csi.volumeHandle: Required value", subject.name("v"));
    let answer = subject.create(&volume).await?;
    answer.refused(422, "Invalid", &message)?;
    answer.complains("spec.csi.volumeHandle", "FieldValueRequired")
}

pub(super) async fn volume_needs_capacity_modes_and_a_source(subject: Subject) -> anyhow::Result<()> {
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": subject.name("v")}, "spec": {},
    });
    let answer = subject.create(&volume).await?;
    answer.complains("spec.accessModes", "FieldValueRequired")?;
    answer.complains("spec.capacity", "FieldValueRequired")?;
    answer.complains("spec", "FieldValueRequired")
}

pub(super) async fn volume_defaults(subject: Subject) -> anyhow::Result<()> {
    let made = subject.create(&subject.volume("v")).await?.ok()?;
    ensure!(doc::text(&made, "/spec/persistentVolumeReclaimPolicy") == "Retain", "{made}");
    ensure!(doc::text(&made, "/spec/volumeMode") == "Filesystem", "{made}");
    ensure!(doc::text(&made, "/status/phase") == "Pending", "{made}");
    Ok(())
}

pub(super) async fn claim_defaults(subject: Subject) -> anyhow::Result<()> {
    let mut claim = subject.claim("c");
    doc::set(&mut claim, &["spec", "dataSource"], json!({"kind": "PersistentVolumeClaim", "name": "source"}));
    let made = subject.create(&claim).await?.ok()?;
    ensure!(doc::text(&made, "/spec/volumeMode") == "Filesystem", "{made}");
    ensure!(doc::text(&made, "/status/phase") == "Pending", "{made}");
    ensure!(made["spec"]["dataSourceRef"] == made["spec"]["dataSource"], "{made}");
    Ok(())
}

pub(super) async fn claim_spec_is_immutable(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.claim("c")).await?.ok()?;
    let patch = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    let answer = subject.patch("PersistentVolumeClaim", "c", "merge", &patch).await?;
    let part = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                claims";
    answer.refused_like(422, "Invalid", part)?;
    answer.complains("spec", "FieldValueForbidden")
}

pub(super) async fn claim_may_be_bound_once(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.claim("c")).await?.ok()?;
    let bind = |name: &str| json!({"spec": {"volumeName": name}});
    subject.patch("PersistentVolumeClaim", "c", "merge", &bind("one")).await?.ok()?;
    let answer = subject.patch("PersistentVolumeClaim", "c", "merge", &bind("two")).await?;
    answer.complains("spec", "FieldValueForbidden")
}

pub(super) async fn class_is_immutable(subject: Subject) -> anyhow::Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": subject.name("class")},
        "provisioner": "driver.example", "parameters": {"a": "b"},
    });
    let made = subject.create(&class).await?.ok()?;
    ensure!(doc::text(&made, "/reclaimPolicy") == "Delete", "{made}");
    ensure!(doc::text(&made, "/volumeBindingMode") == "Immediate", "{made}");
    let patch = json!({"parameters": {"a": "c"}});
    let answer = subject.patch("StorageClass", &subject.name("class"), "merge", &patch).await?;
    answer.refused_like(422, "Invalid", "parameters: Invalid value: {\"a\":\"c\"}: field is immutable")
}

pub(super) async fn attachment_spec_is_immutable(subject: Subject) -> anyhow::Result<()> {
    subject.create(&subject.attachment("a")).await?.ok()?;
    let patch = json!({"spec": {"nodeName": "other"}});
    let answer = subject.patch("VolumeAttachment", &subject.name("a"), "merge", &patch).await?;
    answer.refused_like(422, "Invalid", "field is immutable")?;
    answer.complains("spec", "FieldValueInvalid")
}

pub(super) async fn names_are_subdomains(subject: Subject) -> anyhow::Result<()> {
    let mut lease = subject.lease("Upper_Case");
    let answer = subject.create(&lease).await?;
    answer.refused_like(422, "Invalid", "a lowercase RFC 1123 subdomain must consist of")?;
    answer.complains("metadata.name", "FieldValueInvalid")?;
    doc::take(&mut lease, &["metadata", "name"]);
    let answer = subject.create(&lease).await?;
    answer.refused_like(422, "Invalid", "metadata.name: Required value: name or generateName is required")
}

pub(super) async fn annotations_have_a_limit(subject: Subject) -> anyhow::Result<()> {
    let mut lease = subject.lease("l");
    doc::set(&mut lease, &["metadata", "annotations", "a"], "x".repeat(256 * 1024));
    let answer = subject.create(&lease).await?;
    answer.complains("metadata.annotations", "FieldValueTooLong")
}

pub(super) async fn events_live_with_their_object(subject: Subject) -> anyhow::Result<()> {
    let event = |involved: &str| {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": subject.namespace},
            "involvedObject": {"kind": "PersistentVolume", "name": "v", "namespace": involved},
            "reason": "Because", "type": "Normal", "source": {"component": "x"},
        })
    };
    for involved in ["", "default"] {
        let answer = subject.create(&event(involved)).await?;
        answer.refused_like(422, "Invalid", "does not match event.namespace")?;
        answer.complains("involvedObject.namespace", "FieldValueInvalid")?;
    }
    subject.create(&event(&subject.namespace)).await?.ok()?;
    Ok(())
}

pub(super) async fn lease_duration_is_positive(subject: Subject) -> anyhow::Result<()> {
    let mut lease = subject.lease("l");
    doc::set(&mut lease, &["spec", "leaseDurationSeconds"], 0);
    let answer = subject.create(&lease).await?;
    answer.refused_like(422, "Invalid", "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0")
}

pub(super) async fn finalizers_are_qualified(subject: Subject) -> anyhow::Result<()> {
    let mut claim = subject.claim("c");
    doc::set(&mut claim, &["metadata", "finalizers"], json!(["plain"]));
    let answer = subject.create(&claim).await?;
    answer.refused_like(422, "Invalid", "name is neither a standard finalizer name nor is it fully qualified")
}
