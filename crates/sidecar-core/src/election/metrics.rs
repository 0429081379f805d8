//! Metrics of leader election (sheet `common-library`, section 9). They exist only where there is an election.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// The process's election metrics. Clones share their state.
#[derive(Debug, Clone)]
pub struct ElectionMetrics {
    status: IntGaugeVec,
    slow_path: IntCounterVec,
}

impl ElectionMetrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let status = Opts::new(
            "leader_election_master_status",
            "[ALPHA] 1 while this process leads, 0 while it stands by.",
        );
        let slow_path = Opts::new(
            "leader_election_slowpath_total",
            "[ALPHA] Renewals of the lease that had to read it first, because the optimistic update failed.",
        );
        let metrics = Self {
            status: IntGaugeVec::new(status, &["name"])?,
            slow_path: IntCounterVec::new(slow_path, &["name"])?,
        };
        registry.register(Box::new(metrics.status.clone()))?;
        registry.register(Box::new(metrics.slow_path.clone()))?;
        Ok(metrics)
    }

    /// Upstream's series has an empty name; the second one names the lease.
    pub(super) fn set_leading(&self, lease: &str, leading: bool) {
        for name in ["", lease] {
            self.status.with_label_values(&[name]).set(i64::from(leading));
        }
    }

    pub(super) fn count_slow_path(&self) {
        self.slow_path.with_label_values(&[""]).inc();
    }
}
