//! What may happen to a call.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status};

type Edit = Arc<dyn Fn(&mut dyn Any) + Send + Sync>;

/// What one call does.
#[derive(Clone)]
pub enum Step {
    /// Works.
    Normal,
    /// Refuses without doing anything.
    Fail(Code, String),
    /// Does its work and then says that it failed: only honest with a code that leaves the outcome open.
    FailAfter(Code, String),
    /// Never answers, and does nothing.
    Hang,
    /// Does its work and never answers.
    HangAfter,
    /// Works, this much later; the work happens at the end even if nobody waits any more.
    Late(Duration, Box<Step>),
    /// Works, with a changed answer.
    Edited(Edit),
}

impl Step {
    /// [`Step::Fail`] with any kind of text.
    pub fn fail(code: Code, message: impl Into<String>) -> Self {
        Self::Fail(code, message.into())
    }

    /// Works, this much later.
    pub fn late(delay: Duration) -> Self {
        Self::Late(delay, Box::new(Self::Normal))
    }

    /// Works, with an answer that `edit` has changed; the type must be that of the RPC's response.
    pub fn edit<A: Any>(edit: impl Fn(&mut A) + Send + Sync + 'static) -> Self {
        Self::Edited(Arc::new(move |answer| {
            if let Some(answer) = answer.downcast_mut::<A>() {
                edit(answer);
            }
        }))
    }

    /// Lets the call happen in this way; `None` is an answer that never arrives.
    pub(super) async fn perform<A: Any + Send>(
        self,
        effect: impl FnOnce() -> Result<A, Status> + Send,
    ) -> Result<Option<A>, Status> {
        let mut step = self;
        while let Self::Late(delay, next) = step {
            tokio::time::sleep(delay).await;
            step = *next;
        }
        match step {
            Self::Normal | Self::Late(..) => effect().map(Some),
            Self::Fail(code, message) => Err(Status::new(code, message)),
            Self::FailAfter(code, message) => effect().and_then(|_| Err(Status::new(code, message))),
            Self::Hang => Ok(None),
            Self::HangAfter => effect().map(|_| None),
            Self::Edited(edit) => {
                let mut answer = effect()?;
                edit(&mut answer);
                Ok(Some(answer))
            }
        }
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Normal => formatter.write_str("Normal"),
            Self::Fail(code, _) => write!(formatter, "Fail({code:?})"),
            Self::FailAfter(code, _) => write!(formatter, "FailAfter({code:?})"),
            Self::Hang => formatter.write_str("Hang"),
            Self::HangAfter => formatter.write_str("HangAfter"),
            Self::Late(delay, step) => write!(formatter, "Late({delay:?}, {step:?})"),
            Self::Edited(_) => formatter.write_str("Edited"),
        }
    }
}
