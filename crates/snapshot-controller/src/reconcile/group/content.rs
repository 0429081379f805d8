//! The content of a group (sheet 5.17).

use sidecar_core::events::EventKind;
use sidecar_core::objects::{GroupContent, Interned, ObjectKey};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::finalizers::GROUP_CONTENT_BOUND;

use super::super::Shared;
use super::super::api::PatchType;
use crate::events::group as events;
use crate::policy::group::content::needs;
use crate::policy::patch;

impl Shared {
    /// Looks at the content of this name.
    pub(super) async fn sync_group_content(&self, name: &Interned) -> Outcome {
        let Some(groups) = self.groups.get() else { return Outcome::Drop };
        let Some(content) = groups.stores.contents.get("", name) else { return Outcome::Done };
        let needs = needs(&content, &groups.stores);
        if let Some(problem) = needs.problem {
            let reason = events::CONTENT_VALIDATION_ERROR;
            self.event::<GroupContent>(&content.meta, EventKind::Warning, reason, problem);
            return Outcome::RetryBackoff(problem.to_owned());
        }
        if needs.snapshot {
            groups.snapshots.add(ObjectKey::new(&content.snapshot.namespace, &content.snapshot.name));
        }
        if needs.finalizer {
            let patch = patch::prepare(&content.meta, &[GROUP_CONTENT_BOUND], None);
            return self.write_content(&groups.stores.contents, &content.meta, PatchType::Json, &patch).await;
        }
        Outcome::Done
    }
}
