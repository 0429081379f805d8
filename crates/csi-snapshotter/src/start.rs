//! The steps from a command line to a snapshotter that works, as far as they are its own (sheet 3).

use csi_client::{CallOptions, Connection, GroupControllerCapabilities, status_text};
use sidecar_core::context::Context;
use sidecar_core::controller::{self, Profile};
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;
use tracing::{error, warn};

use crate::driver::{Capabilities, Driver};
use crate::flags::Flags;

/// What is particular about the snapshotter's start.
pub(crate) fn profile() -> Profile {
    Profile {
        binary: Binary::Snapshotter,
        no_config: Exit::failure(1, "Failed to build a Kubernetes config"),
        no_client: Exit::failure(1, "Failed to create a client"),
        no_connection: Exit::failure(1, "Failed to connect to CSI driver"),
        not_ready: Exit::failure(1, "Failed to probe the CSI driver"),
        no_name: Exit::failure(1, "Failed to get CSI driver name"),
        name_timeout: None,
        // In-tree plugins never had snapshots.
        is_migrated: |_| false,
    }
}

/// The driver, once it is ready, and what it can do.
pub(crate) async fn driver(flags: &Flags, context: &Context) -> Result<(Connection, Driver), Exit> {
    let link = controller::driver(&profile(), &flags.common, context).await?;
    let capabilities = capabilities(flags, &link.connection).await?;
    if flags.naming.prefix.is_empty() {
        return Err(Exit::failure(1, "Snapshot name prefix cannot be of length 0"));
    }
    if flags.groups && flags.group_naming.prefix.is_empty() {
        return Err(Exit::failure(1, "Group snapshot name prefix cannot be of length 0"));
    }
    Ok((link.connection, Driver { name: link.name, capabilities }))
}

/// Asked once: another answer takes another driver process, whose arrival ends this one (13.5).
async fn capabilities(flags: &Flags, connection: &Connection) -> Result<Capabilities, Exit> {
    let call = || CallOptions::timeout(flags.common.timeout);
    let unsupported =
        || Exit::failure(1, "Failed to determine if the CSI driver supports CREATE_DELETE_SNAPSHOT");
    let controller = connection
        .controller_capabilities(call())
        .await
        .map_err(|status| unsupported().because(status_text(&status)))?;
    let groups =
        if flags.groups { groups(connection, call()).await } else { GroupControllerCapabilities::default() };
    let capabilities = Capabilities::new(&controller, &groups);
    if !capabilities.takes_snapshots {
        return Err(Exit::failure(1, "CSI driver does not support CREATE_DELETE_SNAPSHOT"));
    }
    if flags.groups && !capabilities.groups {
        warn!("CSI driver does not support group snapshots");
    }
    Ok(capabilities)
}

/// A driver that takes no groups is given them all the same, as upstream does; it will say so itself.
async fn groups(connection: &Connection, call: CallOptions) -> GroupControllerCapabilities {
    connection.group_controller_capabilities(call).await.unwrap_or_else(|status| {
        error!(err = status_text(&status), "Failed to determine if the CSI driver supports group snapshots");
        GroupControllerCapabilities::default()
    })
}
