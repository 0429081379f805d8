//! The testkit's own tests: what others build on must be right first.

mod api;
mod conformance;
mod driver;
mod kcm;
mod provisioner;
mod simulation;
mod sockets;
