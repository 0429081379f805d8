//! Everything a CSI sidecar needs that is not about one controller.
//!
//! A sidecar's `main.rs` calls [`entry::main`], which reads the command line ([`flags`]), sets up [`logging`], starts a
//! small runtime and hands a [`context::Context`] to the sidecar's `run`. The context is the only door to the outside
//! world: time, randomness, environment, the API server, the driver, metrics and HTTP all come from it, so that a test
//! or the deterministic simulation can put anything it likes in their place.

// Base: what every process needs.
pub mod clock;
pub mod context;
pub mod duration;
pub mod entry;
pub mod exit;
pub mod flags;
pub mod gates;
pub mod go_text;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod quantity;
pub mod random;
pub mod shutdown;

// Kubernetes data: the API client, projections, caches, queues.
pub mod api;
pub mod cache;
pub mod objects;
pub mod queue;
pub mod reconciler;
pub mod secret_reference;
pub mod slow_set;

// Leadership, events, and what all controller sidecars have in common.
pub mod controller;
pub mod election;
pub mod events;
