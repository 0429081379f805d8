//! Lives of claims and volumes, from the creation of a claim until nothing is left.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::stage::claims::Stage;
use testkit::stage::{Outcome, ensure, eventually};

const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

/// A claim becomes a volume, and deleting the claim deletes the volume.
pub async fn a_claim_becomes_a_volume_that_goes_with_it(stage: &Stage) -> Outcome {
    let class =
        stage.class("immediate", json!({"parameters": {"csi.storage.k8s.io/fstype": "ext4"}})).await?;
    let claim = stage.claim("plain", &class, json!({})).await?;
    let name = stage.name("plain");
    let volume = stage.bound(&claim).await?;
    let volume_name = volume.metadata.name.clone().unwrap_or_default();
    let uid = claim.metadata.uid.clone().unwrap_or_default();
    ensure(volume_name == format!("pvc-{uid}"), "the volume is called after the claim's UID")?;
    let finalizers = volume.metadata.finalizers.unwrap_or_default();
    ensure(finalizers.iter().any(|finalizer| finalizer == FINALIZER), "the volume has our finalizer")?;
    let spec = volume.spec.unwrap_or_default();
    let source = spec.csi.unwrap_or_default();
    ensure(source.driver == stage.driver, "the volume names the driver")?;
    ensure(source.fs_type.as_deref() == Some("ext4"), "the volume has the class' file system")?;
    ensure(!source.volume_handle.is_empty(), "the volume has a handle")?;
    ensure(spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete"), "it will be deleted one day")?;
    stage.event(&name, "Provisioning", "External provisioner is provisioning volume for claim").await?;
    stage
        .event(&name, "ProvisioningSucceeded", &format!("Successfully provisioned volume {volume_name}"))
        .await?;
    stage.delete_claim(&name).await?;
    stage.gone(&volume_name).await?;
    stage.remove_class(&class).await
}

/// A claim of a class that waits for its first consumer gets no volume before a node is chosen.
pub async fn a_claim_waits_for_its_first_consumer(stage: &Stage, node: &str) -> Outcome {
    let class = stage.class("waiting", json!({"volumeBindingMode": "WaitForFirstConsumer"})).await?;
    let claim = stage.claim("waiting", &class, json!({})).await?;
    let name = stage.name("waiting");
    stage.stays_without_volume(&claim, Duration::from_secs(3)).await?;
    let chosen = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": node}}});
    stage.patch_claim(&name, chosen).await?;
    let volume = stage.bound(&claim).await?;
    stage.delete_claim(&name).await?;
    stage.gone(&volume.metadata.name.unwrap_or_default()).await?;
    stage.remove_class(&class).await
}

/// A claim for a block device gets a volume without file system.
pub async fn a_block_claim_gets_a_volume_without_file_system(stage: &Stage) -> Outcome {
    let class = stage.class("block", json!({})).await?;
    let claim = stage.claim("block", &class, json!({"volumeMode": "Block"})).await?;
    let volume = stage.bound(&claim).await?;
    let spec = volume.spec.unwrap_or_default();
    ensure(spec.volume_mode.as_deref() == Some("Block"), "the volume is a block device")?;
    let fs_type = spec.csi.and_then(|source| source.fs_type);
    ensure(fs_type.unwrap_or_default().is_empty(), "a block device has no file system")?;
    stage.delete_claim(&stage.name("block")).await?;
    stage.gone(&volume.metadata.name.unwrap_or_default()).await?;
    stage.remove_class(&class).await
}

/// A volume of a class that retains loses the finalizer and outlives its claim, until its policy is changed.
pub async fn a_retained_volume_outlives_its_claim(stage: &Stage) -> Outcome {
    let class = stage.class("retain", json!({"reclaimPolicy": "Retain"})).await?;
    let claim = stage.claim("retain", &class, json!({})).await?;
    let volume = stage.bound(&claim).await?.metadata.name.unwrap_or_default();
    eventually("the retained volume has no finalizer of ours", async || {
        let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
        let finalizers = found.metadata.finalizers.unwrap_or_default();
        Ok((!finalizers.iter().any(|finalizer| finalizer == FINALIZER)).then_some(()))
    })
    .await?;
    stage.delete_claim(&stage.name("retain")).await?;
    eventually("the retained volume is released", async || {
        let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
        Ok((found.status.and_then(|status| status.phase).as_deref() == Some("Released")).then_some(()))
    })
    .await?;
    let delete = Patch::Merge(json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}));
    let patched = stage.volumes().patch(&volume, &PatchParams::default(), &delete).await;
    patched.map_err(|error| error.to_string())?;
    stage.gone(&volume).await?;
    stage.remove_class(&class).await
}

/// A volume that is deleted before its claim stays until the claim goes, so that the driver's volume is not leaked.
pub async fn a_volume_deleted_before_its_claim_waits_for_it(stage: &Stage) -> Outcome {
    let class = stage.class("order", json!({})).await?;
    let claim = stage.claim("order", &class, json!({})).await?;
    let volume = stage.bound(&claim).await?.metadata.name.unwrap_or_default();
    let deleted = stage.volumes().delete(&volume, &DeleteParams::default()).await;
    deleted.map_err(|error| error.to_string())?;
    let found = stage.volumes().get(&volume).await.map_err(|error| error.to_string())?;
    ensure(found.metadata.deletion_timestamp.is_some(), "the volume is marked")?;
    stage.delete_claim(&stage.name("order")).await?;
    stage.gone(&volume).await?;
    stage.remove_class(&class).await
}

/// What cannot be provisioned is refused with an event that says why.
pub async fn a_claim_that_cannot_be_served_is_told_why(stage: &Stage) -> Outcome {
    let class = stage.class("refused", json!({})).await?;
    let selector = json!({"selector": {"matchLabels": {"tier": "gold"}}});
    let claim = stage.claim("selector", &class, selector).await?;
    stage.event(&stage.name("selector"), "ProvisioningFailed", "claim Selector is not supported").await?;
    stage.stays_without_volume(&claim, Duration::from_secs(1)).await?;
    stage.delete_claim(&stage.name("selector")).await?;

    let source = json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "origin"}});
    let claim = stage.claim("clone", &class, source).await?;
    // It does not exist.
    let text = "error getting handle for DataSource Type PersistentVolumeClaim by Name origin";
    stage.event(&stage.name("clone"), "ProvisioningFailed", text).await?;
    stage.stays_without_volume(&claim, Duration::from_secs(1)).await?;
    stage.delete_claim(&stage.name("clone")).await?;
    stage.remove_class(&class).await
}
