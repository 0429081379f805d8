//! A snapshot that is there and may not be ready yet (sheet 5.7, 6.3).

use std::sync::Arc;

use super::Shared;
use super::sync::Stop;
use crate::content::{Class, View};
use crate::driver::{Answer, Calls, LookFailed, Pairs};
use crate::policy::inputs;

impl<C: Calls> Shared<C> {
    /// Has the driver tell about a snapshot that we did not have taken alone.
    pub(super) async fn look(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        let told = match self.ask(content).await {
            Ok(answer) => self.learn(content, &answer).await,
            Err(failed) => Err(Stop::Failed(failed.into_text())),
        };
        match told {
            Err(Stop::Failed(problem)) => Err(self.not_taken(content, problem).await),
            told => told,
        }
    }

    /// The same about one that we had taken. A driver that does not tell is asked as upstream asks it, from then on.
    pub(super) async fn look_or_take(&self, content: &Arc<C>) -> Result<Arc<C>, Stop> {
        match self.ask(content).await {
            Ok(answer) => self.learn(content, &answer).await,
            Err(failed) => {
                let problem = failed.into_text();
                tracing::info!(v = 3, content = %content.meta().name, err = problem, "The driver does not tell");
                self.memory.untold(content.meta());
                self.take(content).await
            }
        }
    }

    /// What the driver says about a snapshot.
    pub(super) async fn ask(&self, content: &C) -> Result<Answer, LookFailed> {
        let secrets = self.look_secrets(&content.view()).await.map_err(LookFailed::Refused)?;
        let Self { parts, .. } = self;
        content.look(&parts.connection, parts.driver.capabilities, secrets, self.call()).await
    }

    /// The class's secret for looking, for a member of a group that of its annotations.
    async fn look_secrets(&self, view: &View<'_>) -> Result<Pairs, String> {
        let (words, name) = (C::WORDS, view.name());
        let mut reference = None;
        if let Some(class) = view.class {
            let known = self.class(view);
            let known =
                known.ok_or_else(|| words.no_look_class(class, name, &words.class_not_found(class)))?;
            reference = inputs::look_secret(view, words, known.class())
                .map_err(|error| words.no_look_secret(name, error))?;
        }
        if view.in_group() {
            let secrets = self.own_secrets(view, words).await;
            return secrets.map_err(|problem| words.no_member_credentials(name, problem));
        }
        match reference {
            Some(reference) => {
                let secrets = self.secrets(&reference).await;
                secrets.map_err(|problem| words.no_look_credentials(name, problem))
            }
            // A snapshot that we had taken has none of its own for being looked at.
            None if view.is_dynamic => self.own_secrets(view, words).await,
            None => Ok(Pairs::new()),
        }
    }
}
