//! A content (sheet 5.11): protected, and its snapshot told of what it says.

use sidecar_core::cache::Store;
use sidecar_core::events::EventKind;
use sidecar_core::objects::{Interned, Kind, Meta, ObjectKey, SnapshotContent};
use sidecar_core::reconciler::Outcome;
use snapshot_api::names::finalizers::CONTENT_BOUND;

use super::Shared;
use super::api::{self, PatchType};
use super::report::{outcome, stopped};
use crate::events;
use crate::policy::{content, patch};

impl Shared {
    /// Looks at the content of this name.
    pub(super) async fn sync_content(&self, name: &Interned) -> Outcome {
        let Some(content) = self.stores.contents.get("", name) else { return Outcome::Done };
        let needs = content::needs(&content, &self.stores);
        if let Some(problem) = needs.problem {
            let reason = events::CONTENT_VALIDATION_ERROR;
            self.event::<SnapshotContent>(&content.meta, EventKind::Warning, reason, problem);
            return Outcome::RetryBackoff(problem.to_owned());
        }
        if needs.snapshot {
            self.snapshots.add(ObjectKey::new(&content.snapshot.namespace, &content.snapshot.name));
        }
        if needs.finalizer {
            let patch = patch::prepare(&content.meta, &[CONTENT_BOUND], None);
            return self.write_content(&self.stores.contents, &content.meta, PatchType::Json, &patch).await;
        }
        if let Some(node) = self.node_for(&content) {
            let patch = patch::put_in_charge(&content.meta, &node);
            return self.write_content(&self.stores.contents, &content.meta, PatchType::Merge, &patch).await;
        }
        Outcome::Done
    }

    /// Writes a content as far as it is the controller's.
    pub(super) async fn write_content<T: Kind + Clone>(
        &self,
        store: &Store<T>,
        content: &Meta,
        kind: PatchType,
        patch: &serde_json::Value,
    ) -> Outcome {
        match api::patch(&self.client, store, content, "", kind, patch).await {
            Ok(_) => Outcome::Done,
            Err(error) => outcome(stopped(content, &error)),
        }
    }

    /// The node to be put in charge of a content that was made before there was one (13.6).
    fn node_for(&self, content: &SnapshotContent) -> Option<Interned> {
        content::unmanaged_node(content, &self.stores)
    }
}
