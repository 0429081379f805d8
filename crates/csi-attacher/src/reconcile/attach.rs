//! An attachment that is wanted (sheet 5.4, 5.5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use csi_client::CallOptions;
use sidecar_core::objects::Attachment;
use sidecar_core::reconciler::Outcome;
use tracing::info;

use super::Shared;
use super::api::{PatchType, text};
use crate::driver::request;
use crate::policy::failure::{Failure, WaitsFor};
use crate::policy::target::{self, Source, Target};
use crate::policy::{Operation, finalizer, node, status};

/// What the driver tells about an attached volume.
type PublishContext = BTreeMap<String, String>;

/// How a try ended without a failure.
enum End {
    /// The volume is attached; the attachment as it was then.
    Attached(Arc<Attachment>, PublishContext),
    /// It is no longer wanted.
    Unwanted,
    /// Its volume has to leave another node first, which gets at most this long.
    HeldBack(Duration),
}

impl Shared {
    /// Attaches unless that is done. `forced`: even if the status says so.
    pub(super) async fn sync_attach(&self, attachment: &Arc<Attachment>, forced: bool) -> Outcome {
        let name = &attachment.meta.name;
        if !forced && attachment.status.as_ref().is_some_and(|status| status.attached) {
            info!(v = 4, VolumeAttachment = %name, "VolumeAttachment is already attached");
            // Perhaps by a write of ours whose answer was lost.
            self.succeed(attachment, Operation::Attach);
            return Outcome::Done;
        }
        info!(v = 2, VolumeAttachment = %name, "Attaching");
        self.first_try(attachment);
        match self.attach(attachment).await {
            Ok(End::Attached(latest, context)) => self.mark_attached(&latest, &context, forced).await,
            // Whoever deleted it has queued it.
            Ok(End::Unwanted) => Outcome::Done,
            Ok(End::HeldBack(left)) => {
                self.memory.put_off(name, &attachment.meta.uid, forced);
                Outcome::RequeueAfter(left)
            }
            Err(failure) => self.fail(attachment, Operation::Attach, failure, forced).await,
        }
    }

    async fn attach(&self, attachment: &Arc<Attachment>) -> Result<End, Failure> {
        if let Some(left) = self.held_back(attachment) {
            return Ok(End::HeldBack(left));
        }
        let target = match target::source(attachment)? {
            Source::Volume(name) => target::of_volume(&*self.guarded(name).await?)?,
            Source::Inline(inline) => target::of_inline(inline)?,
        };
        let (capabilities, driver) = (self.driver.capabilities, &self.driver.name);
        let capability = request::capability(&target, &self.flags.default_fs_type, capabilities)?;
        let secrets = self.secrets(target.secret.as_ref()).await?;
        let node = self.node(&attachment.node);
        let node_id = node::to_attach(attachment, node.as_deref(), driver)?;
        let Some(attachment) = self.prepare(attachment, &node_id).await? else {
            return Ok(End::Unwanted);
        };
        if target.secret.is_some() {
            self.memory.keep_secrets(&attachment.meta.name, &attachment.meta.uid, &secrets);
        }
        let Some(_slot) = self.slot(Operation::Attach).await else { return Ok(End::Unwanted) };
        if !self.is_wanted(&attachment) {
            return Ok(End::Unwanted);
        }
        if let Some(left) = self.held_back(&attachment) {
            return Ok(End::HeldBack(left));
        }
        let request = request::publish(&target, &node_id, capability, secrets, capabilities);
        let answer = self.connection.controller_publish_volume(request, self.call(&target)).await;
        let answer = answer.map_err(|status| Failure::of_driver(&status))?;
        info!(v = 2, VolumeAttachment = %attachment.meta.name, "Attached");
        Ok(End::Attached(attachment, answer.publish_context))
    }

    /// Puts finalizer and node id on the attachment; `None` if it has been deleted meanwhile.
    async fn prepare(
        &self,
        attachment: &Arc<Attachment>,
        node_id: &str,
    ) -> Result<Option<Arc<Attachment>>, Failure> {
        let Some(latest) = self.same(attachment).filter(|latest| !latest.meta.deleting) else {
            return Ok(None);
        };
        let Some(patch) = finalizer::prepare_attachment(&latest, &self.driver.finalizer, node_id) else {
            return Ok(Some(latest));
        };
        match self.patch_attachment(&latest, PatchType::Strategic, &patch).await {
            Ok(written) => Ok(Some(written).filter(|written| !written.meta.deleting)),
            Err(error) => Err(Failure::new(format!("could not save VolumeAttachment: {}", text(&error)))),
        }
    }

