//! Every decision of the attacher, as pure functions: no async, no I/O, no clock.
//!
//! | Question | Answered in |
//! |---|---|
//! | Does this change of an attachment need a look? | [`change`] |
//! | Which volume, as the driver knows it? | [`target`], [`translation`] |
//! | Which node, as the driver knows it? | [`node`] |
//! | Which finalizers come and go, and by which patch? | [`finalizer`] |
//! | Does a detachment of the volume come first? | [`order`] |
//! | What is written into the status? | [`status`] |
//! | Does the driver's list agree with an attachment? | [`listing`] |
//! | What is wrong, and what would make it right? | [`failure`] |

pub mod change;
pub mod failure;
pub mod finalizer;
pub mod listing;
pub mod node;
pub mod order;
pub mod status;
pub mod target;
pub mod translation;

#[cfg(test)]
pub(crate) mod fixtures;

use sidecar_core::objects::Attachment;

/// The two things that can be done with an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The volume is wanted on the node.
    Attach,
    /// It no longer is.
    Detach,
}

impl Operation {
    /// What an attachment in this state needs, if it needs anything.
    pub fn of(attachment: &Attachment) -> Self {
        if attachment.meta.deleting { Self::Detach } else { Self::Attach }
    }

    /// The lane of its workers, which is also its place in arrays.
    pub fn lane(self) -> usize {
        match self {
            Self::Attach => 0,
            Self::Detach => 1,
        }
    }

    /// Its name in metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
        }
    }

    /// What is done, as a noun for messages.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Attach => "attachment",
            Self::Detach => "detachment",
        }
    }
}

/// Whether an attachment needs work, as far as its own state tells: a detached one is told by our finalizer alone, for an
/// attachment that is going without it was never handed to the driver, or has been taken back (sheet 5.6).
pub fn needs_work(attachment: &Attachment, finalizer: &str) -> bool {
    match Operation::of(attachment) {
        Operation::Attach => !attachment.status.as_ref().is_some_and(|status| status.attached),
        Operation::Detach => attachment.meta.finalizers.has(finalizer),
    }
}
