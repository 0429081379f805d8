//! Every decision of the provisioner, free of I/O, clocks and async code.
//!
//! The shell (`reconcile`) gathers a snapshot of projected objects, asks a function in here what comes next, does
//! it and asks again with the answer. So the whole behaviour of the sidecar can be read, and tested, in one place:
//!
//! | Module | Answers |
//! |---|---|
//! | [`names`] | which provisioner names are ours, what a volume is called |
//! | [`claim`] | is this claim ours to provision, now? |
//! | [`data_source`] | where does the content come from, may it be used, what does the driver call it? |
//! | [`migration`] | what are class and volume of an in-tree plugin to the driver, and the other way round? |
//! | [`parameters`] | what of the StorageClass parameters goes to the driver, which file system? |
//! | [`secrets`] | which Secrets does a volume use? |
//! | [`prepare`] | the `CreateVolume` request, or why there cannot be one |
//! | [`driver`] | what can the driver do? |
//! | [`wish`] | what must the volume be like? |
//! | [`volume`] | the PersistentVolume to save |
//! | [`state`] | is the driver still busy after this error, and what follows from it? |
//! | [`deletion`] | is this volume ours, does it need the finalizer, may it be deleted, with which secret? |
//! | [`protection`] | may a snapshot or claim go that something was made from? |

pub(crate) mod claim;
pub(crate) mod data_source;
pub(crate) mod deletion;
pub(crate) mod driver;
pub(crate) mod migration;
pub(crate) mod names;
pub(crate) mod parameters;
pub(crate) mod prepare;
pub(crate) mod protection;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod volume;
pub(crate) mod wish;

#[cfg(test)]
pub(crate) mod fixtures;
