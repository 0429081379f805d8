//! Reads the command line and runs the registrar.

use std::process::ExitCode;

use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::NodeDriverRegistrar, node_driver_registrar::run)
}
