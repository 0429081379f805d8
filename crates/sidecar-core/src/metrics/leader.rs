//! The leader election families.
//!
//! Upstream's gauge has the label `name` but always an empty value. That series stays; one with the Lease's name is
//! added beside it, so that the all-in-one's leases can be told apart (sheet `common-library`, 9 and 13.3).

use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::{Metrics, constant};

/// Who leads, and how often a renewal took the slow path.
#[derive(Clone, Debug)]
pub struct LeaderMetrics {
    status: IntGaugeVec,
    slow_path: IntCounterVec,
}

impl LeaderMetrics {
    /// Registers the families.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let status = Opts::new("leader_election_master_status", format!("[ALPHA] {STATUS_HELP}"));
        let slow_path = Opts::new("leader_election_slowpath_total", format!("[ALPHA] {SLOW_PATH_HELP}"));
        let families = Self {
            status: constant(IntGaugeVec::new(status, &["name"])),
            slow_path: constant(IntCounterVec::new(slow_path, &["name"])),
        };
        metrics.register(families.status.clone());
        metrics.register(families.slow_path.clone());
        families
    }

    /// Whether this process holds `lease`; both series are set, so this fits processes with one lease.
    pub fn set_leading(&self, lease: &str, leading: bool) {
        self.set_holds(lease, leading);
        self.set_leading_all(leading);
    }

    /// Whether this process holds `lease`; leaves the series without a name to [`Self::set_leading_all`].
    pub fn set_holds(&self, lease: &str, holds: bool) {
        self.status.with_label_values(&[lease]).set(holds.into());
    }

    /// The series with the empty name: whether all leases of the process are held.
    pub fn set_leading_all(&self, leading: bool) {
        self.status.with_label_values(&[""]).set(leading.into());
    }

    /// Counts a renewal that needed a GET before its PUT.
    pub fn count_slow_path(&self) {
        self.slow_path.with_label_values(&[""]).inc();
    }
}

const STATUS_HELP: &str = "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 \
     indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.";

const SLOW_PATH_HELP: &str = "Total number of slow path exercised in renewing leader leases. 'name' is the string used \
     to identify the lease. Please make sure to group by name.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nameless_series_stays_and_a_named_one_is_added() {
        let metrics = Metrics::new();
        metrics.leader().set_leading("driver-leases", true);
        metrics.leader().count_slow_path();
        let text = metrics.text();
        assert!(text.contains("\nleader_election_master_status{name=\"\"} 1\n"), "{text}");
        assert!(text.contains("\nleader_election_master_status{name=\"driver-leases\"} 1\n"), "{text}");
        assert!(text.contains("\nleader_election_slowpath_total{name=\"\"} 1\n"), "{text}");
    }
}
