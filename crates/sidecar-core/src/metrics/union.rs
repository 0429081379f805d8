//! Several registries, one scrape.
//!
//! Sidecars serve two or three registries at once upstream, and the all-in-one as many as it has controllers. Where two
//! have the same family, their series are merged; a family whose help or type differs from the first is left out, and
//! so is a series that the first has already (sheet `common-library`, section 9, notes).

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily};

/// Merges families of several registries; the result is sorted by name, its series by their labels.
pub fn union(gathered: impl IntoIterator<Item = Vec<MetricFamily>>) -> Vec<MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for family in gathered.into_iter().flatten() {
        match families.get_mut(family.name()) {
            None => {
                families.insert(family.name().to_owned(), family);
            }
            Some(first)
                if first.help() == family.help() && first.get_field_type() == family.get_field_type() =>
            {
                merge(first, family);
            }
            Some(_) => {}
        }
    }
    families.into_values().collect()
}

fn merge(first: &mut MetricFamily, mut second: MetricFamily) {
    let mut series: BTreeMap<Vec<(String, String)>, Metric> = BTreeMap::new();
    for metric in first.take_metric().into_iter().chain(second.take_metric()) {
        series.entry(labels(&metric)).or_insert(metric);
    }
    first.set_metric(series.into_values().collect());
}

fn labels(metric: &Metric) -> Vec<(String, String)> {
    let mut labels: Vec<_> =
        metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect();
    labels.sort();
    labels
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    fn registry(name: &str, help: &str, label: &str, value: u64) -> Vec<MetricFamily> {
        let registry = Registry::new();
        let counter = IntCounterVec::new(Opts::new(name, help), &["x"]).unwrap();
        counter.with_label_values(&[label]).inc_by(value);
        registry.register(Box::new(counter)).unwrap();
        registry.gather()
    }

    #[test]
    fn equal_families_merge_and_the_first_series_wins() {
        let merged =
            union([registry("n", "h", "b", 1), registry("n", "h", "a", 2), registry("n", "h", "b", 3)]);
        let text = crate::metrics::encode(&merged);
        assert_eq!(text, "# HELP n h\n# TYPE n counter\nn{x=\"a\"} 2\nn{x=\"b\"} 1\n");
    }

    #[test]
    fn a_family_with_other_help_or_type_loses() {
        let other = Registry::new();
        other.register(Box::new(IntGauge::new("n", "h").unwrap())).unwrap();
        let merged = union([registry("n", "h", "a", 1), registry("n", "other", "b", 2), other.gather()]);
        assert_eq!(crate::metrics::encode(&merged), "# HELP n h\n# TYPE n counter\nn{x=\"a\"} 1\n");
    }
}
