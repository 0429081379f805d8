//! Reads the command line and runs the registrar.

use std::process::ExitCode;

use node_driver_registrar::{Flags, run};
use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::NodeDriverRegistrar, |parsed, context| run(Flags::new(parsed), context))
}
