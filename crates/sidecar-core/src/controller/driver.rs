//! The way to a driver that is ready and has a name.

use csi_client::{CallOptions, ConnectOptions, Connection, LossPolicy, RpcMetrics};
use tracing::info;

use super::{CommonFlags, Profile};
use crate::context::Context;
use crate::exit::Exit;

/// A driver that is ready.
#[derive(Clone, Debug)]
pub struct Link {
    /// The connection; its loss ends the process.
    pub connection: Connection,
    /// What the driver calls itself.
    pub name: String,
}

/// Dials the driver, waits until it is ready, and asks for its name, which must be the one that `--driver-name` and its
/// aliases say, if they say one.
pub async fn driver(profile: &Profile, flags: &CommonFlags, context: &Context) -> Result<Link, Exit> {
    let metrics = RpcMetrics::builder()
        .register(context.metrics.registry())
        .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
    let connection = dial(profile, flags, context, &metrics).await?;
    probe(profile, flags, &connection).await?;
    let name = connection
        .driver_name(CallOptions::timeout(profile.name_timeout.unwrap_or(flags.timeout)))
        .await
        .map_err(|error| profile.no_name.clone().because(error))?;
    info!(v = 2, driver = name, "CSI driver name");
    metrics.set_driver_name(&name);
    expect_name(flags, &name)?;
    if (profile.is_migrated)(&name) {
        metrics
            .set_migrated()
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        probe(profile, flags, &connection).await?;
    }
    Ok(Link { connection, name })
}

async fn dial(
    profile: &Profile,
    flags: &CommonFlags,
    context: &Context,
    metrics: &RpcMetrics,
) -> Result<Connection, Exit> {
    let options = ConnectOptions {
        on_loss: LossPolicy::Exit,
        max_log_length: flags.max_log_length,
        metrics: Some(metrics.clone()),
        ..ConnectOptions::default()
    };
    context.driver.connect(&flags.csi_address, options).await.map_err(|error| {
        let exit = profile.no_connection.clone().because(&error);
        exit.with("address", &flags.csi_address).with("advice", error.advice())
    })
}

async fn probe(profile: &Profile, flags: &CommonFlags, connection: &Connection) -> Result<(), Exit> {
    let ready = connection.probe_forever(flags.timeout).await;
    ready.map_err(|error| profile.not_ready.clone().because(error))
}

fn expect_name(flags: &CommonFlags, name: &str) -> Result<(), Exit> {
    if flags.driver_name.is_empty() || flags.driver_name == name {
        return Ok(());
    }
    Err(Exit::failure(1, "The driver behind the socket is not the expected one")
        .with("expected", &flags.driver_name)
        .with("found", name)
        .with("address", &flags.csi_address))
}
