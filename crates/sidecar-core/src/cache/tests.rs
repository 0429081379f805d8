//! Stores and watches, over realistic objects and against the in-process API server.

mod encodings;
mod fixtures;
mod projections;
mod snapshots;
mod stores;
mod watches;
