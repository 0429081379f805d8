//! Reads the command line and runs the probe.

use std::process::ExitCode;

use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::Livenessprobe, livenessprobe::run)
}
