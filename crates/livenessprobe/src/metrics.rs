//! How the probes ended, with those that found no driver to call.
//!
//! Upstream counts calls alone, so its metrics miss the most common failure (sheet 13.6).

use prometheus::{IntCounterVec, Opts, Registry};

/// Every value of the label `result`.
const RESULTS: [&str; 4] = ["ok", "not_ready", "error", "no_connection"];

/// The counter of probes. Clones share their values.
#[derive(Clone, Debug)]
pub(crate) struct ProbeMetrics {
    probes: IntCounterVec,
}

impl ProbeMetrics {
    /// Makes the counter and registers it.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options =
            Opts::new("csi_livenessprobe_probes_total", "Probes of the CSI driver by their result.");
        let probes = IntCounterVec::new(options, &["result"])?;
        registry.register(Box::new(probes.clone()))?;
        for result in RESULTS {
            // From zero on, or the first failure of a process would be no increase.
            probes.with_label_values(&[result]);
        }
        Ok(Self { probes })
    }

    /// Counts one probe.
    pub(crate) fn count(&self, result: &str) {
        self.probes.with_label_values(&[result]).inc();
    }
}
