//! One content, from what is known about it to what is to be done with it next.

use std::sync::Arc;

use sidecar_core::objects::Interned;
use sidecar_core::reconciler::Outcome;

use super::Shared;
use crate::driver::Calls;
use crate::policy::next::{Step, next};
use crate::policy::pace;

/// How many steps follow on each other at most; a life has four.
const STEPS: usize = 8;

/// Why there is no next step.
#[derive(Debug)]
pub(super) enum Stop {
    /// The content is no more.
    Gone,
    /// No new work is begun.
    Stopping,
    /// Something failed; it has been said what.
    Failed(String),
}

impl<C: Calls> Shared<C> {
    /// Looks at the content of this name and does what is to be done.
    pub(super) async fn sync(&self, name: &Interned) -> Outcome {
        let Some(mut content) = self.stores.contents.get("", name) else {
            self.memory.forget(name);
            return Outcome::Done;
        };
        for _ in 0..STEPS {
            if !self.is_ours(&content.view()) {
                // It may become ours again, and nothing is planned for it until then.
                self.memory.unfollow(content.meta());
                return Outcome::Done;
            }
            let step = self.next(&content);
            let after = match step {
                Step::Nothing => {
                    self.memory.forget(name);
                    return Outcome::Done;
                }
                Step::Wait => return self.later(&content),
                Step::Take => self.take(&content).await,
                Step::Look => self.look(&content).await,
                Step::LookOrTake => self.look_or_take(&content).await,
                Step::Unmark => self.unmark_at_last(&content).await,
                Step::Delete => self.delete(&content).await,
                Step::FindAndDelete => self.find_and_delete(&content).await,
                Step::Clear => self.clear(&content).await,
                Step::Release => self.release(&content).await,
            };
            content = match after {
                // Who is not ready now will not be if asked again at once.
                Ok(after) if step.asks() && self.next(&after).asks() => return self.later(&after),
                Ok(after) => after,
                Err(Stop::Gone) => return Outcome::Done,
                Err(Stop::Stopping) => return Outcome::Drop,
                Err(Stop::Failed(problem)) => return Outcome::RetryBackoff(problem),
            };
        }
        Outcome::RetryBackoff("it changes all the time".to_owned())
    }

    /// What is to be done about a content.
    pub(super) fn next(&self, content: &C) -> Step {
        let past = self.memory.past(content.meta());
        let can_look = content.can_look(self.parts.driver.capabilities);
        next(&content.view(), past, can_look, C::WORDS.finalizer)
    }

    fn later(&self, content: &Arc<C>) -> Outcome {
        let looks = self.memory.is_not_ready(content.meta());
        let (common, random) = (&self.parts.flags.common, self.parts.context.random.f64());
        Outcome::DoneUntil(pace::pause(looks, common.retry_start, common.retry_max, random))
    }
}
