//! Where a shared scenario plays: an API server, a running csi-attacher, a driver that has a volume, and a node on which the
//! driver is registered. Nobody else makes attachments of that volume.

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttachmentStatus};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::manifests::merge;
use testkit::stage::{Outcome, create, eventually, gone, wrong};

/// Where a scenario plays.
pub struct Stage {
    /// The cluster, with all rights.
    pub client: Client,
    /// Name of the driver behind the attacher.
    pub driver: String,
    /// Handle of a volume that the driver has.
    pub handle: String,
    /// Name of a node whose CSINode has the driver.
    pub node: String,
    /// Start of all names.
    pub prefix: String,
}

impl Stage {
    pub fn attachments(&self) -> Api<VolumeAttachment> {
        Api::all(self.client.clone())
    }

    pub fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    pub fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// The finalizer of the driver's attacher.
    pub fn finalizer(&self) -> String {
        let clean = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
        format!("external-attacher/{}", self.driver.chars().map(clean).collect::<String>())
    }

    /// Creates a volume that nobody claims; `spec` is merged over the plain one.
    pub async fn volume(&self, what: &str, spec: Value) -> Outcome<String> {
        let name = self.name(what);
        let mut volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": self.prefix,
                "csi": {"driver": self.driver, "volumeHandle": self.handle},
            },
        });
        merge(&mut volume, &json!({ "spec": spec }));
        create(&self.volumes(), volume).await?;
        Ok(name)
    }

    /// Creates an attachment of a volume to the node; `fields` are merged over the plain one.
    pub async fn attachment(&self, what: &str, volume: &str, fields: Value) -> Outcome<String> {
        let name = self.name(what);
        let mut attachment = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
            "spec": {
                "attacher": self.driver, "nodeName": self.node,
                "source": {"persistentVolumeName": volume},
            },
        });
        merge(&mut attachment, &fields);
        create(&self.attachments(), attachment).await?;
        Ok(name)
    }

    /// Waits until the attachment is attached, and returns it.
    pub async fn attached(&self, name: &str) -> Outcome<VolumeAttachment> {
        self.status(name, "is attached", |status| status.attached).await
    }

    /// Waits until the attachment says that it failed, with this text, and returns it.
    pub async fn refused(&self, name: &str, text: &str) -> Outcome<VolumeAttachment> {
        self.status(name, &format!("says {text:?}"), |status| {
            let message = status.attach_error.as_ref().and_then(|error| error.message.as_deref());
            message.is_some_and(|message| message.contains(text))
        })
        .await
    }

    /// Waits until the status of an attachment is as it should.
    pub async fn status(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&VolumeAttachmentStatus) -> bool,
    ) -> Outcome<VolumeAttachment> {
        eventually(&format!("attachment {name} {what}"), async || {
            let found = self.attachments().get(name).await.map_err(wrong("get attachment"))?;
            Ok(found.status.as_ref().is_some_and(&is).then_some(found))
        })
        .await
    }

    pub async fn delete_attachment(&self, name: &str) -> Outcome {
        let deleted = self.attachments().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete attachment"))
    }

    pub async fn delete_volume(&self, name: &str) -> Outcome {
        let deleted = self.volumes().delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(wrong("delete volume"))
    }

    /// Deletes the attachment and waits until it is gone.
    pub async fn detach(&self, name: &str) -> Outcome {
        self.delete_attachment(name).await?;
        gone(&self.attachments(), name).await
    }

    /// Deletes the volume and waits until it is gone.
    pub async fn remove(&self, name: &str) -> Outcome {
        self.delete_volume(name).await?;
        gone(&self.volumes(), name).await
    }

    pub async fn patch_attachment(&self, name: &str, patch: Value) -> Outcome {
        let result = self.attachments().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        result.map(drop).map_err(wrong("patch attachment"))
    }
}
