//! Every decision of the snapshotter, free of I/O, clocks and async code.
//!
//! The shell (`reconcile`) looks at a content, asks [`next`] what is to be done, does it and asks again with the content as it
//! is then.
//!
//! | Module | Answers |
//! |---|---|
//! | [`ownership`] | is this content ours? |
//! | [`next`] | what is to be done about it? |
//! | [`inputs`] | what is the driver told, and with which secret? |
//! | [`write`] | which patch says that? |
//! | [`failure`] | what is a failure called? |
//! | [`change`] | is a change by others worth a look? |
//! | [`pace`] | when is a snapshot that is not ready looked at again? |

pub mod change;
pub mod failure;
pub mod inputs;
pub mod next;
pub mod ownership;
pub mod pace;
pub mod write;

#[cfg(test)]
pub(crate) mod fixtures;
