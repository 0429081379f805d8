//! `--volume-attachment-timeout`: who waits for an attachment is told when it takes too long (sheet `documented-dialects`).

use sidecar_core::objects::Interned;
use sidecar_core::reconciler::Outcome;
use tracing::warn;

use super::Shared;
use crate::policy::status;

impl Shared {
    /// The time of the attachment of this name may be up. Trying goes on.
    pub(super) async fn report_late(&self, name: &Interned) -> Outcome {
        let Some(limit) = self.flags.attachment_timeout else { return Outcome::Done };
        let Some(begun_before) = self.clock.monotonic().checked_sub(limit) else { return Outcome::Done };
        let Some((uid, operation, failure)) = self.memory.becomes_late(name, begun_before) else {
            return Outcome::Done;
        };
        let Some(attachment) = self.attachment(name).filter(|attachment| attachment.meta.uid == uid) else {
            return Outcome::Done;
        };
        self.metrics.late(operation);
        let limit = sidecar_core::duration::format_std(limit);
        let failure = status::late(operation, &limit, failure.as_ref());
        warn!(VolumeAttachment = %name, err = failure.message, "VolumeAttachment takes too long");
        self.save_failure(&attachment, operation, &failure, false).await;
        Outcome::Done
    }
}
