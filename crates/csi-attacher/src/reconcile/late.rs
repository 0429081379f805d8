//! `--volume-attachment-timeout`: who waits for an attachment is told when it takes too long (sheet `documented-dialects`).

use std::sync::Arc;

use sidecar_core::objects::{Attachment, Interned};
use sidecar_core::reconciler::Outcome;
use tracing::warn;

use super::Shared;
use super::memory::Time;
use crate::policy::{needs_work, status};

impl Shared {
    /// The time of the attachment of this name may be up. Trying goes on.
    pub(super) async fn report_late(&self, name: &Interned) -> Outcome {
        let Some(limit) = self.flags.attachment_timeout else { return Outcome::Done };
        let (uid, operation, failure) = match self.memory.check_time(name, self.clock.monotonic(), limit) {
            Time::Up { uid, operation, failure } => (uid, operation, failure),
            // The time was set for an earlier operation.
            Time::Left(left) => return Outcome::RequeueAfter(left),
            Time::Over => return Outcome::Done,
        };
        let unfinished = |attachment: &Arc<Attachment>| {
            attachment.meta.uid == uid && needs_work(attachment, &self.driver.finalizer)
        };
        if let Some(attachment) = self.attachment(name).filter(unfinished) {
            self.metrics.late(operation);
            let limit = sidecar_core::duration::format_std(limit);
            let failure = status::late(operation, &limit, failure.as_ref());
            warn!(VolumeAttachment = %name, err = failure.message, "VolumeAttachment takes too long");
            self.save_failure(&attachment, operation, &failure, false).await;
        }
        self.memory.reported(name);
        Outcome::Done
    }
}
