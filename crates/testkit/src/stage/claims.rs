//! A stage for scenarios about claims: somebody binds them, a provisioner (or who plays it) makes their volumes, and the
//! driver behind it can do what the scenario is about.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttributesClass};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Outcome, create, ensure, eventually, gone, wrong};
use crate::manifests::merge;

/// Where a scenario plays.
pub struct Stage {
    /// The cluster, with all rights.
    pub client: Client,
    /// Name of the driver behind the sidecars.
    pub driver: String,
    /// Namespace of the claims.
    pub namespace: String,
    /// Start of all names.
    pub prefix: String,
}

impl Stage {
    /// The claims.
    pub fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// All volumes.
    pub fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn classes(&self) -> Api<StorageClass> {
        Api::all(self.client.clone())
    }

    fn attributes_classes(&self) -> Api<VolumeAttributesClass> {
        Api::all(self.client.clone())
    }

    /// The name of an object.
    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    // ---- classes ----

    /// Creates a class of the driver; `fields` are merged over the plain one.
    pub async fn class(&self, what: &str, fields: Value) -> Outcome<String> {
        let name = self.name(what);
        let mut class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name}, "provisioner": self.driver, "reclaimPolicy": "Delete",
        });
        merge(&mut class, &fields);
        create(&self.classes(), class).await?;
        Ok(name)
    }

    /// Deletes a class.
    pub async fn remove_class(&self, name: &str) -> Outcome {
        let deleted = self.classes().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete class"))
    }

    /// Creates an attributes class of the driver.
    pub async fn attributes_class(&self, what: &str) -> Outcome<String> {
        let name = self.name(what);
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
            "metadata": {"name": name}, "driverName": self.driver, "parameters": {"tier": what},
        });
        create(&self.attributes_classes(), class).await?;
        Ok(name)
    }

    /// Deletes an attributes class.
    pub async fn remove_attributes_class(&self, name: &str) -> Outcome {
        let deleted = self.attributes_classes().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete attributes class"))
    }

    // ---- claims ----

    /// Creates a claim of 1 MiB; `spec` is merged over the plain one.
    pub async fn claim(&self, what: &str, class: &str, spec: Value) -> Outcome<PersistentVolumeClaim> {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": self.name(what), "namespace": self.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
                "storageClassName": class,
            },
        });
        merge(&mut claim, &json!({ "spec": spec }));
        create(&self.claims(), claim).await
    }

    /// Merges a patch into a claim.
    pub async fn patch_claim(&self, name: &str, patch: Value) -> Outcome {
        let result = self.claims().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        result.map(drop).map_err(wrong("patch claim"))
    }

    /// Deletes a claim.
    pub async fn delete_claim(&self, name: &str) -> Outcome {
        let deleted = self.claims().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete claim"))
    }

    /// Waits until the claim is as `check` wants it.
    pub async fn claim_is(
        &self,
        what: &str,
        claim: &str,
        check: impl Fn(&PersistentVolumeClaim) -> bool,
    ) -> Outcome<PersistentVolumeClaim> {
        eventually(&format!("claim {claim}: {what}"), async || {
            let found = self.claims().get(claim).await.map_err(wrong("get claim"))?;
            Ok(check(&found).then_some(found))
        })
        .await
    }

    /// Waits until the claim is bound, and returns its volume.
    pub async fn bound(&self, claim: &PersistentVolumeClaim) -> Outcome<PersistentVolume> {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let is_bound = |claim: &PersistentVolumeClaim| {
            claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
        };
        let found = self.claim_is("is bound", name, is_bound).await?;
        let volume = found.spec.and_then(|spec| spec.volume_name).unwrap_or_default();
        self.volumes().get(&volume).await.map_err(wrong("get volume"))
    }

    /// Waits for an event about a claim.
    pub async fn event(&self, claim: &str, reason: &str, text: &str) -> Outcome {
        eventually(&format!("event {reason} {text:?} about {claim}"), async || {
            let events = self.events().list(&ListParams::default()).await.map_err(wrong("list events"))?;
            let found = events.items.iter().any(|event| {
                event.involved_object.name.as_deref() == Some(claim)
                    && event.reason.as_deref() == Some(reason)
                    && event.message.as_deref().is_some_and(|message| message.contains(text))
            });
            Ok(found.then_some(()))
        })
        .await
    }

    // ---- volumes ----

    /// Waits until a volume is gone.
    pub async fn gone(&self, volume: &str) -> Outcome {
        gone(&self.volumes(), volume).await
    }

    /// The volumes made for a claim.
    pub async fn volumes_of(&self, claim: &PersistentVolumeClaim) -> Outcome<Vec<PersistentVolume>> {
        let all = self.volumes().list(&ListParams::default()).await.map_err(wrong("list volumes"))?;
        let uid = claim.metadata.uid.as_deref();
        let made_for = |volume: &PersistentVolume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.and_then(|claim| claim.uid.as_deref()) == uid
        };
        Ok(all.items.into_iter().filter(made_for).collect())
    }

    /// Fails if the claim gets a volume within `time`.
    pub async fn stays_without_volume(&self, claim: &PersistentVolumeClaim, time: Duration) -> Outcome {
        let end = Instant::now() + time;
        while Instant::now() < end {
            ensure(self.volumes_of(claim).await?.is_empty(), "the claim has no volume")?;
            sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }
}
