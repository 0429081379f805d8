//! What a process tells Prometheus.
//!
//! Names, labels, buckets and even the spelling of numbers are contract: recording rules match on the text
//! (sheet `common-library`, section 9). A process has one [`Metrics`]; a sidecar registers its own collectors in
//! [`Metrics::registry`], and the families that many parts share come from here.

mod encode;
mod leader;
mod process;
mod union;
mod workqueue;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Registry};

pub use encode::{encode, go_float};
pub use leader::LeaderMetrics;
pub use process::{ProcessMetrics, ProcessSeries};
pub use union::union;
pub use workqueue::{QueueMetrics, WorkqueueMetrics};

/// `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The metrics of a process. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    registry: Registry,
    others: Mutex<Vec<Registry>>,
    workqueues: OnceLock<WorkqueueMetrics>,
    leader: OnceLock<LeaderMetrics>,
    dropped_events: OnceLock<IntCounter>,
    process: OnceLock<()>,
}

impl Metrics {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the process registers its collectors.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Also serves the families of `registry`, after the ones already here.
    pub fn add_registry(&self, registry: Registry) {
        self.shared.others.lock().unwrap_or_else(PoisonError::into_inner).push(registry);
    }

    /// Registers a collector. One whose families are registered already changes nothing: the first one is served. A
    /// faulty one is logged.
    pub fn register(&self, collector: impl Collector + 'static) {
        match self.registry().register(Box::new(collector)) {
            Ok(()) | Err(prometheus::Error::AlreadyReg) => {}
            Err(error) => tracing::error!(err = %error, "Failed to register metrics"),
        }
    }

    /// The work queue families, registered at their first use.
    pub fn workqueues(&self) -> &WorkqueueMetrics {
        self.shared.workqueues.get_or_init(|| WorkqueueMetrics::register(self))
    }

    /// The leader election families, registered at their first use.
    pub fn leader(&self) -> &LeaderMetrics {
        self.shared.leader.get_or_init(|| LeaderMetrics::register(self))
    }

    /// Events that were never written because too many waited already; registered at its first use.
    pub fn dropped_events(&self) -> &IntCounter {
        self.shared.dropped_events.get_or_init(|| {
            let counter = constant(IntCounter::new(
                "csi_sidecar_dropped_events_total",
                "Events that were dropped because too many waited to be written already.",
            ));
            self.register(counter.clone());
            counter
        })
    }

    /// Serves facts about the process, too; which ones is settled by the first call.
    pub fn add_process(&self, series: ProcessSeries) {
        self.shared.process.get_or_init(|| self.register(ProcessMetrics::new(series)));
    }

    /// All families, by name; where registries share one, the first registry wins.
    pub fn gather(&self) -> Vec<MetricFamily> {
        let others = self.shared.others.lock().unwrap_or_else(PoisonError::into_inner).clone();
        union(std::iter::once(self.registry().gather()).chain(others.iter().map(Registry::gather)))
    }

    /// What a scrape gets, in Prometheus' text format 0.0.4.
    pub fn text(&self) -> String {
        encode(&self.gather())
    }
}

/// Unwraps the result of making a collector whose names are constants of this crate.
#[expect(
    clippy::expect_used,
    reason = "fails only for invalid constant names, which every test run would show"
)]
pub(crate) fn constant<T>(made: prometheus::Result<T>) -> T {
    made.expect("metric names in this crate are valid")
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounter, Opts};

    use super::*;

    #[test]
    fn a_second_registry_is_served_after_the_first() {
        let metrics = Metrics::new();
        metrics.register(IntCounter::with_opts(Opts::new("a_total", "First.")).unwrap());
        metrics.register(IntCounter::with_opts(Opts::new("a_total", "First.")).unwrap());
        let other = Registry::new();
        other.register(Box::new(IntCounter::with_opts(Opts::new("a_total", "Second.")).unwrap())).unwrap();
        other.register(Box::new(IntCounter::with_opts(Opts::new("b_total", "Other.")).unwrap())).unwrap();
        metrics.add_registry(other);
        assert_eq!(
            metrics.text(),
            "# HELP a_total First.\n# TYPE a_total counter\na_total 0\n\
             # HELP b_total Other.\n# TYPE b_total counter\nb_total 0\n"
        );
    }
}
