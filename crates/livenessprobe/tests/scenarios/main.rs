//! Section 11 of the sheet livenessprobe: the real binary, real sockets, a scripted driver.

// Helpers of tests may fail loudly; the lints except only the test functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command_line;
mod endings;
mod footprint;
mod health;
mod hung;
mod listeners;
mod pod;
