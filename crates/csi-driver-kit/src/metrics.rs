//! `csi_plugin_operations_seconds`: how long each call took and how it ended (common-library 9). The family is that of
//! `csi-client`, with the driver's subsystem.

use csi_client::metrics::{MetricsError, RpcMetrics, SUBSYSTEM_PLUGIN};
use prometheus::Registry;

/// Registers the histogram for a driver of this name, to be put into the settings of a service.
pub fn register(registry: &Registry, driver_name: &str) -> Result<RpcMetrics, MetricsError> {
    let metrics = RpcMetrics::builder().subsystem(SUBSYSTEM_PLUGIN).register(registry)?;
    metrics.set_driver_name(driver_name);
    Ok(metrics)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn csi_plugin_operations_seconds_has_upstreams_labels_and_buckets() {
        let registry = super::Registry::new();
        let metrics = super::register(&registry, "hostpath.csi.k8s.io").unwrap();
        let code = csi_client::code_name(tonic::Code::Cancelled);
        metrics.record("/csi.v1.Identity/Probe", code, Duration::from_millis(200), None);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let line = "csi_plugin_operations_seconds_bucket{driver_name=\"hostpath.csi.k8s.io\",\
                    grpc_status_code=\"Canceled\",method_name=\"/csi.v1.Identity/Probe\",le=\"0.25\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("le=\"600\"") && text.contains("le=\"+Inf\""));
    }
}
