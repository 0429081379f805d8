//! What is known about the driver after an attempt to provision, and what follows from it (sheet 5.2 h, 5.4).

use tonic::Code;

/// What an attempt leaves behind in the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing is running in the driver, as its answer to this attempt says.
    Finished,
    /// The driver may still be creating the volume: the request must be repeated until the outcome is known, even
    /// when the claim is deleted meanwhile.
    InBackground,
    /// The attempt failed before it reached the driver, so what was known before still holds.
    NoChange,
    /// Final, and another node has to be chosen.
    Reschedule,
}

impl State {
    /// The state after `CreateVolume` failed with `code`.
    ///
    /// `node_selected`: topology is in use and a node was chosen for the claim, so that choosing another may help.
    pub(crate) fn after_create(code: Code, node_selected: bool) -> Self {
        match code {
            Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable | Code::Aborted => {
                Self::InBackground
            }
            Code::ResourceExhausted if node_selected => Self::Reschedule,
            _ => Self::Finished,
        }
    }

    /// What to do with the memory of a claim whose volume may be under way.
    pub(crate) fn memory(self) -> Memory {
        match self {
            Self::Finished | Self::Reschedule => Memory::Forget,
            Self::InBackground => Memory::Remember,
            Self::NoChange => Memory::Keep,
        }
    }
}

/// What to do with the entry of a claim among those in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Drop it.
    Forget,
    /// Put it in.
    Remember,
    /// Leave it as it is.
    Keep,
}

/// Why a failed attempt failed, as far as it changes what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Worth telling the user and trying again.
    Error,
    /// Not ours to do: no event, no retry.
    Ignored,
    /// An external populator will do it: the user is told, nothing else happens.
    Populator,
    /// The driver calls the request invalid; it will hardly change its mind soon.
    Infeasible,
}

/// A failed attempt to provision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is left behind in the driver.
    pub state: State,
    /// Why.
    pub cause: Cause,
    /// The text for events and logs.
    pub message: String,
}

#[expect(clippy::needless_pass_by_value, reason = "takes errors as `map_err` hands them over")]
impl Failure {
    /// A final error.
    pub(crate) fn finished(message: impl ToString) -> Self {
        Self { state: State::Finished, cause: Cause::Error, message: message.to_string() }
    }

    /// An error from before the driver was asked.
    pub(crate) fn no_change(message: impl ToString) -> Self {
        Self { state: State::NoChange, cause: Cause::Error, message: message.to_string() }
    }

    /// An error that leaves the driver busy, as far as anyone knows.
    pub(crate) fn in_background(message: impl ToString) -> Self {
        Self { state: State::InBackground, cause: Cause::Error, message: message.to_string() }
    }

    /// The same, found before the driver was asked in this attempt: what is known of it stays as it was.
    pub(crate) fn before_asking(self) -> Self {
        Self { state: State::NoChange, ..self }
    }

    /// Someone else's work.
    pub(crate) fn ignored(reason: impl ToString) -> Self {
        Self { state: State::Finished, cause: Cause::Ignored, message: reason.to_string() }
    }

    /// What follows; `node_annotated`: the claim carries the annotation with the chosen node.
    pub(crate) fn next(&self, node_annotated: bool) -> Next {
        match (self.cause, self.state) {
            (Cause::Ignored, _) => Next::Stop,
            (Cause::Populator, _) => Next::LeaveToPopulator,
            (Cause::Infeasible, _) => Next::RetrySlowly,
            (Cause::Error, State::Reschedule) if node_annotated => Next::Reschedule,
            (Cause::Error, _) => Next::Retry,
        }
    }
}

/// What a failed attempt leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until the claim changes.
    Stop,
    /// The same, but the user is told that an external populator takes over.
    LeaveToPopulator,
    /// Event, then back-off.
    Retry,
    /// Event, then the longest back-off there is.
    RetrySlowly,
    /// Event, then the chosen node is given back to the scheduler.
    Reschedule,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code, the state after it without and with a selected node.
    const AFTER_CREATE: [(Code, State, State); 16] = [
        (Code::Cancelled, State::InBackground, State::InBackground),
        (Code::Unknown, State::Finished, State::Finished),
        (Code::InvalidArgument, State::Finished, State::Finished),
        (Code::DeadlineExceeded, State::InBackground, State::InBackground),
        (Code::NotFound, State::Finished, State::Finished),
        (Code::AlreadyExists, State::Finished, State::Finished),
        (Code::PermissionDenied, State::Finished, State::Finished),
        (Code::ResourceExhausted, State::Finished, State::Reschedule),
        (Code::FailedPrecondition, State::Finished, State::Finished),
        (Code::Aborted, State::InBackground, State::InBackground),
        (Code::OutOfRange, State::Finished, State::Finished),
        (Code::Unimplemented, State::Finished, State::Finished),
        (Code::Internal, State::Finished, State::Finished),
        (Code::Unavailable, State::InBackground, State::InBackground),
        (Code::DataLoss, State::Finished, State::Finished),
        (Code::Unauthenticated, State::Finished, State::Finished),
    ];

    #[test]
    fn create_volume_error_matrix() {
        for (code, anywhere, on_node) in AFTER_CREATE {
            let found = (State::after_create(code, false), State::after_create(code, true));
            assert_eq!(found, (anywhere, on_node), "{code:?}");
        }
    }

    #[test]
    fn what_is_found_before_the_driver_is_asked_says_nothing_of_it() {
        let found = Failure { cause: Cause::Populator, ..Failure::finished("x") }.before_asking();
        assert_eq!((found.state.memory(), found.next(false)), (Memory::Keep, Next::LeaveToPopulator));
    }

    #[test]
    fn memory_of_claims_in_progress() {
        assert_eq!(State::Finished.memory(), Memory::Forget);
        assert_eq!(State::Reschedule.memory(), Memory::Forget);
        assert_eq!(State::InBackground.memory(), Memory::Remember);
        assert_eq!(State::NoChange.memory(), Memory::Keep);
    }

    #[test]
    fn what_follows_a_failure() {
        let reschedule = Failure { state: State::Reschedule, ..Failure::finished("x") };
        assert_eq!(reschedule.next(true), Next::Reschedule);
        assert_eq!(reschedule.next(false), Next::Retry, "without the annotation it is a final error");
        assert_eq!(Failure::ignored("x").next(true), Next::Stop);
        assert_eq!(Failure::in_background("x").next(true), Next::Retry);
        let infeasible = Failure { cause: Cause::Infeasible, ..Failure::finished("x") };
        assert_eq!(infeasible.next(false), Next::RetrySlowly);
    }
}
