//! The testkit's own tests: what others build on must be right first.

mod conformance;
