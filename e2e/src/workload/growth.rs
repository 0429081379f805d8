//! Changes of claims that are bound: more storage, another VolumeAttributesClass.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaimStatus;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::Workload;

impl Workload<'_> {
    async fn patch_claim(&self, claim: &str, patch: Value) -> Result<()> {
        self.claims
            .patch(claim, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("cannot patch claim {claim}"))?;
        Ok(())
    }

    /// Wants a claim to have so many Mi.
    pub(crate) async fn resize(&self, claim: &str, size: u16) -> Result<()> {
        let storage = format!("{size}Mi");
        self.patch_claim(claim, json!({"spec": {"resources": {"requests": {"storage": storage}}}})).await
    }

    /// Wants a claim to have another class of attributes.
    pub(crate) async fn modify(&self, claim: &str, class: &str) -> Result<()> {
        self.patch_claim(claim, json!({"spec": {"volumeAttributesClassName": class}})).await
    }

    /// Waits until the volume of a claim has so many Mi and nothing is left to do but what kubelet does when it mounts it.
    pub(crate) async fn controller_resized(&self, claim: &str, size: u16, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("{size}Mi for the volume of claim {claim}"), limit, async || {
                let volume = self.claims.get(claim).await?.spec.and_then(|spec| spec.volume_name);
                let volume = self.volumes.get(&volume.unwrap_or_default()).await?;
                let capacity = volume.spec.and_then(|spec| spec.capacity).unwrap_or_default();
                ensure!(is(capacity.get("storage"), size), "the volume has {capacity:?}");
                let status = self.claim_status(claim).await?;
                let done = is(status.capacity.as_ref().and_then(|it| it.get("storage")), size);
                Ok((done || waits_for_kubelet(&status)).then_some(()))
            })
            .await
    }

    /// Waits until a claim has so many Mi, kubelet's part included.
    pub(crate) async fn resized(&self, claim: &str, size: u16, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("{size}Mi for claim {claim}"), limit, async || {
                let status = self.claim_status(claim).await?;
                let capacity = status.capacity.clone().unwrap_or_default();
                ensure!(is(capacity.get("storage"), size), "it has {capacity:?}, {:?}", status.conditions);
                Ok(status.conditions.unwrap_or_default().is_empty().then_some(()))
            })
            .await
    }

    /// Waits until a claim has the class of attributes that it wants.
    pub(crate) async fn modified(&self, claim: &str, class: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("class {class} for claim {claim}"), limit, async || {
                let status = self.claim_status(claim).await?;
                if status.current_volume_attributes_class_name.as_deref() == Some(class) {
                    return Ok(status.modify_volume_status.is_none().then_some(()));
                }
                bail!("{:?}", status.modify_volume_status)
            })
            .await
    }

    /// Whether an expansion of a claim waits for kubelet's part.
    pub(crate) async fn waits_for_kubelet(&self, claim: &str) -> Result<bool> {
        Ok(waits_for_kubelet(&self.claim_status(claim).await?))
    }

    /// Waits until a pod that prints the size of its volume whenever it changes has printed `count` of them.
    pub(crate) async fn sizes(&self, pod: &str, count: usize, limit: Duration) -> Result<Vec<u32>> {
        self.cluster
            .quietly_until(&format!("{count} sizes from pod {pod}"), limit, async || {
                let log = self.log(pod).await?;
                let sizes: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
                ensure!(sizes.len() >= count, "it printed {log:?}");
                Ok(Some(sizes))
            })
            .await
    }

    async fn claim_status(&self, claim: &str) -> Result<PersistentVolumeClaimStatus> {
        Ok(self.claims.get(claim).await?.status.unwrap_or_default())
    }
}

fn is(quantity: Option<&Quantity>, size: u16) -> bool {
    quantity.is_some_and(|quantity| quantity.0 == format!("{size}Mi"))
}

/// The hand-over from csi-resizer to kubelet.
fn waits_for_kubelet(status: &PersistentVolumeClaimStatus) -> bool {
    let statuses = status.allocated_resource_statuses.as_ref();
    statuses.and_then(|it| it.get("storage")).is_some_and(|state| state == "NodeResizePending")
}
