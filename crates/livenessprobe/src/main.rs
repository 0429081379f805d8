//! Reads the command line and runs the probe.

use std::process::ExitCode;

use livenessprobe::{Flags, run};
use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::Livenessprobe, |parsed, context| run(Flags::new(parsed), context))
}
