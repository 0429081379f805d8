//! What a process tells Prometheus.
//!
//! Names, labels, buckets and even the spelling of numbers are contract: recording rules match on the text
//! (sheet `common-library`, section 9).

use std::sync::Arc;

use prometheus::Registry;

/// The metrics of a process. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Arc<Registry>,
}

impl Metrics {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the process registers its collectors.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}
