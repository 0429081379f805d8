//! The snapshot-controller binary.

use std::process::ExitCode;

use sidecar_core::entry;
use sidecar_core::flags::Binary;
use snapshot_controller::{Flags, run};

fn main() -> ExitCode {
    entry::main(Binary::SnapshotController, |parsed, context| async move {
        let gates = entry::prologue(&parsed, &context)?;
        run(Flags::read(&parsed, gates)?, context).await
    })
}
