//! Whole controllers against an API server in this process, on paused time. One module per table of the sheet's section
//! 11, one test per row.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failed test, and json! makes values"
)]

mod better;
mod budget;
mod classes;
mod deletion;
mod distributed;
mod groups;
mod leadership;
mod members;
mod metrics;
mod pace;
mod setup;
mod simulation;
mod snapshots;
mod startup;
