//! What the attacher counts beyond the metrics that all sidecars have (sheet 9, 13.17).
//!
//! Upstream has none of these, and none of them takes a name that upstream uses.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::policy::Operation;

/// Seconds from the first try to the recorded outcome; the upper end is where users give up.
const BUCKETS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 360.0, 900.0];

/// What the attacher counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    duration: HistogramVec,
    failures: IntCounterVec,
    late: IntCounterVec,
    backlog: IntGaugeVec,
    mismatches: IntCounter,
    node_id_conflicts: IntCounter,
    ordered: IntCounterVec,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let by_operation = ["operation"];
        let opts = |name: &str, help: &str| Opts::new(format!("csi_attacher_{name}"), help);
        let duration = HistogramOpts::new(
            "csi_attacher_operation_duration_seconds",
            "Time from the first try to attach or detach until it was done and recorded.",
        );
        let metrics = Self {
            duration: HistogramVec::new(duration.buckets(BUCKETS.to_vec()), &by_operation)?,
            failures: IntCounterVec::new(
                opts("operation_failures_total", "Failed tries to attach or detach, by gRPC code or none."),
                &["operation", "grpc_status_code"],
            )?,
            late: IntCounterVec::new(
                opts(
                    "volume_attachment_timeouts_total",
                    "Operations that passed --volume-attachment-timeout.",
                ),
                &by_operation,
            )?,
            backlog: IntGaugeVec::new(
                opts("backlog", "VolumeAttachments that wait for a worker."),
                &by_operation,
            )?,
            mismatches: IntCounter::with_opts(opts(
                "state_mismatches_total",
                "VolumeAttachments whose status differed from the driver's list.",
            ))?,
            node_id_conflicts: IntCounter::with_opts(opts(
                "node_id_conflicts_total",
                "Detachments whose node has another id than at the time of the attachment.",
            ))?,
            ordered: IntCounterVec::new(
                opts(
                    "held_back_attachments_total",
                    "Attachments that waited for a detachment of their volume (--detach-before-attach), and those of \
                     them that gave up waiting.",
                ),
                &["outcome"],
            )?,
        };
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.late.clone()))?;
        registry.register(Box::new(metrics.backlog.clone()))?;
        registry.register(Box::new(metrics.mismatches.clone()))?;
        registry.register(Box::new(metrics.node_id_conflicts.clone()))?;
        registry.register(Box::new(metrics.ordered.clone()))?;
        Ok(metrics)
    }

    /// An operation is done and recorded.
    pub fn done(&self, operation: Operation, took: Duration) {
        self.duration.with_label_values(&[operation.name()]).observe(took.as_secs_f64());
    }

    /// A try failed; `code` is Go's name of the driver's code, if it was the driver.
    pub fn failed(&self, operation: Operation, code: Option<&str>) {
        self.failures.with_label_values(&[operation.name(), code.unwrap_or("none")]).inc();
    }

    /// An operation takes longer than `--volume-attachment-timeout`.
    pub fn late(&self, operation: Operation) {
        self.late.with_label_values(&[operation.name()]).inc();
    }

    /// How many wait.
    pub fn backlog(&self, operation: Operation, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.backlog.with_label_values(&[operation.name()]).set(waiting);
    }

    /// The driver's list contradicts a status.
    pub fn mismatch(&self) {
        self.mismatches.inc();
    }

    /// A node has another id than when the volume was attached to it.
    pub fn node_id_conflict(&self) {
        self.node_id_conflicts.inc();
    }

    /// An attachment has `waited`, or `gave_up` waiting, for a detachment of its volume.
    pub fn ordered(&self, outcome: &str) {
        self.ordered.with_label_values(&[outcome]).inc();
    }
}
