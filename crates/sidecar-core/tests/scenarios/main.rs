//! The scenarios of the sheets, one module per table; a single binary, because each one costs a link.

mod all_in_one;
mod diagnostics;
mod dialects;
mod flag_matrix;
mod flag_syntax;
mod process;
