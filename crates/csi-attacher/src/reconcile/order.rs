//! `--detach-before-attach`: a volume leaves one node before it comes to another (sheet 13.8).
//!
//! Some drivers mix up, or refuse, an attachment and a detachment of one volume at the same time. With the flag an
//! attachment is held back while a detachment of its volume is under way. Nothing is polled: the end of the detachment brings
//! the attachment back. A detachment that fails and fails holds it back for the time that the flag says, counted from
//! the first look; then the attachment goes ahead, and does not wait again until it is done.

use std::sync::Arc;
use std::time::Duration;

use sidecar_core::cache::Delta;
use sidecar_core::objects::Attachment;
use tracing::{info, warn};

use super::Shared;
use crate::policy::failure::Failure;
use crate::policy::order;

impl Shared {
    /// How long the attachment is held back; `None`: it may go ahead.
    pub(super) fn held_back(&self, attachment: &Attachment) -> Option<Duration> {
        let limit = self.flags.detach_before_attach?;
        let first = self.goes_first(attachment)?;
        let (name, now) = (&attachment.meta.name, self.clock.monotonic());
        let reason = Failure::new(format!("waiting until the volume is detached from node {}", first.node));
        let since = self.memory.hold(name, &attachment.meta.uid, reason, now);
        // It may have ended while nobody knew yet that somebody waits for it.
        let first = self.goes_first(attachment)?;
        if since.is_none() {
            self.metrics.ordered("waited");
        }
        let waited = now.saturating_duration_since(since.unwrap_or(now));
        let left = order::patience(limit, waited);
        if left.is_some() {
            info!(
                v = 2, VolumeAttachment = %name, detachment = %first.meta.name, node = %first.node,
                "Waiting until the volume is detached from another node"
            );
        } else if self.memory.lose_patience(name) {
            self.metrics.ordered("gave_up");
            warn!(
                VolumeAttachment = %name, detachment = %first.meta.name, node = %first.node,
                "Volume is not detached from another node in time, attaching it all the same"
            );
        }
        left
    }

    /// The detachment that comes before this attachment.
    fn goes_first(&self, attachment: &Attachment) -> Option<Arc<Attachment>> {
        let others = self.attachments_of(attachment.volume.as_ref()?);
        order::first(attachment, &others, &self.driver.finalizer).cloned()
    }

    /// An attachment has changed: if that was a detachment which is done now, whoever was held back may go ahead.
    pub(super) fn let_go(&self, delta: &Delta<Attachment>) {
        let holds = |attachment: &Attachment| attachment.meta.finalizers.has(&self.driver.finalizer);
        let done = match delta {
            Delta::Updated { old, new } if holds(old) && (old.meta.uid != new.meta.uid || !holds(new)) => old,
            Delta::Deleted(gone) => gone,
            Delta::Added(_) | Delta::Updated { .. } => return,
        };
        let Some(volume) = &done.volume else { return };
        for waiting in self.attachments_of(volume) {
            let name = &waiting.meta.name;
            if self.is_ours(&waiting) && self.memory.is_held(name) {
                self.attachments.forget(name);
                self.attachments.add(name.clone());
            }
        }
    }
}
