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
mod calls;
mod delete;
mod group;
mod leadership;
mod look;
mod outcomes;
mod pace;
mod setup;
#[path = "../shared/shared.rs"]
mod shared;
mod shared_contents;
mod simulation;
mod startup;
mod store_and_queue;
mod take;
mod unseen;
