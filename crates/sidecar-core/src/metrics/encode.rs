//! Prometheus' text format 0.0.4, byte for byte as Go's encoder writes it.
//!
//! The `prometheus` crate's own encoder prints `1e-8` as `0.00000001` and keeps labels in the order of their
//! declaration; recording rules and dashboards match on Go's spelling.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Prints families in the order given; labels are sorted by name, with `le` or `quantile` last.
pub fn encode(families: &[MetricFamily]) -> String {
    let mut text = String::with_capacity(families.len() * 256);
    for family in families.iter().filter(|family| !family.get_metric().is_empty()) {
        write_family(&mut text, family);
    }
    text
}

fn write_family(text: &mut String, family: &MetricFamily) {
    let name = family.name();
    if !family.help().is_empty() {
        let help = family.help().replace('\\', "\\\\").replace('\n', "\\n");
        line(text, format_args!("# HELP {name} {help}"));
    }
    let kind = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    };
    line(text, format_args!("# TYPE {name} {kind}"));
    for metric in family.get_metric() {
        let value = match family.get_field_type() {
            MetricType::COUNTER => metric.get_counter().get_value(),
            MetricType::GAUGE => metric.get_gauge().get_value(),
            // Nothing here makes untyped families, and the crate hides their value.
            MetricType::UNTYPED => f64::NAN,
            MetricType::HISTOGRAM => {
                write_histogram(text, name, metric);
                continue;
            }
            MetricType::SUMMARY => {
                write_summary(text, name, metric);
                continue;
            }
        };
        sample(text, name, metric, None, &go_float(value));
    }
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let bucket_name = format!("{name}_bucket");
    let count = histogram.get_sample_count();
    let mut infinite = false;
    for bucket in histogram.get_bucket() {
        infinite |= bucket.upper_bound() == f64::INFINITY;
        let le = go_float(bucket.upper_bound());
        sample(text, &bucket_name, metric, Some(("le", &le)), &bucket.cumulative_count().to_string());
    }
    if !infinite {
        sample(text, &bucket_name, metric, Some(("le", "+Inf")), &count.to_string());
    }
    sample(text, &format!("{name}_sum"), metric, None, &go_float(histogram.get_sample_sum()));
    sample(text, &format!("{name}_count"), metric, None, &count.to_string());
}

fn write_summary(text: &mut String, name: &str, metric: &Metric) {
    let summary = metric.get_summary();
    for quantile in summary.get_quantile() {
        let rank = go_float(quantile.quantile());
        sample(text, name, metric, Some(("quantile", &rank)), &go_float(quantile.value()));
    }
    sample(text, &format!("{name}_sum"), metric, None, &go_float(summary.sample_sum()));
    sample(text, &format!("{name}_count"), metric, None, &summary.sample_count().to_string());
}

fn sample(text: &mut String, name: &str, metric: &Metric, extra: Option<(&str, &str)>, value: &str) {
    let mut labels: Vec<(&str, &str)> =
        metric.get_label().iter().map(|pair: &LabelPair| (pair.name(), pair.value())).collect();
    labels.sort_unstable();
    labels.extend(extra);
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    match metric.timestamp_ms() {
        0 => line(text, format_args!("{name}{labels} {value}")),
        stamp => line(text, format_args!("{name}{labels} {value} {stamp}")),
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let _cannot_fail = writeln!(text, "{content}");
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// A number as Go's `strconv.FormatFloat(value, 'g', -1, 64)` prints it, infinities and NaN as Prometheus does.
pub fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Rust's `{:e}` prints the shortest digits that read back as the same number, as Go's does.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's bounds for the shortest form: plain digits from 1e-4 up to below 1e6.
    if (-4..6).contains(&exponent) {
        format!("{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{CounterVec, Gauge, HistogramOpts, HistogramVec, Opts, Registry};

    use super::*;

    #[test]
    fn numbers_are_spelled_as_in_go() {
        let spelled = [
            (0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.1, "0.1"),
            (2.5, "2.5"),
            (600.0, "600"),
            (1e-8, "1e-08"),
            (9.999_999_999_999_999e-6, "9.999999999999999e-06"),
            (0.0001, "0.0001"),
            (0.00012, "0.00012"),
            (0.00001, "1e-05"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_795_238_500.82, "1.79523850082e+09"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (number, text) in spelled {
            assert_eq!(go_float(number), text);
        }
    }

    #[test]
    fn families_labels_and_buckets_are_ordered_as_upstream() {
        let registry = Registry::new();
        let gauge = Gauge::new("z_last", "Back\\slash\nand line").unwrap();
        let histogram = HistogramVec::new(
            HistogramOpts::new("h_seconds", "Help.").buckets(vec![0.1, 2.5, 600.0]),
            &["method_name", "driver_name"],
        )
        .unwrap();
        histogram.with_label_values(&["/csi.v1.Identity/Probe", "a\"b"]).observe(20.0);
        let unused = CounterVec::new(Opts::new("unused_total", "No series."), &["x"]).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        registry.register(Box::new(unused)).unwrap();
        let labels = "driver_name=\"a\\\"b\",method_name=\"/csi.v1.Identity/Probe\"";
        let expected = format!(
            "# HELP h_seconds Help.\n# TYPE h_seconds histogram\n\
             h_seconds_bucket{{{labels},le=\"0.1\"}} 0\nh_seconds_bucket{{{labels},le=\"2.5\"}} 0\n\
             h_seconds_bucket{{{labels},le=\"600\"}} 1\nh_seconds_bucket{{{labels},le=\"+Inf\"}} 1\n\
             h_seconds_sum{{{labels}}} 20\nh_seconds_count{{{labels}}} 1\n\
             # HELP z_last Back\\\\slash\\nand line\n# TYPE z_last gauge\nz_last 0\n"
        );
        assert_eq!(encode(&registry.gather()), expected);
    }
}
