//! What any CSI driver in Rust needs, so that a driver's author writes only the driver.
//!
//! - [`driver`]: the traits to fill in. Calls that a driver does not have answer UNIMPLEMENTED by themselves.
//! - [`service`] and [`server`]: everything between the socket and those traits: validation ([`validate`]), one call
//!   at a time per volume ([`exclusivity`]), log lines without secrets, durations ([`metrics`]), a clean stop.
//! - Linux without external programs: [`mounts`], [`loop_device`], [`filesystem`], [`space`],
//!   [`tree`], [`remove_tree`].
//! - [`durable`]: a small file that survives crashes and full disks, and the lock on the directory around it; [`journal`]:
//!   what has changed since, for drivers with much to remember.
//! - [`os_error`]: what the kernel refused, where, and which status code that is.

mod call_log;
pub mod driver;
pub mod durable;
pub mod endpoint;
pub mod exclusivity;
pub mod filesystem;
pub mod journal;
pub mod loop_device;
pub mod metrics;
pub mod mounts;
pub mod os_error;
pub mod remove_tree;
pub mod server;
pub mod service;
pub mod space;
pub mod tree;
pub mod validate;
