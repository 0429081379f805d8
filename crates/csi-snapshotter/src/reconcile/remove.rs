//! A snapshot that is no longer wanted (sheet 5.8, 5.15), and a content that may go.

use std::sync::Arc;

use tracing::info;

use super::Shared;
use super::sync::Stop;
use crate::content::words::{NO_CREDENTIALS, NOT_CLEARED};
use crate::driver::Calls;
use crate::policy::write;

impl<C: Calls> Shared<C> {
    /// Has the driver delete the snapshot.
    pub(super) async fn delete(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let (view, words) = (content.view(), C::WORDS);
        let name = view.name();
        let secrets = match self.own_secrets(&view, words).await {
            Ok(secrets) => secrets,
            Err(problem) => {
                let stop = Stop::Failed(words.no_delete_inputs(name, &problem));
                self.not_deleted(content, NO_CREDENTIALS, &problem).await;
                return Err(stop);
            }
        };
        if !view.meta.finalizers.has(words.finalizer) {
            // Nothing keeps it: it may be gone, and one of the same name and the same snapshot may be there.
            self.reread(content).await?;
        }
        info!(v = 2, kind = C::RESOURCE.kind, content = %name, "Deleting snapshot");
        if let Err(problem) = content.delete(&self.parts.connection, secrets, self.call()).await {
            self.not_deleted(content, &words.delete_prefix(), &problem).await;
            return Err(Stop::Failed(words.not_deleted(name, &problem)));
        }
        self.memory.deleted(content.meta());
        Ok(content.clone())
    }

    /// Takes out of the status what says that there is a snapshot.
    pub(super) async fn clear(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let (view, words) = (content.view(), C::WORDS);
        match self.patch_status(content, |_| Some(C::forgotten())).await {
            Err(Stop::Failed(problem)) => {
                self.event(content, words.delete_failed, NOT_CLEARED);
                Err(Stop::Failed(words.not_deleted(view.name(), &problem)))
            }
            cleared => cleared,
        }
    }

    /// Lets the content go.
    pub(super) async fn release(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let Some(patch) = write::release(&content.view(), C::WORDS.finalizer) else {
            return Ok(content.clone());
        };
        info!(v = 4, kind = C::RESOURCE.kind, content = %content.meta().name, "Removing finalizer");
        self.patch_exactly(content, &patch).await
    }
}
