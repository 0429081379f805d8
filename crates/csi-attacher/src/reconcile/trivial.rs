//! Attachments of a driver that does not attach: its volumes are everywhere (sheet 5.12).

use std::sync::Arc;

use sidecar_core::objects::Attachment;
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::{PatchType, is_gone, text};
use crate::policy::{finalizer, status};

impl Shared {
    /// Calls an attachment attached. One that goes loses the finalizer that it has from a time when the driver still attached
    /// volumes: nobody else would ever take it away (sheet 13.16).
    pub(super) async fn sync_trivially(&self, attachment: &Arc<Attachment>) -> Outcome {
        let written = if attachment.meta.deleting {
            match finalizer::remove(&attachment.meta, &self.driver.finalizer) {
                Some(patch) => self.patch_attachment(attachment, PatchType::Json, &patch).await,
                None => return Outcome::Done,
            }
        } else if attachment.status.as_ref().is_some_and(|status| status.attached) {
            return Outcome::Done;
        } else {
            self.patch_status(attachment, &status::trivially_attached(attachment)).await
        };
        match written {
            Err(error) if !is_gone(&error) => Outcome::RetryBackoff(text(&error)),
            _ => Outcome::Done,
        }
    }
}
