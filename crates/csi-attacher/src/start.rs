//! The steps from a command line to an attacher that works, as far as they are its own (sheet 3).

use std::time::Duration;

use csi_client::csi::plugin_capability::service::Type as Service;
use csi_client::{CallOptions, Connection, ControllerCapabilities, status_text};
use sidecar_core::context::Context;
use sidecar_core::controller::{self, Profile};
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;
use tracing::info;

use crate::driver::{Capabilities, Driver};
use crate::flags::Flags;
use crate::policy::translation;

/// Deadline of the question for the driver's name, and of both questions for its capabilities together.
const QUESTIONS: Duration = Duration::from_secs(1);

/// What is particular about the attacher's start.
pub(crate) fn profile() -> Profile {
    Profile {
        binary: Binary::Attacher,
        no_config: Exit::failure(1, "Failed to build a Kubernetes config"),
        no_client: Exit::failure(1, "Failed to create a Clientset"),
        no_connection: Exit::failure(1, "Failed to connect to the CSI driver"),
        not_ready: Exit::failure(1, "Failed to probe the CSI driver"),
        no_name: Exit::failure(1, "Failed to get the CSI driver name"),
        name_timeout: Some(QUESTIONS),
        is_migrated: translation::is_migrated_driver,
    }
}

/// The driver, once it is ready, and what it can do.
pub(crate) async fn driver(flags: &Flags, context: &Context) -> Result<(Connection, Driver), Exit> {
    let link = controller::driver(&profile(), &flags.common, context).await?;
    let capabilities = capabilities(&link.connection).await.map_err(|status| {
        Exit::failure(1, "Failed to check if the CSI driver supports ControllerPublish")
            .because(status_text(&status))
    })?;
    Ok((link.connection, Driver::new(link.name, capabilities)))
}

async fn capabilities(connection: &Connection) -> Result<Capabilities, tonic::Status> {
    let both = CallOptions::timeout(QUESTIONS);
    let plugin = connection.plugin_capabilities(both).await?;
    if !plugin.has(Service::ControllerService) {
        info!(v = 2, "CSI driver does not support Plugin Controller Service, using trivial handler");
        return Ok(Capabilities::new(&plugin, &ControllerCapabilities::default()));
    }
    let capabilities = Capabilities::new(&plugin, &connection.controller_capabilities(both).await?);
    if capabilities.publish_unpublish {
        info!(v = 2, "CSI driver supports ControllerPublishUnpublish, using real CSI handler");
    } else {
        info!(v = 2, "CSI driver does not support ControllerPublishUnpublish, using trivial handler");
    }
    Ok(capabilities)
}
