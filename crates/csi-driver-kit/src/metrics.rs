//! `csi_plugin_operations_seconds`: how long each call took and how it ended (common-library 9).

use std::time::Duration;

use csi_client::code_name;
use prometheus::{HistogramOpts, HistogramVec, Registry};

const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0];

/// The histogram of a driver's calls.
#[derive(Debug, Clone)]
pub struct PluginMetrics {
    histogram: HistogramVec,
    driver_name: String,
}

impl PluginMetrics {
    /// Registers the histogram for a driver of this name.
    pub fn register(registry: &Registry, driver_name: &str) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "csi_plugin_operations_seconds",
            "[ALPHA] Container Storage Interface operation duration with gRPC error code status total",
        )
        .buckets(BUCKETS.to_vec());
        let histogram = HistogramVec::new(options, &["driver_name", "grpc_status_code", "method_name"])?;
        registry.register(Box::new(histogram.clone()))?;
        Ok(Self { histogram, driver_name: driver_name.to_owned() })
    }

    pub(crate) fn observe(&self, method: &str, code: tonic::Code, duration: Duration) {
        self.histogram
            .with_label_values(&[self.driver_name.as_str(), code_name(code), method])
            .observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csi_plugin_operations_seconds_has_upstreams_labels_and_buckets() {
        let registry = Registry::new();
        let metrics = PluginMetrics::register(&registry, "hostpath.csi.k8s.io").unwrap();
        metrics.observe("/csi.v1.Identity/Probe", tonic::Code::Cancelled, Duration::from_millis(200));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let line = "csi_plugin_operations_seconds_bucket{driver_name=\"hostpath.csi.k8s.io\",\
                    grpc_status_code=\"Canceled\",method_name=\"/csi.v1.Identity/Probe\",le=\"0.25\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("le=\"600\"") && text.contains("le=\"+Inf\""));
    }
}
