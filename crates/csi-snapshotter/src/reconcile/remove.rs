//! A snapshot that is no longer wanted (sheet 5.8, 5.15), and a content that may go.

use std::sync::Arc;

use tracing::{error, info};

use super::Shared;
use super::sync::Stop;
use crate::content::words::{NO_CREDENTIALS, NOT_CLEARED};
use crate::driver::{Calls, LookFailed};
use crate::policy::next::is_kept_by;
use crate::policy::write;

/// How often a driver may refuse to tell about a snapshot that was there before its content, until that goes without it.
const REFUSALS: u32 = 8;

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

    /// Has the driver delete a snapshot that was there before its content and that no status tells about. Whether it is there at
    /// all, and not part of a group, is what the first look would have told, so the driver is asked for that. Who cannot be told
    /// lets the content go in the end: a handle that was misspelt must not keep it for ever.
    pub(super) async fn find_and_delete(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let (view, words) = (content.view(), C::WORDS);
        let (name, handle) = (view.name(), view.given.unwrap_or_default());
        if self.is_kept(content) {
            info!(content = %name, handle, "Not deleting a snapshot that another content stands for");
            return Ok(self.leave(content));
        }
        match self.ask(content).await {
            Ok(answer) if answer.group.is_empty() => self.delete(content).await,
            Ok(answer) => {
                info!(content = %name, handle, group = answer.group, "Not deleting a snapshot that goes with its group");
                Ok(self.leave(content))
            }
            Err(LookFailed::Unknown(_)) => Ok(self.leave(content)),
            Err(LookFailed::Refused(problem)) if self.memory.refused(view.meta) >= REFUSALS => {
                error!(content = %name, handle, err = problem, "Leaving a snapshot that the driver does not tell about");
                Ok(self.leave(content))
            }
            Err(failed) => {
                let problem = failed.into_text();
                self.not_deleted(content, &words.delete_prefix(), &problem).await;
                Err(Stop::Failed(words.not_deleted(name, &problem)))
            }
        }
    }

    /// There is nothing to delete with this content.
    fn leave(&self, content: &Arc<C>) -> Arc<C> {
        self.memory.deleted(content.meta());
        content.clone()
    }

    /// Whether another content stands for the same snapshot.
    fn is_kept(&self, content: &C) -> bool {
        let (uid, handle) = (&content.meta().uid, content.view().given.unwrap_or_default());
        let others = self.stores.contents.list();
        others.iter().any(|other| other.meta().uid != *uid && is_kept_by(handle, &other.view()))
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
