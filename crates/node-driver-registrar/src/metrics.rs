//! What only the registrar can tell: whether kubelet uses the driver, and since when it said so.
//!
//! Upstream has no metrics; these appear only with `--metrics-addr` (sheet node-driver-registrar 13.6).

use prometheus::{Gauge, IntGauge, Registry};

/// The registrar's gauges. Clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationMetrics {
    registered: IntGauge,
    last_notification: Gauge,
}

impl RegistrationMetrics {
    /// Makes the gauges and registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let registered = IntGauge::new(
            "csi_node_driver_registrar_registered",
            "Whether kubelet has registered the CSI driver (1) or not (0).",
        )?;
        let last_notification = Gauge::new(
            "csi_node_driver_registrar_last_notification_timestamp_seconds",
            "Unix time of kubelet's last word about the registration; 0 before the first.",
        )?;
        registry.register(Box::new(registered.clone()))?;
        registry.register(Box::new(last_notification.clone()))?;
        Ok(Self { registered, last_notification })
    }

    /// Kubelet has spoken.
    pub(crate) fn notified(&self, registered: bool, at: jiff::Timestamp) {
        self.registered.set(i64::from(registered));
        // Milliseconds of this century are exact in 53 bits.
        #[allow(clippy::cast_precision_loss)]
        self.last_notification.set(at.as_millisecond() as f64 / 1000.0);
    }
}
