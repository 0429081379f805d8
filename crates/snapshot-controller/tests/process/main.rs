//! The real binary, before a real listener of an API server: what it does with bad input, with losses and with signals.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, and json! makes values"
)]

use testkit::process;

mod cluster;
mod command_line;
mod rights;
mod server;
mod signals;

type Row = process::Row<cluster::Cluster>;

// The slow ones first.
testkit::bad_input![server::ROWS, &process::server::common(), rights::ROWS, command_line::ROWS];
