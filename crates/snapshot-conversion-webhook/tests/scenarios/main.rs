//! Annex B of sheet snapshot-controller: the real program, real HTTPS, and the server in process on paused time.

// Helpers of tests may fail loudly; the lints except only the test functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod client;
mod command_line;
mod connections;
mod convert;
mod reload;
mod stand;
