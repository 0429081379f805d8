//! Scenarios of the sheets `common-library` and `csi-proto` (sections 11 and 12) that belong to the CSI client, one
//! file per table. Tests are named after the rows.

// The helpers of tests fail the test, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access_modes;
mod calls;
mod connect;
mod generated;
mod loss;
mod metrics;
mod proto_rows;
mod protocol;
mod sanitiser;
mod support;
