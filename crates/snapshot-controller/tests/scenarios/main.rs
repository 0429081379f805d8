//! Whole controllers against an API server in this process, on paused time. One module per table of the sheet's section
//! 11, one test per row; `shared` also runs on a real control plane, from the lab.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failed test, and json! makes values"
)]
// Shared with the lab, where its items are public.
#![allow(unreachable_pub)]

#[path = "../shared/beside.rs"]
mod beside;
mod better;
mod budget;
mod classes;
mod compared;
mod deletion;
mod distributed;
mod groups;
mod groups_unseen;
mod jitter;
mod leadership;
mod members;
mod metrics;
mod pace;
mod setup;
#[path = "../shared/shared.rs"]
mod shared;
mod shared_lives;
mod simulation;
mod snapshots;
mod startup;
