//! What is to be done about a content (sheet 5.4, 5.5, 5.7, 5.13).
//!
//! The rule behind it: before the driver is asked to take a snapshot, the content says that it is being created, and it says
//! so until the outcome is known and, where a snapshot was taken, its handle is written down. A content that says so is
//! never let go. So whatever is forgotten by whomever, no snapshot is left behind.

use sidecar_core::objects::DeletionPolicy;

use crate::content::View;

/// What this process knows and the content does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// The last call to take the snapshot has been answered, and the answer is written down.
    pub settled: bool,
    /// The driver has deleted the snapshot.
    pub deleted: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until somebody changes something.
    Nothing,
    /// Look again later: somebody else writes down what is needed.
    Wait,
    /// Have the driver take the snapshot, or tell about the one that it is taking.
    Take,
    /// Have the driver tell about the snapshot.
    Look,
    /// The same for a snapshot that we had taken: if the driver does not tell, have it taken again.
    LookOrTake,
    /// Say no longer that it is being created.
    Unmark,
    /// Have the driver delete the snapshot.
    Delete,
    /// Let the content go.
    Release,
}

/// Whether the content is to go, unless a call to take its snapshot is still open.
fn is_unwanted(view: &View<'_>) -> bool {
    view.meta.deleting && (view.is_unbound() || view.being_deleted)
}

/// Whether the content is to go now (sheet 5.4). One that a user deletes while its snapshot lives is not.
pub fn should_delete(view: &View<'_>) -> bool {
    is_unwanted(view) && (view.is_unbound() || !view.being_created)
}

/// What is to be done about a content. `can_look`: the driver tells about a snapshot that was taken without being asked to
/// take it again.
pub fn next(view: &View<'_>, past: Past, can_look: bool, finalizer: &str) -> Step {
    if should_delete(view) {
        return remove(view, past, finalizer);
    }
    if is_unwanted(view) && past.settled {
        return Step::Unmark;
    }
    if view.is_dynamic && view.status.is_none() && !view.is_member {
        return Step::Take;
    }
    if view.is_ready() {
        return if view.being_created { Step::Unmark } else { Step::Nothing };
    }
    if view.given.is_some() || (view.in_group() && view.handle().is_some()) {
        return Step::Look;
    }
    if view.is_member {
        return Step::Wait;
    }
    // While a call to take it is open, only another such call closes it.
    let closed = !view.being_created || past.settled;
    if can_look && view.handle().is_some() && closed { Step::LookOrTake } else { Step::Take }
}

fn remove(view: &View<'_>, past: Past, finalizer: &str) -> Step {
    let is_there = view.handle().is_some() && !past.deleted;
    if is_there && view.policy == DeletionPolicy::Delete && !view.in_group() {
        Step::Delete
    } else if view.meta.finalizers.has(finalizer) {
        Step::Release
    } else {
        Step::Nothing
    }
}

/// Whether the content will still be there when we have let it go, so that its status must not name what is deleted.
pub fn outlives_us(view: &View<'_>, finalizer: &str) -> bool {
    view.meta.finalizers.iter().any(|held| held != finalizer)
}

/// Whether the annotation can go after an answer: what comes next, if anything, is not a call to take the snapshot.
pub fn ends_taking(ready: bool, can_look: bool) -> bool {
    ready || can_look
}

impl Step {
    /// Whether it is about a snapshot that may become ready.
    pub fn asks(self) -> bool {
        matches!(self, Self::Take | Self::Look | Self::LookOrTake | Self::Wait)
    }
}
