//! The steps from a command line to a provisioner that works: API server, diagnostics, driver (sheet 3.1).

use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, RpcMetrics, status_text};
use sidecar_core::api::{Connector, Purpose, message};
use sidecar_core::context::Context;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Binary;
use tracing::{info, warn};

use crate::driver::{Capabilities, Driver};
use crate::flags::Flags;
use crate::policy::names::Provisioner;
use crate::policy::prepare::Settings;

/// Gate whose API may be missing.
const ATTRIBUTES_CLASS: &str = "VolumeAttributesClass";

/// The API server, as a client for the controllers' own work.
pub(crate) async fn api(flags: &Flags, context: &Context) -> Result<(Connector, kube::Client), Exit> {
    let connector = context
        .api
        .connector(&flags.api, &context.variables, Binary::Provisioner.name())
        .await
        .map_err(|error| Exit::fatal(255, "Failed to create config").because(error))?;
    let client = connector
        .client(flags.budget, Purpose::Work)
        .map_err(|error| Exit::fatal(255, "Failed to create client").because(error))?;
    Ok((connector, client))
}

/// Whether VolumeAttributesClasses count: as the gate says, or, if nobody set it, if the API server has them.
///
/// Errors other than a missing API leave the gate as it is; the question is asked once (sheet 3.1 step 11).
pub(crate) async fn has_attributes_classes(flags: &Flags, client: &kube::Client) -> bool {
    let enabled = flags.gates.enabled(ATTRIBUTES_CLASS);
    if flags.gates.is_set(ATTRIBUTES_CLASS) || !enabled {
        return enabled;
    }
    match client.list_api_group_resources("storage.k8s.io/v1").await {
        Ok(list) => {
            let found = list.resources.iter().any(|resource| resource.kind == ATTRIBUTES_CLASS);
            if !found {
                info!("The API server has no VolumeAttributesClass, its feature gate is off");
            }
            found
        }
        Err(kube::Error::Api(status)) if status.code == 404 => false,
        Err(error) => {
            warn!(
                err = message(&error),
                "Cannot ask the API server for VolumeAttributesClass, its gate stays on"
            );
            true
        }
    }
}

/// The driver, once it is ready.
pub(crate) async fn driver(flags: &Flags, context: &Context) -> Result<(Connection, Driver), Exit> {
    let metrics = RpcMetrics::builder()
        .register(context.metrics.registry())
        .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
    let options = ConnectOptions {
        on_loss: LossPolicy::Exit,
        metrics: Some(metrics.clone()),
        ..ConnectOptions::default()
    };
    let connection = context.driver.connect(&flags.csi_address, options).await.map_err(|error| {
        Exit::failure(1, "Failed to connect to the CSI driver")
            .because(&error)
            .with("address", &flags.csi_address)
            .with("advice", error.advice())
    })?;
    connection
        .probe_forever(flags.timeout)
        .await
        .map_err(|error| Exit::failure(1, "Failed to probe the CSI driver").because(error))?;

    let call = || CallOptions::timeout(flags.timeout);
    let name = connection
        .driver_name(call())
        .await
        .map_err(|error| Exit::fatal(255, "Error getting CSI driver name").because(error))?;
    info!(v = 2, name, "Detected CSI driver");
    metrics.set_driver_name(&name);
    expect_name(flags, &name)?;
    let failed = |status: tonic::Status| {
        Exit::fatal(255, "Error getting CSI driver capabilities").because(status_text(&status))
    };
    let plugin = connection.plugin_capabilities(call()).await.map_err(failed)?;
    let controller = connection.controller_capabilities(call()).await.map_err(failed)?;
    let driver =
        Driver { names: Provisioner::new(name), capabilities: Capabilities::new(&plugin, &controller) };
    Ok((connection, driver))
}

/// `--provisioner` and its aliases say which driver it must be.
fn expect_name(flags: &Flags, name: &str) -> Result<(), Exit> {
    if flags.driver_name.is_empty() || flags.driver_name == name {
        return Ok(());
    }
    Err(Exit::failure(1, "The driver behind the socket is not the expected one")
        .with("expected", &flags.driver_name)
        .with("found", name)
        .with("address", &flags.csi_address))
}

/// What the command line and this process say about volumes.
pub(crate) fn settings(
    flags: &Flags,
    context: &Context,
    driver: &Driver,
    attributes_class: bool,
) -> Settings {
    let settings = Settings {
        naming: flags.naming.clone(),
        default_fs_type: flags.default_fs_type.clone(),
        extra_create_metadata: flags.extra_create_metadata,
        controller_publish_readonly: flags.controller_publish_readonly,
        topology: flags.gates.enabled("Topology"),
        attributes_class,
        cross_namespace: flags.gates.enabled("CrossNamespaceVolumeDataSource"),
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
