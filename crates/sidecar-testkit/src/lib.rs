//! A whole sidecar in process, for tests only: on paused time, between the API server and the driver of the testkit. What
//! the tests of all sidecars do in the same way at a start, in an election and in the simulation.
//!
//! Not part of `testkit`, which knows no sidecar: the tests of `sidecar-core` stand on that one.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test; only what the tests are about differs from sidecar to sidecar"
)]

mod cluster;
pub mod leadership;
mod sidecar;
pub mod simulation;

pub use cluster::{EPOCH, api_server, events, pass, rule_for_leases, until};
pub use sidecar::{Sidecar, command_line, connector, context};
