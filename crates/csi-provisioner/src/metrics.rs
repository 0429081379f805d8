//! The counters and histograms of the provisioner controller (sheet section 9).
//!
//! Names, labels and buckets are those of the library that upstream is built on, because dashboards use them.

use std::time::Duration;

use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts, Registry};

/// Labels of the claim metrics.
const CLAIM_LABELS: [&str; 2] = ["class", "source"];
/// Labels of the volume metrics.
const VOLUME_LABELS: [&str; 1] = ["class"];

/// What the provisioner counts.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    provisioned: CounterVec,
    provision_failed: CounterVec,
    provision_duration: HistogramVec,
    deleted: CounterVec,
    delete_failed: CounterVec,
    delete_duration: HistogramVec,
}

impl Metrics {
    /// Registers the metrics.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<CounterVec> {
            let counter = CounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let histogram = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<HistogramVec> {
            let histogram = HistogramVec::new(HistogramOpts::new(name, help), labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        Ok(Self {
            provisioned: counter(
                "controller_persistentvolumeclaim_provision_total",
                "Total number of persistent volumes provisioned successfully. Broken down by storage class name.",
                &CLAIM_LABELS,
            )?,
            provision_failed: counter(
                "controller_persistentvolumeclaim_provision_failed_total",
                "Total number of persistent volume provision failed attempts. Broken down by storage class name.",
                &CLAIM_LABELS,
            )?,
            provision_duration: histogram(
                "controller_persistentvolumeclaim_provision_duration_seconds",
                "Latency in seconds to provision persistent volumes. Broken down by storage class name.",
                &CLAIM_LABELS,
            )?,
            deleted: counter(
                "controller_persistentvolume_delete_total",
                "Total number of persistent volumes deleted successfully. Broken down by storage class name.",
                &VOLUME_LABELS,
            )?,
            delete_failed: counter(
                "controller_persistentvolume_delete_failed_total",
                "Total number of persistent volume delete failed attempts. Broken down by storage class name.",
                &VOLUME_LABELS,
            )?,
            delete_duration: histogram(
                "controller_persistentvolume_delete_duration_seconds",
                "Latency in seconds to delete persistent volumes. Broken down by storage class name.",
                &VOLUME_LABELS,
            )?,
        })
    }

    /// A claim got its volume. `class`: `spec.storageClassName`; `source`: kind of `spec.dataSource`.
    pub(crate) fn provisioned(&self, class: &str, source: &str, took: Duration) {
        self.provisioned.with_label_values(&[class, source]).inc();
        self.provision_duration.with_label_values(&[class, source]).observe(took.as_secs_f64());
    }

    /// An attempt ended without a volume, for whatever reason.
    pub(crate) fn provision_failed(&self, class: &str, source: &str) {
        self.provision_failed.with_label_values(&[class, source]).inc();
    }

    /// A volume and its object are gone.
    pub(crate) fn deleted(&self, class: &str, took: Duration) {
        self.deleted.with_label_values(&[class]).inc();
        self.delete_duration.with_label_values(&[class]).observe(took.as_secs_f64());
    }

    /// A deletion failed.
    pub(crate) fn delete_failed(&self, class: &str) {
        self.delete_failed.with_label_values(&[class]).inc();
    }
}
