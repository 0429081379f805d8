//! Scenarios of the hostpath driver: the sheet's table, crashes at every step, full disks, damaged state, real
//! mounts and loop devices. They need root, as the driver does, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]
#![allow(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "so that requests read as the messages that they are"
)]

mod attach;
mod crash;
mod damage;
mod expand;
mod full_disk;
mod fuzz;
mod health;
mod process;
mod publish;
mod sheet;
mod signals;
mod snapshots;
mod support;
mod volumes;
