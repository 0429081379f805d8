//! The real binary, before a real listener of an API server: what it does with bad input, with losses and with signals.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, and json! makes values"
)]
// Shared with the lab, where its items are public.
#![allow(unreachable_pub)]

use testkit::process;

#[path = "../shared/beside.rs"]
mod beside;
mod cluster;
mod command_line;
mod lives;
mod rights;
mod server;
#[expect(dead_code, reason = "two replicas on one machine have the same name")]
#[path = "../shared/shared.rs"]
mod shared;
mod signals;

type Row = process::Row<cluster::Cluster>;

// The slow ones first.
testkit::bad_input![server::ROWS, &process::server::common(), rights::ROWS, command_line::ROWS];
