//! An attachment that is no longer wanted (sheet 5.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use sidecar_core::objects::Attachment;
use sidecar_core::reconciler::Outcome;
use tracing::{info, warn};

use super::Shared;
use super::api::{PatchType, is_gone, is_released, text};
use super::attach::volume_not_found;
use crate::driver::request;
use crate::policy::failure::Failure;
use crate::policy::node::{self, DetachFrom};
use crate::policy::target::{self, Source, Target};
use crate::policy::{Operation, finalizer, status};

impl Shared {
    /// Detaches unless that is done, which our finalizer tells. `forced`: even if it is done.
    pub(super) async fn sync_detach(&self, attachment: &Arc<Attachment>, forced: bool) -> Outcome {
        let (name, uid) = (&attachment.meta.name, &attachment.meta.uid);
        let held = attachment.meta.finalizers.has(&self.driver.finalizer);
        if !held && !forced && !self.memory.is_detached(name, uid) {
            info!(v = 4, VolumeAttachment = %name, "VolumeAttachment is already detached");
            self.succeed(attachment, Operation::Detach);
            return Outcome::Done;
        }
        self.first_try(attachment);
        let detached = if held || forced { self.detach(attachment).await } else { Ok(true) };
        let finished = match detached {
            Ok(true) => self.mark_detached(attachment).await,
            Ok(false) => return Outcome::Done,
            Err(failure) => Err(failure),
        };
        match finished {
            Ok(()) => {
                self.succeed(attachment, Operation::Detach);
                info!(v = 4, VolumeAttachment = %name, "Fully detached");
                Outcome::Done
            }
            Err(failure) => self.fail(attachment, Operation::Detach, failure, forced).await,
        }
    }

    /// Has the driver detach; false if a stop was requested before it was asked.
    async fn detach(&self, attachment: &Arc<Attachment>) -> Result<bool, Failure> {
        let name = &attachment.meta.name;
        info!(v = 2, VolumeAttachment = %name, "Detaching");
        let target = self.target_to_detach(attachment)?;
        let secrets = self.secrets_to_detach(attachment, &target).await?;
        let node_id = self.node_to_detach(attachment)?;
        self.note_other_id(attachment);
        let Some(_slot) = self.slot(Operation::Detach).await else { return Ok(false) };
        let request = request::unpublish(&target.handle, &node_id, secrets);
        let answer = self.connection.controller_unpublish_volume(request, self.call(&target)).await;
        answer.map_err(|status| Failure::of_driver(&status))?;
        info!(v = 2, VolumeAttachment = %name, "Detached");
        Ok(true)
    }

    /// Without its volume an attachment can still be detached if the volume has been seen before it went.
    pub(super) fn target_to_detach(&self, attachment: &Attachment) -> Result<Target, Failure> {
        match target::source(attachment)? {
            Source::Volume(name) => {
                let volume = self.volume(name).or_else(|| self.memory.lost_volume(name));
                target::of_volume(&*volume.ok_or_else(|| volume_not_found(name))?)
            }
            Source::Inline(inline) => target::of_inline(inline),
        }
    }

    /// Without its Secret too, if this process has attached it.
    async fn secrets_to_detach(
        &self,
        attachment: &Attachment,
        target: &Target,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let failure = match self.secrets(target.secret.as_ref()).await {
            Ok(secrets) => return Ok(secrets),
            Err(failure) => failure,
        };
        let Some(secrets) = self.memory.secrets(&attachment.meta.name, &attachment.meta.uid) else {
            return Err(failure);
        };
        warn!(
            VolumeAttachment = %attachment.meta.name, err = failure.message,
            "Detaching with the secrets of the attachment"
        );
        Ok(secrets)
    }

    /// The id of the node to detach from.
    pub(super) fn node_to_detach(&self, attachment: &Attachment) -> Result<String, Failure> {
        let node = self.node(&attachment.node);
        node::to_detach(attachment, node.as_deref(), &self.driver.name, self.flags.detach_from)
    }

    /// Counts and tells it where the node has another id than at the time of the attachment.
    fn note_other_id(&self, attachment: &Attachment) {
        let node = self.node(&attachment.node);
        let present = node::to_attach(attachment, node.as_deref(), &self.driver.name).ok();
        let (Some(present), Some(annotated)) = (present, node::annotated(attachment)) else { return };
        if present != annotated {
            self.metrics.node_id_conflict();
            let from = match self.flags.detach_from {
                DetachFrom::Present => "detaching from the present one",
                DetachFrom::Annotated => "detaching from that one",
            };
            warn!(
                VolumeAttachment = %attachment.meta.name, node = %attachment.node, id = present, annotated,
                "Node has another id than at the time of the attachment, {from}"
            );
        }
    }

    /// Takes our finalizer away, after which the attachment counts as detached, and clears its status if it is still
    /// there.
    async fn mark_detached(&self, attachment: &Arc<Attachment>) -> Result<(), Failure> {
        let (name, uid) = (&attachment.meta.name, &attachment.meta.uid);
        let wrong =
            |error: &kube::Error| Failure::new(format!("could not mark as detached: {}", text(error)));
        self.memory.finishing(name).await;
        let Some(mut latest) = self.same(attachment) else { return Ok(()) };
        if let Some(patch) = finalizer::remove(&latest.meta, &self.driver.finalizer) {
            match self.patch_attachment(&latest, PatchType::Json, &patch).await {
                Ok(written) if is_released(&*written) => return Ok(()),
                Ok(written) => latest = written,
                Err(error) if is_gone(&error) => return Ok(()),
                Err(error) => return Err(wrong(&error)),
            }
        }
        let Some(patch) = status::detached(&latest) else {
            self.memory.set_detached(name, uid, false);
            return Ok(());
        };
        match self.patch_status(&latest, &patch).await {
            Err(error) if !is_gone(&error) => {
                self.memory.set_detached(name, uid, true);
                Err(wrong(&error))
            }
            _ => {
                self.memory.set_detached(name, uid, false);
                Ok(())
            }
        }
    }
}
