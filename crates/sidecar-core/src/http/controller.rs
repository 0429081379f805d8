//! The diagnostics of a controller, from its flags.
//!
//! Four flags can name an address. `--metrics-address` and `--http-endpoint` are upstream's (and exclude each other, which
//! [`crate::entry::refuse_two_addresses`] checks); `--metrics-addr` and `--health-addr` come from documents and may be
//! combined with them (sheets `common-library`, 3.3, and `documented-dialects`).

use super::{Endpoint, ListenError};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{Binary, Parsed};
use crate::metrics::{ProcessMetrics, ProcessSeries};

/// What is being served.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// The endpoint of `--http-endpoint` or `--metrics-address`, for routes of the sidecar's own.
    pub main: Option<Endpoint>,
}

/// Opens the addresses that the flags name and serves on each what belongs there.
///
/// An address that cannot be listened on ends the process with the code of the binary's sheet.
pub async fn serve_controller(parsed: &Parsed, context: &Context) -> Result<Served, Exit> {
    let mut served = Served::default();
    let (deprecated, endpoint) = (parsed.string("metrics-address"), parsed.string("http-endpoint"));
    let main = if deprecated.is_empty() { endpoint } else { deprecated };
    if !main.is_empty() {
        let endpoint = listen(parsed, context, main).await?;
        serve_metrics(&endpoint, parsed, context)?;
        if parsed.bool("enable-pprof") {
            endpoint.serve_profiles();
        }
        if deprecated.is_empty() {
            endpoint.serve_leader_health(context.http.health());
            endpoint.serve_status(context.http.health(), parsed);
        }
        served.main = Some(endpoint);
    }
    serve_documented(parsed, context).await?;
    Ok(served)
}

/// Serves `--metrics-addr` and `--health-addr`, which every binary has.
pub async fn serve_documented(parsed: &Parsed, context: &Context) -> Result<(), Exit> {
    let (metrics, health) = (parsed.string("metrics-addr"), parsed.string("health-addr"));
    if !metrics.is_empty() {
        serve_metrics(&listen(parsed, context, metrics).await?, parsed, context)?;
    }
    if !health.is_empty() {
        let endpoint = listen(parsed, context, health).await?;
        endpoint.serve_health(context.http.health());
        endpoint.serve_leader_health(context.http.health());
        endpoint.serve_status(context.http.health(), parsed);
    }
    Ok(())
}

async fn listen(parsed: &Parsed, context: &Context, address: &str) -> Result<Endpoint, Exit> {
    let endpoint = context.http.listen(address).await.map_err(|error| refused(parsed, address, error))?;
    tracing::info!(address, metricsPath = metrics_path(parsed), "ServeMux listening");
    Ok(endpoint)
}

/// Serves on `endpoint` the metrics of the process, with the facts about it that upstream's binary exposes.
///
/// A path that Go's HTTP server would panic about ends the process with its code.
pub fn serve_metrics(endpoint: &Endpoint, parsed: &Parsed, context: &Context) -> Result<(), Exit> {
    if let Some(series) = ProcessSeries::of(parsed.binary) {
        context.metrics.add_process(series);
    }
    // Of the sidecars only the provisioner leaves the header out.
    let start = ProcessMetrics::new(ProcessSeries::StartTime).start_time();
    let start = start.filter(|_| parsed.binary != Binary::Provisioner);
    endpoint
        .serve_metrics(metrics_path(parsed), &context.metrics, start)
        .map_err(|error| Exit::usage(format!("panic: {error}")))
}

/// `--metrics-path`, also for binaries that have no such flag. An empty one that was given is a mistake to report.
fn metrics_path(parsed: &Parsed) -> &str {
    match parsed.string("metrics-path") {
        "" if parsed.value("metrics-path").is_none() => "/metrics",
        path => path,
    }
}

fn refused(parsed: &Parsed, address: &str, error: ListenError) -> Exit {
    let path = metrics_path(parsed);
    match parsed.binary {
        Binary::Provisioner | Binary::Snapshotter | Binary::SnapshotController => Exit::fatal(
            255,
            format!(
                "Failed to start HTTP server at specified address ({address:?}) and metrics path ({path:?})"
            ),
        )
        .because(error),
        _ => Exit::failure(1, "Failed to start HTTP server at specified address and metrics path")
            .because(error)
            .with("address", address)
            .with("path", path),
    }
}
