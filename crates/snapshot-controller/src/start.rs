//! The steps from a command line to a controller that works, as far as they are its own (sheet 3).

use sidecar_core::controller::Profile;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;

use crate::crds;
use crate::flags::Flags;

/// What is particular about the controller's start.
pub(crate) fn profile() -> Profile {
    Profile::without_driver(
        Binary::SnapshotController,
        Exit::failure(1, "Failed to build a Kubernetes config"),
        Exit::failure(1, "Failed to create a Kubernetes client"),
    )
}

/// Waits until the API server knows snapshots.
pub(crate) async fn definitions(flags: &Flags, client: &kube::Client) -> Result<(), Exit> {
    crds::wait_for(client, &crds::SNAPSHOTS, flags.definitions_wait).await.map_err(|problem| {
        Exit::failure(1, "Exiting due to failure to ensure CRDs exist during startup").because(problem)
    })
}
