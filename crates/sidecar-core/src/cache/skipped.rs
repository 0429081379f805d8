//! Objects that could not be read, as a metric: a log line is easily missed, and what is skipped is not worked on.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};

use crate::metrics::constant;

const NAME: &str = "csi_sidecar_skipped_objects_total";
const HELP: &str = "Objects that a watch showed and that do not have the shape of their kind, so that they are not worked \
     on as they are now.";
const LABEL: &str = "resource";

/// Resources, by their plural names, and how often one of their objects was skipped.
type Counts = Vec<(&'static str, u64)>;

/// Collects the family; see [`Caches::skipped_objects`](super::Caches::skipped_objects).
pub struct SkippedObjects {
    counts: Box<dyn Fn() -> Counts + Send + Sync>,
    description: Desc,
}

impl SkippedObjects {
    pub(super) fn new(counts: impl Fn() -> Counts + Send + Sync + 'static) -> Self {
        let description = Desc::new(NAME.to_owned(), HELP.to_owned(), vec![LABEL.to_owned()], HashMap::new());
        Self { counts: Box::new(counts), description: constant(description) }
    }
}

impl fmt::Debug for SkippedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SkippedObjects").field(&(self.counts)()).finish()
    }
}

impl Collector for SkippedObjects {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    /// Nothing for a process that watches nothing.
    fn collect(&self) -> Vec<MetricFamily> {
        let series: Vec<_> = (self.counts)().into_iter().map(series).collect();
        if series.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(series);
        vec![family]
    }
}

fn series((resource, skipped): (&'static str, u64)) -> Metric {
    let mut label = LabelPair::default();
    label.set_name(LABEL.to_owned());
    label.set_value(resource.to_owned());
    let mut counter = Counter::default();
    // Exact up to 2^53, which nobody ever skips.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
    counter.set_value(skipped as f64);
    let mut metric = Metric::default();
    metric.set_label(vec![label]);
    metric.set_counter(counter);
    metric
}
