//! The hostpath CSI driver: volumes as directories and loop-device images of one node.
//!
//! The reference driver of this project, for demonstrations and tests, on top of `csi-driver-kit`. The way of a call:
//! the kit validates it and keeps others off the volume; a service file ([`controller`], [`node`] ...) hands it to
//! a method of [`hostpath::Hostpath`]; that asks [`policy`] what to do, works on [`data`] and records it in the
//! [`store`]. [`reconcile`] clears up after an earlier process at start.
//!
//! What the parameters of classes mean:
//!
//! | Parameter | Of | Meaning |
//! |---|---|---|
//! | `kind` | StorageClass, inline volume | capacity pool, with `--capacity` |
//! | `filesystem` | StorageClass | not in upstream: `xfs` or `ext4` makes a mounted volume an image with a filesystem of its own size, which grows under the pod when the claim does; without it the volume is a directory of the node's filesystem, as upstream's. The kernel lets ext4 grow only where the container has CAP_SYS_RESOURCE; a privileged one usually has |
//! | `ignoreFailedRead` | VolumeSnapshotClass, VolumeGroupSnapshotClass | leave files out that cannot be read |
//!
//! A state directory is understood by upstream's driver as well, except for volumes with a filesystem of their own, once this one was
//! stopped: while it runs, and when it was killed, the latest changes are in a journal that upstream does not know ([`store`]).

pub mod config;
mod controller;
mod data;
pub mod error;
pub mod flags;
mod group;
mod health;
pub mod hostpath;
mod identity;
mod node;
mod plugin;
pub mod policy;
mod proxy;
mod reconcile;
mod snapshot;
pub mod state;
pub mod steps;
mod still;
pub mod store;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use csi_driver_kit::endpoint::Endpoint;
use csi_driver_kit::metrics;
use csi_driver_kit::server::{Listener, ServeError};
use sidecar_core::context::Context;
use sidecar_core::entry::prologue;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::http::serve_documented;
use sidecar_core::shutdown::{Reason, Shutdown};
use tokio::signal::unix::{SignalKind, signal};

use crate::hostpath::Hostpath;
use crate::steps::Steps;

pub use plugin::Plugin;

/// What the stop needs besides running calls; taken from the grace period so that a full one still ends in order.
const MARGIN: Duration = Duration::from_secs(1);

/// The whole life of the driver: settings, state directory, socket, calls, end.
pub async fn run(parsed: Parsed, context: Context) -> Result<(), Exit> {
    prologue(&parsed, &context)?;
    let proxied = parsed.string("proxy-endpoint");
    if !proxied.is_empty() {
        return forward(parsed.string("endpoint"), proxied, &context).await;
    }
    if parsed.bool("ephemeral") {
        eprintln!("The --ephemeral flag is deprecated: it is only for Kubernetes 1.15 and older.");
    }
    let (config, endpoint) = flags::read(&parsed).map_err(not_initialized)?;
    tracing::info!(name = config.driver_name, version = config.version, "Driver");
    let metrics = metrics::register(context.metrics.registry(), &config.driver_name)
        .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
    let driver = Hostpath::open(config, context.random.clone(), Steps::default()).map_err(not_initialized)?;
    let driver = Arc::new(driver);
    stop_on_other_signals(&context.shutdown)?;
    let service = Plugin::measured(driver.clone(), Some(metrics));
    serve_documented(&parsed, &context).await?;
    let listener = Listener::bind(&endpoint).await.map_err(not_listening)?;
    tracing::info!(address = %endpoint, "Listening for connections");
    let grace = context.shutdown.grace().saturating_sub(MARGIN);
    let finished =
        listener.serve(service, context.shutdown.requested(), grace).await.map_err(not_listening)?;
    if !finished {
        tracing::warn!("Calls were still running at the end of the grace period; the next start clears up");
        // But that may be long in coming, and writers cannot wait for it.
        driver.let_go();
    }
    if let Err(error) = driver.close() {
        tracing::warn!(%error, "The journal was not folded into the state file; the next start does it");
    }
    Ok(())
}

/// Proxy mode: no driver at all.
async fn forward(endpoint: &str, proxied: &str, context: &Context) -> Result<(), Exit> {
    let parse = |text: &str| text.parse::<Endpoint>().map_err(|error| not_initialized(error.to_string()));
    let (endpoint, proxied) = (parse(endpoint)?, parse(proxied)?);
    stop_on_other_signals(&context.shutdown)?;
    tracing::info!(endpoint = %endpoint, proxied = %proxied, "Forwarding connections");
    proxy::run(&endpoint, &proxied, context.shutdown.requested()).await.map_err(not_listening)
}

/// Upstream's words, on stdout as there.
fn not_initialized(error: impl std::fmt::Display) -> Exit {
    let text = format!("Failed to initialize driver: {error}");
    let _closed_stdout = writeln!(std::io::stdout(), "{text}");
    Exit::failure(1, text.clone()).silent().terminating_with(text)
}

fn not_listening(error: ServeError) -> Exit {
    Exit::fatal(255, "Failed to listen").because(error)
}

/// SIGHUP and SIGQUIT stop this driver as well, unlike the sidecars.
fn stop_on_other_signals(shutdown: &Shutdown) -> Result<(), Exit> {
    let listen =
        |kind| signal(kind).map_err(|error| Exit::failure(1, "Failed to listen for signals").because(error));
    let (mut hangup, mut quit) = (listen(SignalKind::hangup())?, listen(SignalKind::quit())?);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
        shutdown.request(Reason::Terminate);
    });
    Ok(())
}
