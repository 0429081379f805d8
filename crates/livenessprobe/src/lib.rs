//! livenessprobe: lets kubelet restart a CSI driver that hangs.
//!
//! Kubelet asks `/healthz` of this process, which runs beside the driver; each question becomes one `Probe` of the driver
//! over a new connection (sheet livenessprobe). The `livenessProbe` of the *driver's* container names our port.
//!
//! [`run`] is the whole story; [`policy`] holds the decisions, [`driver`] the questions to the driver, [`health`] the
//! answers to kubelet. No Kubernetes API is used.

mod driver;
mod flags;
mod health;
mod metrics;
mod policy;

use csi_client::RpcMetrics;
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::http::{Endpoint, serve_documented, serve_metrics};

use self::driver::Driver;
pub use self::flags::Flags;
use self::health::Health;
use self::metrics::ProbeMetrics;

/// Answers kubelet until the process is asked to stop.
pub async fn run(flags: Flags, context: Context) -> Result<(), Exit> {
    entry::prologue(&flags.parsed, &context)?;
    if let Some(contradiction) = policy::contradiction(&flags) {
        return Err(Exit::failure(1, contradiction));
    }
    entry::refuse_two_addresses(&flags.parsed)?;

    let (calls, probes) = register_metrics(&context)?;
    let driver = Driver::new(&flags, &context, calls.clone());
    let health = Health::new(driver.clone(), probes);
    let connected = context.http.health().require("driver");
    // Before the driver is there: an answer tells kubelet more than a refused connection (sheet 13.3).
    serve(&flags, &context, &health).await?;

    let Some(name) = until_stopped(&context, driver.name()).await.transpose()? else {
        return Ok(());
    };
    tracing::info!(driver = name, "CSI driver name");
    calls.set_driver_name(&name);
    health.connected(name);
    connected.set_ready();

    context.shutdown.requested().await;
    health.drain().await;
    Ok(())
}

fn register_metrics(context: &Context) -> Result<(RpcMetrics, ProbeMetrics), Exit> {
    let registry = context.metrics.registry();
    let failed =
        |error: &dyn std::fmt::Display| Exit::failure(1, "Failed to register metrics").because(error);
    let calls = RpcMetrics::new(registry).map_err(|error| failed(&error))?;
    let probes = ProbeMetrics::register(registry).map_err(|error| failed(&error))?;
    Ok((calls, probes))
}

/// Opens the addresses and serves on each what belongs there (sheet section 3, steps 8 to 10).
async fn serve(flags: &Flags, context: &Context, health: &Health) -> Result<(), Exit> {
    if policy::metrics_hide_health(flags) {
        let path = policy::HEALTH_PATH;
        return Err(Exit::usage(format!("panic: pattern {path:?} conflicts with pattern {path:?}")));
    }
    let main = listen(context, &policy::listen_address(flags)).await?;
    if !flags.metrics_address.is_empty() {
        serve_metrics(&listen_for_metrics(context, flags).await?, &flags.parsed, context)?;
    } else if !flags.http_endpoint.is_empty() {
        serve_metrics(&main, &flags.parsed, context)?;
    }
    serve_documented(&flags.parsed, context).await?;
    let health = health.clone();
    // Last, since a documented health address on the same port must not answer for the driver.
    main.routes()
        .add(policy::HEALTH_PATH, move |_| health.answer())
        .map_err(|error| Exit::usage(error.to_string()))
}

/// Upstream ends with code 0 here, which hides the error behind a completed container (sheet 13.4).
async fn listen(context: &Context, address: &str) -> Result<Endpoint, Exit> {
    let endpoint = context
        .http
        .listen(address)
        .await
        .map_err(|error| Exit::failure(1, "Failed to start http server").because(error))?;
    tracing::info!(address, "ServeMux listening");
    Ok(endpoint)
}

async fn listen_for_metrics(context: &Context, flags: &Flags) -> Result<Endpoint, Exit> {
    let address = &flags.metrics_address;
    let endpoint = context.http.listen(address).await.map_err(|error| {
        Exit::failure(1, "Failed to start prometheus metrics endpoint on specified address and path")
            .because(error)
            .with("addr", address)
            .with("path", &flags.metrics_path)
    })?;
    tracing::info!(address, "Separate metrics ServeMux listening");
    Ok(endpoint)
}

/// Waits for `work`, or for the request to stop, which leaves nothing to clean up yet.
async fn until_stopped<T>(context: &Context, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = context.shutdown.requested() => None,
        done = work => Some(done),
    }
}
