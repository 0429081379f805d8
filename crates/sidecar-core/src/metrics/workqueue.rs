//! The work queue families that every Kubernetes controller exposes.
//!
//! Names, help and buckets are those of Kubernetes 1.36; the buckets are powers of ten from 10 ns, with the rounding errors
//! of repeated multiplication, because these show in the `le` labels (sheet `common-library`, section 9).

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts,
};

use super::{Metrics, constant};

/// The families; [`WorkqueueMetrics::queue`] gives the series of one queue.
#[derive(Clone, Debug)]
pub struct WorkqueueMetrics {
    depth: IntGaugeVec,
    adds: IntCounterVec,
    retries: IntCounterVec,
    queued: HistogramVec,
    worked: HistogramVec,
    unfinished: GaugeVec,
    longest: GaugeVec,
}

/// The series of one named queue. Queues of one name share them.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// Items waiting now.
    pub depth: IntGauge,
    /// Items ever added.
    pub adds: IntCounter,
    /// Items ever added again after a failure.
    pub retries: IntCounter,
    /// Seconds from the addition of an item to the start of its processing.
    pub queued: Histogram,
    /// Seconds that the processing of an item took.
    pub worked: Histogram,
    /// Seconds of processing in progress, summed over the items.
    pub unfinished: Gauge,
    /// Seconds since the start of the longest processing in progress.
    pub longest: Gauge,
}

impl WorkqueueMetrics {
    /// Registers the families.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let options =
            |name: &str, help: &str| Opts::new(format!("workqueue_{name}"), format!("[BETA] {help}"));
        let histogram =
            |name: &str, help: &str| HistogramOpts { common_opts: options(name, help), buckets: buckets() };
        let families = Self {
            depth: constant(IntGaugeVec::new(options("depth", "Current depth of workqueue"), NAME)),
            adds: constant(IntCounterVec::new(
                options("adds_total", "Total number of adds handled by workqueue"),
                NAME,
            )),
            retries: constant(IntCounterVec::new(
                options("retries_total", "Total number of retries handled by workqueue"),
                NAME,
            )),
            queued: constant(HistogramVec::new(
                histogram(
                    "queue_duration_seconds",
                    "How long in seconds an item stays in workqueue before being requested.",
                ),
                NAME,
            )),
            worked: constant(HistogramVec::new(
                histogram(
                    "work_duration_seconds",
                    "How long in seconds processing an item from workqueue takes.",
                ),
                NAME,
            )),
            unfinished: constant(GaugeVec::new(options("unfinished_work_seconds", UNFINISHED_HELP), NAME)),
            longest: constant(GaugeVec::new(
                options(
                    "longest_running_processor_seconds",
                    "How many seconds has the longest running processor for workqueue been running.",
                ),
                NAME,
            )),
        };
        families.register_all(metrics);
        families
    }

    /// The series of the queue `name`, all present from now on.
    pub fn queue(&self, name: &str) -> QueueMetrics {
        let name = &[name];
        QueueMetrics {
            depth: self.depth.with_label_values(name),
            adds: self.adds.with_label_values(name),
            retries: self.retries.with_label_values(name),
            queued: self.queued.with_label_values(name),
            worked: self.worked.with_label_values(name),
            unfinished: self.unfinished.with_label_values(name),
            longest: self.longest.with_label_values(name),
        }
    }

    fn register_all(&self, metrics: &Metrics) {
        metrics.register(self.depth.clone());
        metrics.register(self.adds.clone());
        metrics.register(self.retries.clone());
        metrics.register(self.queued.clone());
        metrics.register(self.worked.clone());
        metrics.register(self.unfinished.clone());
        metrics.register(self.longest.clone());
    }
}

const NAME: &[&str] = &["name"];

const UNFINISHED_HELP: &str = "How many seconds of work has done that is in progress and hasn't been observed by \
     work_duration. Large values indicate stuck threads. One can deduce the number of stuck threads by observing the \
     rate at which this increases.";

fn buckets() -> Vec<f64> {
    std::iter::successors(Some(10e-9_f64), |bound| Some(bound * 10.0)).take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workqueue_bucket_bounds_print_as_upstream() {
        let metrics = Metrics::new();
        let queue = metrics.workqueues().queue("claims");
        queue.worked.observe(0.5);
        queue.adds.inc();
        let text = metrics.text();
        let bounds: Vec<&str> = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("workqueue_work_duration_seconds_bucket{name=\"claims\",le=\"")
            })
            .filter_map(|rest| rest.split_once('"').map(|(bound, _)| bound))
            .collect();
        let expected =
            "1e-08 1e-07 1e-06 9.999999999999999e-06 9.999999999999999e-05 0.001 0.01 0.1 1 10 +Inf";
        assert_eq!(bounds.join(" "), expected);
        assert!(text.contains("\nworkqueue_adds_total{name=\"claims\"} 1\n"), "{text}");
        assert!(text.contains("# HELP workqueue_depth [BETA] Current depth of workqueue\n"), "{text}");
    }
}
