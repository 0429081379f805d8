//! Every decision of the provisioner, free of I/O, clocks and async code.
//!
//! The shell (`reconcile`) gathers a snapshot of projected objects, asks a function in here what comes next, does
//! it and asks again with the answer. So the whole behaviour of the sidecar can be read, and tested, in one place:
//!
//! | Module | Answers |
//! |---|---|
//! | [`names`] | which provisioner names are ours, what a volume is called |
//! | [`claim`] | is this claim ours to provision, now? |
//! | [`data_source`] | where would the content come from, and do we handle that? |
//! | [`parameters`] | what of the StorageClass parameters goes to the driver, which file system? |
//! | [`expand`], [`secrets`] | which Secrets does a volume use? |
//! | [`prepare`] | the `CreateVolume` request, or why there cannot be one |
//! | [`volume`] | the PersistentVolume to save |
//! | [`state`] | is the driver still busy after this error, and what follows from it? |
//! | [`deletion`] | is this volume ours, does it need the finalizer, may it be deleted, with which secret? |

pub mod claim;
pub mod data_source;
pub mod deletion;
pub mod expand;
pub mod migration;
pub mod names;
pub mod parameters;
pub mod prepare;
pub mod secrets;
pub mod state;
pub mod volume;

#[cfg(test)]
pub(crate) mod fixtures;
