//! node-driver-registrar: tells kubelet that a CSI driver lives on this node.
//!
//! It asks the driver for its name and serves kubelet's registration API on a socket in kubelet's plugin directory.
//! From then on kubelet talks to the driver itself; this process only has to keep the socket reachable, because its
//! disappearance is what unregisters the driver (sheet node-driver-registrar).
//!
//! [`run`] is the whole story; [`policy`] holds the decisions, [`socket`] and [`listener`] the socket on disk,
//! [`csi_client::authority`] what makes kubelet's calls acceptable to a Rust server, [`server`] the answers, [`health`] `/healthz`, [`follow`] what
//! happens when the driver restarts.

mod driver;
mod flags;
mod follow;
mod health;
mod listener;
mod metrics;
mod policy;
mod server;
mod socket;

use std::time::Duration;

use csi_client::registration::registration_server::RegistrationServer;
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use self::driver::Driver;
pub use self::flags::Flags;
use self::follow::follow;
use self::health::HealthCheck;
use self::listener::Listener;
use self::metrics::RegistrationMetrics;
use self::policy::Start;
use self::server::{Registered, RegistrationService};
use self::socket::Identity;

/// How long the last answer to kubelet may take to leave before the process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Registers the driver and keeps it registered until the process is asked to stop.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    let address = match policy::start(&flags) {
        Start::Refuse(reason) => return Err(Exit::failure(1, reason)),
        Start::Probe => return Ok(()),
        Start::Version => None,
        Start::Register(address) => address,
    };
    entry::prologue(&flags.parsed, &context)?;
    tracing::info!(mode = flags.mode, "Running node-driver-registrar");
    refuse_two_addresses(&flags)?;
    if flags.connection_timeout_given {
        tracing::info!("--connection-timeout is deprecated and will have no effect");
    }

    let Some(driver) = until_stopped(&context, driver::find(&flags, &context)).await.transpose()? else {
        return Ok(());
    };
    csi_client::verbose!(2, csiDriverName = driver.name, "CSI driver name");
    register(&flags, address.as_deref(), &context, driver).await
}

/// Serves the registration API until kubelet refuses the driver or the process is asked to stop.
async fn register(
    flags: &Flags,
    address: Option<&str>,
    context: &Context,
    driver: Driver,
) -> Result<(), Exit> {
    let name = driver.name.clone();
    // Else the connection has served its purpose.
    let followed = flags.follow_driver.then_some(driver);
    let path = match &flags.registration_path {
        Some(path) => path.into(),
        None => socket::path(&flags.plugin_registration_path, &name),
    };
    let (verdict, mut verdicts) = watch::channel(Registered::Unknown);
    let metrics = RegistrationMetrics::register(context.metrics.registry())
        .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
    let check = HealthCheck::new(path.clone(), name.clone(), flags.timeout);
    // Before the socket: a port that is taken must not leave a socket behind (sheet 13.8).
    health::serve(address, &flags.parsed, context, check).await?;

    tracing::info!(socketPath = %path.display(), "Starting Registration Server");
    let listener = Listener::bind(&path)
        .map_err(|error| Exit::failure(1, "Failed to listen on socket").because(error))?;
    tracing::info!(socketPath = %path.display(), "Registration Server started");
    let (identity, renewal) = (listener.identity(), listener.renewal());

    let stop = CancellationToken::new();
    let service = RegistrationService::new(
        name,
        flags.kubelet_registration_path.clone(),
        verdict,
        metrics,
        context.clock.clone(),
    );
    let server =
        Server::builder().add_service(RegistrationServer::new(service)).serve_with_incoming_shutdown(
            ReceiverStream::new(listener.serve(stop.clone())),
            stop.clone().cancelled_owned(),
        );
    let mut server = tokio::spawn(server);
    let outcome = tokio::select! {
        biased;
        () = context.shutdown.requested() => Ok(()),
        error = refused(&mut verdicts) => Err(registration_failed(&error)),
        exit = follow(flags, followed, renewal) => Err(exit),
        ended = &mut server => Err(server_ended(ended)),
    };
    // Kubelet unregisters the driver when the socket goes, and registers it anew when the next instance makes one.
    let removed = remove(&path, &identity);
    stop.cancel();
    let _the_answer_left_or_kubelet_hung_up = tokio::time::timeout(FAREWELL, server).await;
    outcome.and(removed)
}

/// Waits for `work`, or for the request to stop, which leaves nothing to clean up yet.
async fn until_stopped<T>(context: &Context, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = context.shutdown.requested() => None,
        done = work => Some(done),
    }
}

fn refuse_two_addresses(flags: &Flags) -> Result<(), Exit> {
    if policy::addresses_conflict(flags) {
        return Err(Exit::failure(1, "Only one of `--health-port` and `--http-endpoint` can be set"));
    }
    Ok(())
}

/// Completes with kubelet's reason once it has refused the driver.
async fn refused(verdicts: &mut watch::Receiver<Registered>) -> String {
    loop {
        if let Registered::Refused(error) = &*verdicts.borrow_and_update() {
            return error.clone();
        }
        if verdicts.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

fn registration_failed(error: &str) -> Exit {
    Exit::failure(1, "Registration process failed with error, restarting registration container")
        .because(error)
        .terminating_with(format!("kubelet refused to register the CSI driver: {error}"))
}

fn server_ended(ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>) -> Exit {
    let exit = Exit::failure(1, "Registration Server stopped serving");
    match ended {
        Ok(Ok(())) => exit,
        Ok(Err(error)) => exit.because(error),
        Err(error) => exit.because(error),
    }
}

fn remove(path: &std::path::Path, identity: &watch::Receiver<Identity>) -> Result<(), Exit> {
    socket::remove_own(path, *identity.borrow()).map_err(|error| {
        Exit::failure(1, "Failed to remove socket with error").because(error).with("socket", path.display())
    })
}
