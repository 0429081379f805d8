//! The program `hostpathplugin`.

use std::process::ExitCode;

use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    sidecar_core::entry::main(Binary::Hostpath, hostpath_driver::run)
}
