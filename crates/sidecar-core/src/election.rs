//! One leader at a time, agreed upon through a Lease.
//!
//! Replicas of a sidecar, ours and upstream's in any mixture, take turns through one `coordination.k8s.io/v1` Lease.
//! The record and the rules are client-go's (sheet `common-library`, 5.3); only `get`, `create` and `update` are used,
//! since that is what upstream's roles are known to grant. Expiry is judged by the local monotonic time at which a
//! record was last seen to change, never by the times written in it, so that skewed clocks do no harm.
//!
//! Where ours is stricter: a leader stops for good before its last renewal can have expired anywhere, and at once when
//! it sees another holder. Upstream goes on for up to its renew deadline in both cases, beside the new leader.
//!
//! [`names`] has the lease names of the sidecars, [`ElectionConfig`] the settings, [`Elector`] the loop, and [`lead`] is
//! what a sidecar's `run` calls, with or without an election.

mod config;
mod elector;
mod lock;
pub mod names;
mod observed;
mod record;
mod wiring;

#[cfg(test)]
mod tests;

pub use config::{DEFAULT_TIMING, ElectionConfig, InvalidElection, Timing};
pub use elector::{Elector, Outcome};
pub use observed::{Health, Unhealthy};
pub use wiring::{ElectionFlags, lead};
