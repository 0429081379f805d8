//! Lives of attachments, from their creation until nothing is left.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use testkit::stage::{Outcome, ensure, gone};
use tokio::time::sleep;

use super::stage::Stage;

const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";
const FOREIGN: &str = "example.com/held";

fn has(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|found| found == finalizer)
}

/// An attachment is attached and detached, and neither it nor its volume keeps anything.
pub async fn a_volume_is_attached_and_detached(stage: &Stage) -> Outcome {
    let volume = stage.volume("plain", json!({})).await?;
    let name = stage.attachment("plain", &volume, json!({})).await?;
    let attached = stage.attached(&name).await?;
    ensure(has(&attached.metadata, &stage.finalizer()), "the attachment has our finalizer")?;
    let annotations = attached.metadata.annotations.unwrap_or_default();
    ensure(annotations.contains_key(NODE_ID), "the attachment has the node's id")?;
    ensure(attached.status.is_some_and(|status| status.attach_error.is_none()), "it has no error")?;
    let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
    ensure(has(&found.metadata, &stage.finalizer()), "the volume has our finalizer")?;
    stage.detach(&name).await?;
    let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
    ensure(has(&found.metadata, &stage.finalizer()), "the volume keeps our finalizer")?;
    stage.remove(&volume).await
}

/// The name of an attachment recurs.
pub async fn an_attachment_of_the_same_name_comes_again(stage: &Stage) -> Outcome {
    let volume = stage.volume("again", json!({})).await?;
    for _ in 0..3 {
        let name = stage.attachment("again", &volume, json!({})).await?;
        stage.attached(&name).await?;
        stage.detach(&name).await?;
    }
    stage.remove(&volume).await
}

/// An attachment that is there before its volume is told so, and attached when the volume comes.
pub async fn an_attachment_waits_for_its_volume(stage: &Stage) -> Outcome {
    let volume = stage.name("late");
    let name = stage.attachment("late", &volume, json!({})).await?;
    stage.refused(&name, &format!("persistentvolume \"{volume}\" not found")).await?;
    stage.volume("late", json!({})).await?;
    let attached = stage.attached(&name).await?;
    ensure(attached.status.is_some_and(|status| status.attach_error.is_none()), "the error is gone")?;
    stage.detach(&name).await?;
    stage.remove(&volume).await
}

/// An attachment to a node that does not exist is told so, and goes without being detached.
pub async fn an_attachment_to_an_unknown_node_is_told_so(stage: &Stage) -> Outcome {
    let volume = stage.volume("nowhere", json!({})).await?;
    let node = stage.name("no-node");
    let name = stage.attachment("nowhere", &volume, json!({"spec": {"nodeName": node}})).await?;
    let refused = stage.refused(&name, &format!("csinode.storage.k8s.io \"{node}\" not found")).await?;
    ensure(!has(&refused.metadata, &stage.finalizer()), "nothing has to be detached")?;
    stage.detach(&name).await?;
    stage.remove(&volume).await
}

/// A volume that is deleted while it is attached stays until it is detached.
pub async fn a_volume_in_use_waits_for_its_detachment(stage: &Stage) -> Outcome {
    let volume = stage.volume("order", json!({})).await?;
    let name = stage.attachment("order", &volume, json!({})).await?;
    stage.attached(&name).await?;
    stage.delete_volume(&volume).await?;
    sleep(Duration::from_secs(2)).await;
    let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
    ensure(found.metadata.deletion_timestamp.is_some(), "the volume is marked")?;
    stage.detach(&name).await?;
    gone(&stage.volumes(), &volume).await
}

/// An attachment that somebody else holds says that it is detached.
pub async fn an_attachment_held_by_another_says_that_it_is_detached(stage: &Stage) -> Outcome {
    let volume = stage.volume("held", json!({})).await?;
    let held = json!({"metadata": {"finalizers": [FOREIGN]}});
    let name = stage.attachment("held", &volume, held).await?;
    stage.attached(&name).await?;
    stage.delete_attachment(&name).await?;
    let left = stage.status(&name, "is detached", |status| !status.attached).await?;
    ensure(has(&left.metadata, FOREIGN), "the finalizer of the other is still there")?;
    ensure(!has(&left.metadata, &stage.finalizer()), "ours is not")?;
    stage.patch_attachment(&name, json!({"metadata": {"finalizers": null}})).await?;
    gone(&stage.attachments(), &name).await?;
    stage.remove(&volume).await
}

/// Access modes that have no meaning for a driver are refused, with the reason.
pub async fn an_access_mode_without_meaning_is_refused(stage: &Stage) -> Outcome {
    let modes = json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]});
    let volume = stage.volume("modes", modes).await?;
    let name = stage.attachment("modes", &volume, json!({})).await?;
    stage.refused(&name, "CSI does not support ReadOnlyMany and ReadWriteOnce").await?;
    stage.detach(&name).await?;
    stage.remove(&volume).await
}
