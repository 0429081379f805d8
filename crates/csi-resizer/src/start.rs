//! The steps from a command line to a resizer that works, as far as they are its own (sheet 3).

use std::collections::BTreeMap;

use csi_client::capabilities::{ControllerRpc, PluginService};
use csi_client::csi::NodeGetInfoRequest;
use csi_client::{CallOptions, Connection, status_text};
use csi_translation::is_migrated_driver;
use sidecar_core::context::Context;
use sidecar_core::controller::{self, Profile};
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;
use tonic::{Code, Status};
use tracing::{info, warn};

use crate::driver::{Driver, Expansion, controller_expansion, node_expansion};
use crate::flags::Flags;
use crate::policy::node::Here;

/// What is particular about the resizer's start.
pub(crate) fn profile() -> Profile {
    Profile {
        binary: Binary::Resizer,
        no_config: Exit::failure(1, "Failed to create cluster config"),
        no_client: Exit::failure(1, "Failed to create client"),
        no_connection: Exit::failure(1, "Failed to connect to CSI driver"),
        not_ready: Exit::failure(1, "Failed to probe the CSI driver"),
        no_name: Exit::failure(1, "Failed to get driver name"),
        name_timeout: None,
        is_migrated: is_migrated_driver,
    }
}

/// The driver, once it is ready, and what it can do.
pub(crate) async fn driver(flags: &Flags, context: &Context) -> Result<(Connection, Driver), Exit> {
    let link = controller::driver(&profile(), &flags.common, context).await?;
    let (connection, name) = (link.connection, link.name);
    let here = if flags.node_deployment { Some(here(flags, &connection, context).await?) } else { None };
    let driver = Driver { here, ..capabilities(flags, &connection, name).await? };
    if driver.expansion.is_none() && !driver.modifies {
        return Err(Exit::fatal(255, "CSI driver does not support resize nor modify"));
    }
    Ok((connection, driver))
}

async fn capabilities(flags: &Flags, connection: &Connection, name: String) -> Result<Driver, Exit> {
    let call = || CallOptions::timeout(flags.common.timeout);
    let plugin = connection.plugin_capabilities(call()).await.map_err(no_resizer)?;
    if !plugin.has(PluginService::ControllerService) {
        let text = "CSI driver does not support controller service";
        return Err(Exit::failure(1, "Failed to create CSI resizer").because(text));
    }
    let controller = connection.controller_capabilities(call()).await.map_err(no_resizer)?;
    let expansion = match controller_expansion(&controller) {
        Some(expansion) => Some(expansion),
        None => on_nodes(connection, call()).await?,
    };
    let modifies = controller.has(ControllerRpc::ModifyVolume);
    if expansion.is_none() {
        info!("Resize not supported");
    }
    if !modifies {
        info!("Modify not supported");
    }
    Ok(Driver { migrated: is_migrated_driver(&name), name, expansion, modifies, here: None })
}

/// The node that this is, in the driver's words.
async fn here(flags: &Flags, connection: &Connection, context: &Context) -> Result<Here, Exit> {
    // That it is there has been checked before anything else.
    let name = context.variables.get("NODE_NAME").unwrap_or_default().to_owned();
    let call = CallOptions::timeout(flags.common.timeout);
    let answer = connection.node_get_info(NodeGetInfoRequest {}, call).await.map_err(|status| {
        Exit::failure(1, "Failed to get the node's topology from the CSI driver")
            .because(status_text(&status))
    })?;
    let segments: BTreeMap<_, _> =
        answer.accessible_topology.map(|topology| topology.segments).into_iter().flatten().collect();
    if segments.is_empty() {
        warn!(node = name, "CSI driver knows no topology, only volumes that name this node are resized");
    } else {
        info!(node = name, ?segments, "Volumes that this node can reach are resized");
    }
    Ok(Here { name, segments })
}

/// Whether volumes grow on nodes. A driver without node service on this socket, as one that only modifies may be, has no
/// such volumes; upstream ends then.
async fn on_nodes(connection: &Connection, call: CallOptions) -> Result<Option<Expansion>, Exit> {
    match connection.node_capabilities(call).await {
        Ok(node) => Ok(node_expansion(&node)),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(no_resizer(status)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "takes errors as `map_err` hands them over")]
fn no_resizer(status: Status) -> Exit {
    Exit::failure(1, "Failed to create CSI resizer").because(status_text(&status))
}
