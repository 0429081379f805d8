//! A snapshot that is to be taken (sheet 5.6, 5.14).
//!
//! Everything that can be wrong on our side is found before the content is marked (13.1): a mark that stands for no call would
//! keep the content from being deleted.

use std::sync::Arc;

use tracing::info;

use super::Shared;
use super::sync::Stop;
use crate::content::{Class, View};
use crate::driver::{Answer, Calls, Pairs};
use crate::policy::next::{Step, ends_taking, may_go_unasked};
use crate::policy::{inputs, write};

impl<C: Calls> Shared<C> {
    /// Has the driver take the snapshot, or tell about the one that it is taking.
    pub(super) async fn take(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let parameters = match self.parameters(&content.view()) {
            Ok(parameters) => parameters,
            Err(problem) if may_go_unasked(&content.view(), self.memory.past(content.meta())) => {
                info!(v = 2, kind = C::RESOURCE.kind, content = %content.meta().name, err = problem,
                    "Cannot ask about a snapshot that is not wanted any more, going by its handle");
                self.memory.settles(content.meta());
                return Ok(content.clone());
            }
            Err(problem) => return Err(self.not_taken(content, problem).await),
        };
        let request = match self.request(content, parameters).await {
            Ok(request) => request,
            Err(problem) => return Err(self.not_taken(content, problem).await),
        };
        let content = match self.marked(content).await {
            Ok(content) => content,
            Err(Stop::Failed(problem)) => return Err(self.not_taken(content, problem).await),
            Err(stop) => return Err(stop),
        };
        // The answer has shown the content as it is now.
        if !matches!(self.next(&content), Step::Take | Step::LookOrTake) {
            return Ok(content);
        }
        if self.is_stopping() {
            return Err(Stop::Stopping);
        }
        let meta = content.meta();
        info!(v = 2, kind = C::RESOURCE.kind, content = %meta.name, "Creating snapshot");
        self.memory.opens(meta);
        match C::take(&self.parts.connection, request, self.call()).await {
            Ok(answer) => self.taken(&content, &answer).await,
            Err(failed) => {
                let mut problem = C::WORDS.not_taken(&content.volumes(), &failed.text());
                if failed.is_final() {
                    self.memory.settles(meta);
                    match self.unmark(&content).await {
                        Err(Stop::Failed(error)) => {
                            problem = C::WORDS.not_unmarked_after_error(&meta.name, error);
                        }
                        Err(stop) => return Err(stop),
                        Ok(_) => {}
                    }
                }
                Err(self.not_taken(&content, problem).await)
            }
        }
    }

    /// The parameters, or why there are none: who knows better has to change the class.
    fn parameters(&self, view: &View<'_>) -> Result<Pairs, String> {
        let known = self.class(view);
        let class = inputs::class(view, C::WORDS, known.as_deref().map(Class::class))
            .map_err(|problem| C::WORDS.no_inputs(view.name(), &problem))?;
        inputs::parameters(view, C::WORDS, class, self.parts.flags.extra_create_metadata)
    }

    /// The request, or why there is none.
    async fn request(&self, content: &C, parameters: Pairs) -> Result<C::Request, String> {
        let (view, words) = (content.view(), C::WORDS);
        let no_inputs = |problem: String| words.no_inputs(view.name(), &problem);
        let not_taken = |problem: String| words.not_taken(&content.volumes(), &problem);
        if view.snapshot.uid.is_empty() {
            return Err(not_taken(words.unbound(view.name())));
        }
        let secrets = self.own_secrets(&view, words).await.map_err(no_inputs)?;
        let name = inputs::name(&self.naming, &view.snapshot.uid.to_string());
        content.request(name, parameters, secrets).map_err(not_taken)
    }

    /// The content with the annotation on it, which another look may have put there. What the cache shows is not enough: an
    /// annotation that was taken away meanwhile may still be seen. Nor is what we remember: others may have taken it away.
    async fn marked(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let meta = content.meta();
        let latest = self.latest(content);
        if self.memory.is_marked(meta) && latest.view().being_created {
            return Ok(latest);
        }
        let patch = write::mark(&content.view(), C::WORDS.being_created);
        match self.patch(content, &patch).await {
            Ok(marked) => {
                self.memory.set_marked(meta, true);
                Ok(marked)
            }
            Err(Stop::Failed(problem)) => Err(Stop::Failed(C::WORDS.not_marked(&meta.name, problem))),
            Err(stop) => Err(stop),
        }
    }

    /// Writes down what the driver has said, handle first, and only then that nothing is being created any more.
    async fn taken(&self, content: &Arc<C>, answer: &Answer) -> Result<Arc<C>, Stop> {
        let name = &content.meta().name;
        info!(v = 2, kind = C::RESOURCE.kind, content = %name, ready = answer.ready, "Created snapshot");
        let written = match self.learn(content, answer).await {
            Ok(written) => written,
            Err(Stop::Failed(problem)) => {
                let problem = C::WORDS.status_not_updated(name, problem);
                return Err(self.not_taken(content, problem).await);
            }
            Err(stop) => return Err(stop),
        };
        self.memory.settles(written.meta());
        let told =
            written.can_look(self.parts.driver.capabilities) && !self.memory.past(written.meta()).untold;
        if !ends_taking(answer.ready, told) {
            return Ok(written);
        }
        match self.unmark(&written).await {
            Err(Stop::Failed(problem)) => {
                Err(self.not_taken(&written, C::WORDS.not_unmarked(name, problem)).await)
            }
            unmarked => unmarked,
        }
    }

    /// The content says no longer that its snapshot is being created. From here on nobody knows whether it does, until the
    /// answer is here.
    async fn unmark(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        self.memory.set_marked(content.meta(), false);
        self.patch(content, &write::unmark(&content.view(), C::WORDS.being_created)).await
    }

    /// A mark that is left over.
    pub(super) async fn unmark_at_last(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        self.unmark(content).await.map_err(|stop| match stop {
            Stop::Failed(problem) => Stop::Failed(C::WORDS.not_unmarked(&content.meta().name, problem)),
            stop => stop,
        })
    }

    /// Writes what the driver has said into the status, as far as that is news.
    pub(super) async fn learn(&self, content: &Arc<C>, answer: &Answer) -> Result<Arc<C>, Stop> {
        let now = self.parts.context.clock.now();
        self.patch_status(content, |content| {
            let changes = content.learned(answer, now);
            (!changes.is_empty()).then(|| changes.into())
        })
        .await
    }
}
