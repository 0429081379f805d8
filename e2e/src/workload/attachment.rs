//! Attachments as the attach/detach controller of Kubernetes makes them.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::Workload;
use crate::deploy::DRIVER;
use crate::node;

impl Workload<'_> {
    /// Wants a volume attached to the lab's node.
    pub(crate) async fn attach(&self, name: &str, volume: &str) -> Result<()> {
        let attachment = json!({
            "metadata": {"name": name},
            "spec": {
                "attacher": DRIVER, "nodeName": node::NAME, "source": {"persistentVolumeName": volume},
            },
        });
        let attachment = serde_json::from_value(attachment)?;
        self.attachments
            .create(&PostParams::default(), &attachment)
            .await
            .with_context(|| format!("cannot make attachment {name}"))?;
        Ok(())
    }

    /// Wants it detached.
    pub(crate) async fn detach(&self, name: &str) -> Result<()> {
        self.attachments
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete attachment {name}"))?;
        Ok(())
    }

    /// Waits until an attachment says that the volume is attached.
    pub(crate) async fn attached(&self, name: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("attachment {name}"), limit, async || {
                let status = self.attachments.get(name).await?.status.unwrap_or_default();
                if let Some(error) = status.attach_error {
                    bail!("{}", error.message.unwrap_or_default());
                }
                Ok(status.attached.then_some(()))
            })
            .await
    }

    /// Waits until an attachment is gone.
    pub(crate) async fn detached(&self, name: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("end of attachment {name}"), limit, async || {
                let Some(attachment) = self.attachments.get_opt(name).await? else { return Ok(Some(())) };
                let error = attachment.status.and_then(|status| status.detach_error);
                bail!("{}", error.and_then(|error| error.message).unwrap_or_else(|| "still there".to_owned()))
            })
            .await
    }

    /// The attachment that Kubernetes made for a volume, once the volume is attached.
    pub(crate) async fn attachment_of(&self, volume: &str, limit: Duration) -> Result<VolumeAttachment> {
        self.cluster
            .quietly_until(&format!("attachment of volume {volume}"), limit, async || {
                let found = self.attachment(volume).await?;
                let attached =
                    |it: &VolumeAttachment| it.status.as_ref().is_some_and(|status| status.attached);
                Ok(found.filter(attached))
            })
            .await
    }

    /// Waits until no attachment of a volume is left.
    pub(crate) async fn no_attachment_of(&self, volume: &str, limit: Duration) -> Result<()> {
        self.cluster
            .quietly_until(&format!("detachment of volume {volume}"), limit, async || {
                Ok(self.attachment(volume).await?.is_none().then_some(()))
            })
            .await
    }

    /// The attachment of a volume, attached or not.
    pub(crate) async fn attachment(&self, volume: &str) -> Result<Option<VolumeAttachment>> {
        let all = self.attachments.list(&ListParams::default()).await?.items;
        let of = |it: &VolumeAttachment| it.spec.source.persistent_volume_name.as_deref() == Some(volume);
        Ok(all.into_iter().find(of))
    }
}
