//! `csi_sidecar_operations_seconds`: how long every call took and how it ended (common-library sheet, section 9).
//!
//! The same family with the subsystem `csi_plugin` is what drivers export; [`server`] records it there.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec, Registry};

pub mod server;

/// Upper bounds in seconds.
pub const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 25.0, 50.0, 120.0, 300.0, 600.0];

/// `driver_name` until it is known.
pub const UNKNOWN_DRIVER: &str = "unknown-driver";

/// Subsystem of sidecars.
pub const SUBSYSTEM_SIDECAR: &str = "csi_sidecar";

/// Subsystem of drivers.
pub const SUBSYSTEM_PLUGIN: &str = "csi_plugin";

/// Why labels were refused, or the family could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The label was not declared.
    #[error("unknown label {0:?}")]
    UnknownLabel(String),
    /// The label already has a value.
    #[error("label {0:?} already has a value")]
    LabelSetTwice(String),
    /// The registry refused the family.
    #[error(transparent)]
    Prometheus(#[from] prometheus::Error),
}

/// What the help text promises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stability {
    /// May change.
    #[default]
    Alpha,
    /// Will stay.
    Stable,
}

impl Stability {
    /// The text in front of the help.
    fn prefix(self) -> &'static str {
        match self {
            Self::Alpha => "[ALPHA] ",
            Self::Stable => "[STABLE] ",
        }
    }
}

/// Options of the family; start with [`RpcMetrics::builder`].
#[derive(Debug, Clone)]
pub struct RpcMetricsBuilder {
    subsystem: String,
    stability: Stability,
    migrated: bool,
    variable: Vec<String>,
    constant: BTreeMap<String, String>,
}

impl RpcMetricsBuilder {
    /// First part of the name; the default is `csi_sidecar`.
    #[must_use]
    pub fn subsystem(mut self, subsystem: impl Into<String>) -> Self {
        self.subsystem = subsystem.into();
        self
    }

    /// Prefix of the help text.
    #[must_use]
    pub fn stability(mut self, stability: Stability) -> Self {
        self.stability = stability;
        self
    }

    /// Adds the label `migrated`, for drivers that replace an in-tree plugin.
    #[must_use]
    pub fn migrated(mut self) -> Self {
        self.migrated = true;
        self
    }

    /// Declares labels whose values come later, see [`RpcMetrics::with_label_values`].
    #[must_use]
    pub fn label_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.variable.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds a label with a fixed value.
    #[must_use]
    pub fn constant_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.insert(name.into(), value.into());
        self
    }

    /// Creates the family and registers it.
    pub fn register(self, registry: &Registry) -> Result<RpcMetrics, MetricsError> {
        let family = Family::new(self.histogram()?);
        registry.register(Box::new(family.clone()))?;
        let driver = Arc::new(RwLock::new(UNKNOWN_DRIVER.into()));
        Ok(RpcMetrics { family, driver, values: BTreeMap::new(), options: Arc::new(self) })
    }

    fn histogram(&self) -> Result<Histogram, MetricsError> {
        let help = "Container Storage Interface operation duration with gRPC error code status total";
        let opts = HistogramOpts::new("operations_seconds", format!("{}{help}", self.stability.prefix()))
            .subsystem(self.subsystem.clone())
            .const_labels(self.constant.clone().into_iter().collect())
            .buckets(BUCKETS.to_vec());
        let mut names = vec!["driver_name", "method_name", "grpc_status_code"];
        if self.migrated {
            names.push("migrated");
        }
        names.extend(self.variable.iter().map(String::as_str));
        Ok(Histogram { vector: HistogramVec::new(opts, &names)?, migrated: self.migrated })
    }
}

#[derive(Clone)]
struct Histogram {
    vector: HistogramVec,
    migrated: bool,
}

/// What is registered: a histogram that can be exchanged, because a registry never takes a name again with other
/// labels.
#[derive(Clone)]
struct Family {
    current: Arc<RwLock<Histogram>>,
    /// What the registry was told at registration.
    registered: HistogramVec,
}

impl Family {
    fn new(histogram: Histogram) -> Self {
        Self { registered: histogram.vector.clone(), current: Arc::new(RwLock::new(histogram)) }
    }

    fn get(&self) -> Histogram {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, histogram: Histogram) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = histogram;
    }
}

impl Collector for Family {
    fn desc(&self) -> Vec<&Desc> {
        self.registered.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.get().vector.collect()
    }
}

/// The histogram of calls. Clones record into the same family.
#[derive(Clone)]
pub struct RpcMetrics {
    family: Family,
    driver: Arc<RwLock<Arc<str>>>,
    values: BTreeMap<String, String>,
    options: Arc<RpcMetricsBuilder>,
}

impl RpcMetrics {
    /// The family of a sidecar, with the default options.
    pub fn new(registry: &Registry) -> Result<Self, MetricsError> {
        Self::builder().register(registry)
    }

    /// Options for a different family.
    #[must_use]
    pub fn builder() -> RpcMetricsBuilder {
        RpcMetricsBuilder {
            subsystem: SUBSYSTEM_SIDECAR.to_owned(),
            stability: Stability::Alpha,
            migrated: false,
            variable: Vec::new(),
            constant: BTreeMap::new(),
        }
    }

    /// Sets the label `driver_name` of all samples from now on, in every clone.
    pub fn set_driver_name(&self, name: &str) {
        *self.driver.write().unwrap_or_else(PoisonError::into_inner) = name.into();
    }

    /// The present value of the label `driver_name`.
    #[must_use]
    pub fn driver_name(&self) -> Arc<str> {
        self.driver.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the label `migrated` to the family, in every clone. Samples that were recorded without it are dropped, as
    /// upstream does: whether the driver is a migrated one is known only after it was asked for its name.
    pub fn set_migrated(&self) -> Result<(), MetricsError> {
        let options = RpcMetricsBuilder { migrated: true, ..(*self.options).clone() };
        self.family.set(options.histogram()?);
        Ok(())
    }

    /// A handle that records with these values of the declared labels, on top of those given before.
    pub fn with_label_values<K: Into<String>, V: Into<String>>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, MetricsError> {
        let mut metrics = self.clone();
        for (name, value) in values {
            let name = name.into();
            if !self.options.variable.contains(&name) {
                return Err(MetricsError::UnknownLabel(name));
            }
            if metrics.values.contains_key(&name) {
                return Err(MetricsError::LabelSetTwice(name));
            }
            metrics.values.insert(name, value.into());
        }
        Ok(metrics)
    }

    /// Records one call: its full method, Go's name of the code and how long it took.
    ///
    /// `migrated` matters only for a family with that label; without a value the label is `false`.
    pub fn record(&self, method: &str, code: &str, duration: Duration, migrated: Option<bool>) {
        let driver = self.driver_name();
        let mut labels = vec![&*driver, method, code];
        let histogram = self.family.get();
        if histogram.migrated {
            labels.push(if migrated == Some(true) { "true" } else { "false" });
        }
        let values = self.options.variable.iter();
        labels.extend(values.map(|name| self.values.get(name).map_or("", String::as_str)));
        histogram.vector.with_label_values(&labels).observe(duration.as_secs_f64());
    }
}

impl std::fmt::Debug for RpcMetrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RpcMetrics").field("options", &self.options).finish_non_exhaustive()
    }
}
