//! Where a shared scenario plays: an API server with somebody who binds claims and provisions for them, a running csi-resizer and a driver that expands and modifies.
//!
//! A scenario sees nothing but a client, so that the same definition runs in process and on a real cluster. Names of
//! objects carry the stage's prefix; a scenario leaves nothing behind when it succeeds.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{StorageClass, VolumeAttributesClass};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong, in words.
pub type Outcome<T = ()> = Result<T, String>;

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

fn wrong(what: &str) -> impl Fn(kube::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

impl Stage {
    pub fn claims(&self) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn events(&self) -> Api<Event> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// Creates a class of the driver; `fields` are merged over the plain one.
    pub async fn class(&self, what: &str, fields: Value) -> Outcome<String> {
        let name = self.name(what);
        let mut class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name}, "provisioner": self.driver, "reclaimPolicy": "Delete",
        });
        merge(&mut class, &fields);
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        create(&classes, class).await?;
        Ok(name)
    }

    pub async fn remove_class(&self, name: &str) -> Outcome {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        classes.delete(name, &DeleteParams::default()).await.map(drop).map_err(wrong("delete class"))
    }

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

    pub async fn patch_claim(&self, name: &str, patch: Value) -> Outcome {
        let result = self.claims().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        result.map(drop).map_err(wrong("patch claim"))
    }

    pub async fn delete_claim(&self, name: &str) -> Outcome {
        self.claims().delete(name, &DeleteParams::default()).await.map(drop).map_err(wrong("delete claim"))
    }

    /// Waits until the claim is bound, and returns its volume.
    pub async fn bound(&self, claim: &PersistentVolumeClaim) -> Outcome<PersistentVolume> {
        let name = claim.metadata.name.clone().unwrap_or_default();
        eventually(&format!("claim {name} is bound"), async || {
            let found = self.claims().get(&name).await.map_err(wrong("get claim"))?;
            let phase = found.status.and_then(|status| status.phase);
            Ok((phase.as_deref() == Some("Bound")).then_some(()))
        })
        .await?;
        let found = self.claims().get(&name).await.map_err(wrong("get claim"))?;
        let volume = found.spec.and_then(|spec| spec.volume_name).unwrap_or_default();
        self.volumes().get(&volume).await.map_err(wrong("get volume"))
    }

    /// Waits until a volume is gone.
    pub async fn gone(&self, volume: &str) -> Outcome {
        eventually(&format!("volume {volume} is gone"), async || {
            let found = self.volumes().get_opt(volume).await.map_err(wrong("get volume"))?;
            Ok(found.is_none().then_some(()))
        })
        .await
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

    pub async fn remove_attributes_class(&self, name: &str) -> Outcome {
        let deleted = self.attributes_classes().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete attributes class"))
    }

    fn attributes_classes(&self) -> Api<VolumeAttributesClass> {
        Api::all(self.client.clone())
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
}

async fn create<T>(api: &Api<T>, manifest: Value) -> Outcome<T>
where
    T: Clone + DeserializeOwned + Serialize + Debug,
{
    let object = serde_json::from_value(manifest).map_err(|error| format!("bad manifest: {error}"))?;
    api.create(&PostParams::default(), &object).await.map_err(wrong("create"))
}

/// Waits until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {} s: {what}", PATIENCE.as_secs()));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Fails unless `condition` holds.
pub fn ensure(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(format!("not true: {what}")) }
}

fn merge(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (base, overlay) => *base = overlay.clone(),
    }
}
