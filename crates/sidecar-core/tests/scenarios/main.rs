//! The scenarios of the sheets, one module per table; a single binary, because each one costs a link.

// Helpers of tests may fail loudly; the lints except only the test functions themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod all_in_one;
mod diagnostics;
mod dialects;
mod flag_matrix;
mod flag_syntax;
mod process;
