//! The steps from a command line to a provisioner that works, as far as they are its own (sheet 3.1).

use csi_client::{CallOptions, Connection, status_text};
use sidecar_core::context::Context;
use sidecar_core::controller::{self, Profile};
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;
use tracing::warn;

use crate::flags::Flags;
use crate::policy::driver::{Capabilities, Driver};
use crate::policy::migration::in_tree_plugin;
use crate::policy::names::Provisioner;
use crate::policy::prepare::Settings;

/// What is particular about the provisioner's start.
pub(crate) fn profile() -> Profile {
    Profile {
        binary: Binary::Provisioner,
        no_config: Exit::fatal(255, "Failed to create config"),
        no_client: Exit::fatal(255, "Failed to create client"),
        no_connection: Exit::failure(1, "Failed to connect to the CSI driver"),
        not_ready: Exit::failure(1, "Failed to probe the CSI driver"),
        no_name: Exit::fatal(255, "Error getting CSI driver name"),
        name_timeout: None,
        is_migrated: |driver| in_tree_plugin(driver).is_some(),
    }
}

/// The driver, once it is ready, and what it can do.
pub(crate) async fn driver(flags: &Flags, context: &Context) -> Result<(Connection, Driver), Exit> {
    let link = controller::driver(&profile(), &flags.common, context).await?;
    let call = || CallOptions::timeout(flags.common.timeout);
    let failed = |status: tonic::Status| {
        Exit::fatal(255, "Error getting CSI driver capabilities").because(status_text(&status))
    };
    let plugin = link.connection.plugin_capabilities(call()).await.map_err(failed)?;
    let controller = link.connection.controller_capabilities(call()).await.map_err(failed)?;
    let driver =
        Driver { names: Provisioner::new(link.name), capabilities: Capabilities::new(&plugin, &controller) };
    Ok((link.connection, driver))
}

/// What the command line and this process say about volumes.
pub(crate) fn settings(
    flags: &Flags,
    context: &Context,
    driver: &Driver,
    attributes_class: bool,
) -> Settings {
    let gates = &flags.common.gates;
    let settings = Settings {
        naming: flags.naming.clone(),
        default_fs_type: flags.default_fs_type.clone(),
        extra_create_metadata: flags.extra_create_metadata,
        controller_publish_readonly: flags.controller_publish_readonly,
        topology: gates.enabled("Topology"),
        attributes_class,
        cross_namespace: gates.enabled("CrossNamespaceVolumeDataSource"),
        keep_volume_mode: flags.keep_volume_mode,
        identity: format!(
            "{}-{}-{}",
            context.clock.now().as_millisecond(),
            context.random.below(10_000),
            driver.names.name()
        ),
    };
    if crate::policy::prepare::uses_topology(&settings, driver) {
        warn!(
            driver = driver.names.name(),
            "Driver restricts where its volumes can be used, which is not supported yet: claims will be refused. \
             Use --feature-gates=Topology=false if its volumes can be reached from every node"
        );
    }
    settings
}
