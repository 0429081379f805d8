//! What the registrar asks the driver: its name, once.

use csi_client::{CallOptions, ConnectOptions};
use sidecar_core::context::Context;
use sidecar_core::exit::Exit;

use crate::flags::Flags;

/// Connects to the driver and asks for its name, as upstream does: 30 s for the connection, `--timeout` for the call.
pub(crate) async fn name(flags: &Flags, context: &Context) -> Result<String, Exit> {
    csi_client::verbose!(1, csiAddress = flags.csi_address, "Attempting to open a gRPC connection");
    let connection = context
        .driver
        .connect(&flags.csi_address, ConnectOptions::default())
        .await
        .map_err(|error| Exit::failure(1, "Error connecting to CSI driver").because(error))?;
    csi_client::verbose!(1, "Calling CSI driver to discover driver name");
    let name = connection
        .driver_name(CallOptions::timeout(flags.timeout))
        .await
        // The misspelling is upstream's, and people search for it.
        .map_err(|error| Exit::failure(1, "Error retreiving CSI driver name").because(error))?;
    match &flags.expected_driver {
        Some(expected) if *expected != name => {
            Err(Exit::failure(1, "The CSI driver has another name than the flag says")
                .because(format!("expected {expected:?}, but {name:?} answers at {}", flags.csi_address)))
        }
        _ => Ok(name),
    }
}
