//! The csi-snapshotter binary.

use std::process::ExitCode;

use csi_snapshotter::{Flags, run};
use sidecar_core::entry;
use sidecar_core::flags::Binary;

fn main() -> ExitCode {
    entry::main(Binary::Snapshotter, |parsed, context| async move {
        let gates = entry::prologue(&parsed, &context)?;
        run(Flags::read(&parsed, gates, &context.variables)?, context).await
    })
}
