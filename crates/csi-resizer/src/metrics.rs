//! What the resizer counts beyond upstream, which has no metrics of its own (sheet section 9, 13.17).

use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts, Registry};
use sidecar_core::objects::Uid;
use sidecar_core::slow_set::SlowSet;

/// What is done to a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Its size.
    Expand,
    /// Its attributes class.
    Modify,
}

impl Operation {
    /// The value of the label `operation`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Modify => "modify",
        }
    }
}

const LABELS: &[&str] = &["operation"];

/// Seconds; an operation may well wait for a pod to go, or for a back-off.
const BUCKETS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// What the resizer counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    in_flight: IntGaugeVec,
    took: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let in_flight = IntGaugeVec::new(
            Opts::new("csi_resizer_operations_in_flight", "Calls that the driver is working on."),
            LABELS,
        )?;
        let took = HistogramVec::new(
            HistogramOpts::new(
                "csi_resizer_operation_duration_seconds",
                "Time from when a claim was first seen to want something until the controller's part was done.",
            )
            .buckets(BUCKETS.to_vec()),
            LABELS,
        )?;
        registry.register(Box::new(in_flight.clone()))?;
        registry.register(Box::new(took.clone()))?;
        Ok(Self { in_flight, took })
    }

    /// Also shows how many claims are tried at a slow pace only.
    pub fn watch_slow(&self, registry: &Registry, expand: SlowSet<Uid, ()>, modify: SlowSet<Uid, ()>) {
        // Registered twice only when a process leads for a second time: then the new sets are shown.
        let slow = Slow::new(expand, modify);
        if let Ok(slow) = slow {
            let _registered_before = registry.register(Box::new(slow));
        }
    }

    /// Counts a call until the result is dropped.
    pub fn begin(&self, operation: Operation) -> InFlight {
        let gauge = self.in_flight.with_label_values(&[operation.as_str()]);
        gauge.inc();
        InFlight(gauge)
    }

    /// The controller's part is done.
    pub fn done(&self, operation: Operation, took: Duration) {
        self.took.with_label_values(&[operation.as_str()]).observe(took.as_secs_f64());
    }
}

/// A call in flight.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Sizes of the slow sets, looked at when somebody asks.
struct Slow {
    gauge: IntGaugeVec,
    expand: SlowSet<Uid, ()>,
    modify: SlowSet<Uid, ()>,
}

impl Slow {
    fn new(expand: SlowSet<Uid, ()>, modify: SlowSet<Uid, ()>) -> prometheus::Result<Self> {
        let text = "Claims whose last try was infeasible and which are tried at a slow pace.";
        let gauge = IntGaugeVec::new(Opts::new("csi_resizer_slow_claims", text), LABELS)?;
        Ok(Self { gauge, expand, modify })
    }
}

impl Collector for Slow {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (operation, set) in [(Operation::Expand, &self.expand), (Operation::Modify, &self.modify)] {
            let size = i64::try_from(set.waiting()).unwrap_or(i64::MAX);
            self.gauge.with_label_values(&[operation.as_str()]).set(size);
        }
        self.gauge.collect()
    }
}
