//! The six custom resource definitions: what `deploy/crds` holds, and what the testkit's API server checks.
//!
//! Schemas, rules, printed columns, subresources and versions are upstream's (annex A of sheet `snapshot-controller`; digests of
//! its schemas are a test), so a cluster that has upstream's definitions needs no change. The descriptions are our own.
//!
//! A [`Schema`] is built in Rust from few pieces, and a validation rule is a [`Rule`] of few kinds: that is what lets the
//! in-process API server apply the same rules without an interpreter for CEL.

mod definition;
mod group;
mod rule;
mod schema;
mod shared;
mod snapshot;

pub use definition::{Definition, Version, definition};
pub use rule::Rule;
pub use schema::{Property, QUANTITY, Schema, Shape};

#[cfg(test)]
mod tests;
