//! Whole sidecars against an API server and a driver in this process, on paused time. One module per table of the
//! sheet's section 11, one test per row; `shared` also runs on a real control plane, from the lab.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a panic is a failed test, and json! makes values"
)]
// Shared with the lab, where its items are public.
#![allow(unreachable_pub)]

mod budget;
mod claims;
mod clones;
mod deletion;
mod errors;
mod leadership;
mod migration;
mod protection;
mod provision;
mod restore;
mod setup;
#[path = "../shared/shared.rs"]
mod shared;
mod shared_lives;
mod simulation;
mod snapshots;
mod spare;
mod startup;
mod two_drivers;
