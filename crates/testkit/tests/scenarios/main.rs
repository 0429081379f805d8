//! The testkit's own tests: what others build on must be right first.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail tests"
)]

mod api;
mod conformance;
mod driver;
mod kcm;
mod provisioner;
mod simulation;
mod sockets;
