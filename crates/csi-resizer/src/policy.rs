//! Every decision of the resizer, free of I/O, clocks and async code.
//!
//! The shell (`reconcile`) gathers a snapshot of projected objects, asks a function in here what comes next, does
//! it and asks again with the answer. So the whole behaviour of the sidecar can be read, and tested, in one place:
//!
//! | Module | Answers |
//! |---|---|
//! | [`sizes`] | how large the volume is, is to be and is said to be |
//! | [`expand`] | does it have to grow, to which size, or who has to do something first? |
//! | [`modify`] | does another attributes class have to be applied, and which? |
//! | [`node`] | is it this node's, where each node has a resizer? |
//! | [`ownership`] | is this volume ours, and does it belong to this claim? |
//! | [`errors`] | what does this gRPC code say about the volume, and what follows from it? |
//! | [`source`] | what does the driver call the volume, and which secrets do its calls take? |
//! | [`conditions`] | which conditions does the claim have after that? |
//! | [`claim_patch`], [`volume_patch`] | the patches that say so, and nothing else |
//! | [`wake`] | which changes are worth a look? |

pub mod claim_patch;
pub mod conditions;
pub mod errors;
pub mod expand;
pub mod modify;
pub mod node;
pub mod ownership;
pub mod sizes;
pub mod source;
pub mod volume_patch;
pub mod wake;

#[cfg(test)]
pub(crate) mod fixtures;
