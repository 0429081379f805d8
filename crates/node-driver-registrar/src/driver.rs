//! What the registrar asks the driver: its name, at the start and, with `--follow-driver`, whenever the driver is back.

use std::time::Duration;

use csi_client::rpc::DriverNameError;
use csi_client::{CallOptions, ConnectOptions, Connection};
use sidecar_core::context::Context;
use sidecar_core::exit::Exit;
use tokio::time::{Instant, sleep};

use crate::flags::Flags;
use crate::policy;

/// The driver, and how to reach it.
pub(crate) struct Driver {
    pub(crate) connection: Connection,
    pub(crate) name: String,
}

/// Connects to the driver and asks for its name, as upstream does: 30 s for the connection, `--timeout` for the call. With
/// `--driver-name-timeout` a driver that is not ready to tell is asked again (sheet 13.5).
pub(crate) async fn find(flags: &Flags, context: &Context) -> Result<Driver, Exit> {
    csi_client::verbose!(1, csiAddress = flags.csi_address, "Attempting to open a gRPC connection");
    let connection = context
        .driver
        .connect(&flags.csi_address, ConnectOptions::default())
        .await
        .map_err(|error| Exit::failure(1, "Error connecting to CSI driver").because(error))?;
    csi_client::verbose!(1, "Calling CSI driver to discover driver name");
    let name = name(&connection, flags, flags.driver_name_timeout).await?;
    match &flags.expected_driver {
        Some(expected) if *expected != name => {
            Err(Exit::failure(1, "The CSI driver has another name than the flag says")
                .because(format!("expected {expected:?}, but {name:?} answers at {}", flags.csi_address)))
        }
        _ => Ok(Driver { connection, name }),
    }
}

/// Asks for the name; for as long as `patience` a driver that does not tell it is asked again.
pub(crate) async fn name(connection: &Connection, flags: &Flags, patience: Duration) -> Result<String, Exit> {
    let start = Instant::now();
    let mut pauses = policy::pauses();
    loop {
        let error = match connection.driver_name(CallOptions::timeout(flags.timeout)).await {
            Ok(name) => return Ok(name),
            Err(error) => error,
        };
        let pause = pauses.next().filter(|pause| start.elapsed() + *pause < patience);
        let Some(pause) = pause.filter(|_| may_tell_later(&error)) else {
            // The misspelling is upstream's, and people search for it.
            return Err(Exit::failure(1, "Error retreiving CSI driver name").because(error));
        };
        tracing::info!(err = %error, "CSI driver does not tell its name yet, asking again");
        sleep(pause).await;
    }
}

/// A driver that does not know the question will not know it later.
fn may_tell_later(error: &DriverNameError) -> bool {
    !matches!(error, DriverNameError::Rpc(error) if error.0.code() == tonic::Code::Unimplemented)
}
