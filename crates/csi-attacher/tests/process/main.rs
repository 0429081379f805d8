//! The real binary, between a real listener of an API server and a real socket of a driver: what it does with bad
//! input, with losses and with signals.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "helpers of tests, and json! makes values"
)]

mod cluster;
mod command_line;
mod driver;
#[path = "../../../csi-provisioner/tests/process/program.rs"]
mod program;
mod rights;
mod server;
mod signals;
#[path = "../../../csi-provisioner/tests/process/table.rs"]
mod table;
