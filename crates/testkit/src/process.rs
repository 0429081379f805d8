//! A sidecar's real binary, between a real listener of an API server and a real socket of a driver: what it does with bad
//! input, with losses and with signals.
//!
//! A sidecar's tests have a [`Profile`], a world of their own around a [`Stand`] (a [`Subject`]: what there is to do, and
//! what may not get lost), and rows. Rows and phases that several sidecars share are in the modules here, as functions of the
//! words that differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests; only what they are about differs from sidecar to sidecar"
)]

use std::ops::Deref;

use crate::driver::Step;

pub mod command_line;
pub mod driver;
pub mod http;
mod program;
pub mod rights;
pub mod server;
pub mod signals;
mod stand;
mod table;

pub use program::{End, Launch, PATIENCE, Program, content, eventually, free_port, pause, printed};
pub use stand::{DRIVER, Profile, Stand};
pub use table::{Expected, Row, assert_names_are_unique, check};

/// A stand with a world of its own, in which a sidecar has something to do.
pub trait Subject: Deref<Target = Stand> + 'static {
    /// Kinds that the sidecar watches from its start.
    const WATCHED: &'static [&'static str];

    /// A world in which something has been done already, and everything works.
    fn new() -> Self;

    /// Gives the sidecar something to do, which is called so.
    fn want(&self, name: &str);

    /// What had been done is as it was.
    fn assert_kept(&self);

    /// Nothing was written, to the API server or in the driver.
    fn assert_untouched(&self);

    /// Wants something more; that, and everything else that was wanted, gets done, once and completely.
    fn assert_works(&self);

    /// Waits until the sidecar watches everything.
    fn watching(&self) {
        eventually("all watches run", || Self::WATCHED.iter().all(|kind| self.server.watchers(kind) == 1));
    }

    /// Breaks what [`watching`](Self::watching) waits for.
    fn break_watches(&self) {
        for kind in Self::WATCHED {
            self.server.break_watches(kind);
        }
    }
}

/// A subject whose sidecar does what is wanted by calling a driver.
pub trait Calling: Subject {
    /// Lets the next call that does what is wanted happen in this way.
    fn script(&self, step: Step);

    /// How often the driver was asked to do it since there could be a sidecar.
    fn calls(&self) -> usize;

    /// Waits for the first such call.
    fn call_in_flight(&self) {
        eventually("the driver is asked", || self.calls() > 0);
    }

    /// Wants something, in which the driver does this, and waits until it is asked.
    fn ask(&self, step: Step) {
        self.script(step);
        self.want("busy");
        self.call_in_flight();
    }
}
