//! Failures, in the status for who looks at the object and as events for who looks at those (sheet 5.12, 8).

use std::sync::Arc;

use serde_json::Value;
use sidecar_core::events::{EventKind, ObjectRef};

use super::Shared;
use super::sync::Stop;
use crate::driver::Calls;
use crate::policy::{failure, write};

impl<C: Calls> Shared<C> {
    /// A snapshot could not be taken or looked at. Said once: the same message again is no news.
    pub(super) async fn not_taken(&self, content: &Arc<C>, problem: String) -> Stop {
        let (latest, now) = (self.latest(content), self.parts.context.clock.now());
        let report = failure::report(&latest.view(), C::WORDS, &problem);
        if latest.view().error() != Some(&*report.message) {
            let failed = |content: &C| write::failed(&content.view(), &report.message, now);
            let written = self.write_problem(&latest, failed).await;
            self.event(&written, report.reason, &report.message);
        }
        Stop::Failed(problem)
    }

    /// A snapshot could not be deleted. Each try is an event, as upstream has it; the status has the reason (13.12).
    pub(super) async fn not_deleted(&self, content: &Arc<C>, event: &str, problem: &str) {
        let (message, now) =
            (format!("{}: {problem}", C::WORDS.delete_prefix()), self.parts.context.clock.now());
        let failed = |content: &C| write::not_deleted(&content.view(), &message, now);
        let written = self.write_problem(content, failed).await;
        self.event(&written, C::WORDS.delete_failed, event);
    }

    /// The content with the problem in its status, or as it was if that does not work either.
    async fn write_problem(&self, content: &Arc<C>, problem: impl Fn(&C) -> Option<Value> + Send) -> Arc<C> {
        match self.patch_status(content, problem).await {
            Ok(written) => written,
            Err(stop) => {
                tracing::info!(v = 2, content = %content.meta().name, err = ?stop, "Failed to save the error");
                content.clone()
            }
        }
    }

    /// Reports an event about the content.
    pub(super) fn event(&self, content: &C, reason: &str, message: &str) {
        let (meta, resource) = (content.meta(), C::RESOURCE);
        let object = ObjectRef {
            api_version: format!("{}/{}", resource.group, resource.version).into(),
            kind: resource.kind.into(),
            namespace: String::new(),
            name: meta.name.to_string(),
            uid: meta.uid.to_string(),
            resource_version: meta.resource_version.to_string(),
        };
        self.parts.recorder.event(&object, EventKind::Warning, reason, message);
    }
}