    fn is_wanted(&self, attachment: &Attachment) -> bool {
        self.same(attachment).is_some_and(|latest| !latest.meta.deleting)
    }

    async fn mark_attached(
        &self,
        attachment: &Arc<Attachment>,
        context: &PublishContext,
        forced: bool,
    ) -> Outcome {
        let (name, uid) = (&attachment.meta.name, &attachment.meta.uid);
        self.memory.finishing(name).await;
        // Deleted meanwhile: nobody waits for the answer, and it has been queued to be detached.
        let Some(latest) = self.same(attachment).filter(|latest| !latest.meta.deleting) else {
            return Outcome::Done;
        };
        if let Some(patch) = status::attached(&latest, context)
            && let Err(error) = self.patch_status(&latest, &patch).await
        {
            let problem = format!("failed to mark as attached: {}", text(&error));
            self.memory.failed(name, uid, &Failure::new(&problem), forced);
            self.metrics.failed(Operation::Attach, None);
            return Outcome::RetryBackoff(problem);
        }
        self.succeed(attachment, Operation::Attach);
        info!(v = 4, VolumeAttachment = %name, "Fully attached");
        Outcome::Done
    }

    /// One of `--worker-threads` calls that may be with the driver; `None` if a stop was requested while waiting.
    pub(super) async fn slot(&self, operation: Operation) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let permit = self.calls.get(operation.lane())?.acquire().await.ok()?;
        (!self.is_stopping()).then_some(permit)
    }

    pub(super) fn call(&self, target: &Target) -> CallOptions {
        CallOptions::timeout(self.flags.common.timeout).migrated(target.migrated)
    }

    /// Notes that the operation is tried, and when it will be late.
    pub(super) fn first_try(&self, attachment: &Attachment) {
        let (name, uid) = (&attachment.meta.name, &attachment.meta.uid);
        let first = self.memory.tries(name, uid, self.clock.monotonic());
        if let (true, Some(limit)) = (first, self.flags.attachment_timeout) {
            self.late.add_after(name.clone(), limit);
        }
    }

    /// Notes that the operation is done.
    pub(super) fn succeed(&self, attachment: &Attachment, operation: Operation) {
        if let Some(since) = self.memory.succeeded(&attachment.meta.name, &attachment.meta.uid) {
            self.metrics.done(operation, self.clock.monotonic().saturating_duration_since(since));
        }
    }

    /// Writes why the operation failed and has it tried again.
    pub(super) async fn fail(
        &self,
        attachment: &Attachment,
        operation: Operation,
        failure: Failure,
        forced: bool,
    ) -> Outcome {
        let (name, uid) = (&attachment.meta.name, &attachment.meta.uid);
        self.metrics.failed(operation, failure.code_name());
        let late = self.memory.failed(name, uid, &failure, forced);
        self.save_failure(attachment, operation, &failure, late).await;
        if failure.waits_for.is_some_and(|what| self.is_there_now(attachment, what)) {
            // It came while nobody knew yet that somebody waits for it.
            self.attachments.add(name.clone());
        }
        Outcome::RetryBackoff(format!("failed to {}: {}", operation.name(), failure.message))
    }

    /// Writes a failure into the status of the attachment, if it is still there.
    pub(super) async fn save_failure(
        &self,
        attachment: &Attachment,
        operation: Operation,
        failure: &Failure,
        late: bool,
    ) {
        let Some(latest) = self.same(attachment) else { return };
        let limit = sidecar_core::duration::format_std(self.flags.attachment_timeout.unwrap_or_default());
        let reworded = late.then(|| status::late(operation, &limit, Some(failure)));
        let failure = reworded.as_ref().unwrap_or(failure);
        let (codes, now) = (self.flags.error_codes, self.clock.now());
        let patch = status::failed(&latest, operation, failure, codes, now);
        if let Err(error) = self.patch_status(&latest, &patch).await {
            let (name, operation) = (&latest.meta.name, operation.name());
            info!(
                v = 2, VolumeAttachment = %name, err = text(&error),
                "Failed to save {operation} error to VolumeAttachment"
            );
        }
    }

    fn is_there_now(&self, attachment: &Attachment, what: WaitsFor) -> bool {
        match what {
            WaitsFor::Volume => attachment.volume.as_ref().is_some_and(|name| self.volume(name).is_some()),
            WaitsFor::Node => {
                let node = self.node(&attachment.node);
                node.is_some_and(|node| node.driver(&self.driver.name).is_some())
            }
        }
    }
}

pub(super) fn volume_not_found(name: &str) -> Failure {
    Failure::waiting(format!("persistentvolume \"{name}\" not found"), WaitsFor::Volume)
}
