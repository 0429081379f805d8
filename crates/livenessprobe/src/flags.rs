//! The probe's view of its command line (sheet livenessprobe, section 2).

use std::time::Duration;

use sidecar_core::flags::Parsed;

/// What the operator asked for.
#[derive(Debug, Clone)]
pub struct Flags {
    /// The command line as it was read, for what all sidecars have in common.
    pub parsed: Parsed,
    /// `--csi-address`: the driver's socket.
    pub csi_address: String,
    /// `--probe-timeout`: how long one probe may take, connection and call together. Zero fails every probe.
    pub probe_timeout: Duration,
    /// `--health-port`: deprecated; a port by number or name.
    pub health_port: String,
    /// `--http-endpoint`: where `/healthz` and the metrics are served; empty for the health port without metrics.
    pub http_endpoint: String,
    /// `--metrics-address`: deprecated; where metrics alone are served.
    pub metrics_address: String,
    /// `--metrics-addr`: the same from the documents, beside any other address.
    pub metrics_addr: String,
    /// `--metrics-path`.
    pub metrics_path: String,
}

impl Flags {
    /// Reads the values of a parsed command line.
    pub fn new(parsed: Parsed) -> Self {
        let text = |name| parsed.string(name).to_owned();
        Self {
            csi_address: text("csi-address"),
            probe_timeout: parsed.duration("probe-timeout"),
            health_port: text("health-port"),
            http_endpoint: text("http-endpoint"),
            metrics_address: text("metrics-address"),
            metrics_addr: text("metrics-addr"),
            metrics_path: text("metrics-path"),
            parsed,
        }
    }
}
