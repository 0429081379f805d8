//! How long snapshots take (sheet section 9): names, labels and buckets are upstream's.
//!
//! An operation is begun once and ended once, by its name and the object's UID; beginning it again or ending what was not begun changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{Gauge, HistogramOpts, HistogramVec, Opts, Registry};
use sidecar_core::objects::Uid;
use tokio::time::Instant;

/// Upper bounds, in seconds.
pub const BUCKETS: [f64; 13] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// What a label says that is not known.
pub const UNKNOWN: &str = "unknown";

const LABELS: [&str; 4] = ["driver_name", "operation_name", "snapshot_type", "operation_status"];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Until the driver has cut it.
    Create,
    /// Until it is ready.
    CreateAndReady,
    /// Until it is gone.
    Delete,
    /// [`Operation::Create`] of a group.
    CreateGroup,
    /// [`Operation::CreateAndReady`] of a group.
    CreateGroupAndReady,
    /// [`Operation::Delete`] of a group.
    DeleteGroup,
}

impl Operation {
    /// The value of the label `operation_name`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CreateSnapshot",
            Self::CreateAndReady => "CreateSnapshotAndReady",
            Self::Delete => "DeleteSnapshot",
            Self::CreateGroup => "CreateGroupSnapshot",
            Self::CreateGroupAndReady => "CreateGroupSnapshotAndReady",
            Self::DeleteGroup => "DeleteGroupSnapshot",
        }
    }

    /// What ends unfinished when this does.
    fn cancels(self) -> &'static [Self] {
        match self {
            Self::Delete => &[Self::Create, Self::CreateAndReady],
            // Upstream forgets these, and counts them as in flight for ever (13.13).
            Self::DeleteGroup => &[Self::CreateGroup, Self::CreateGroupAndReady],
            _ => &[],
        }
    }
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should.
    Success,
    /// By the deletion of its object.
    Cancel,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Cancel => "cancel",
        }
    }
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is taken of claims.
    Dynamic,
    /// It was there.
    PreProvisioned,
}

impl Origin {
    /// The value of the label `snapshot_type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::PreProvisioned => "pre-provisioned",
        }
    }
}

#[derive(Clone, Debug)]
struct Begun {
    at: Instant,
    driver: Option<String>,
    origin: Origin,
}

/// The operations of this process. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    took: HistogramVec,
    in_flight: Gauge,
    begun: Arc<Mutex<BTreeMap<(Operation, Uid), Begun>>>,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let took = HistogramOpts::new(
            "snapshot_controller_operation_total_seconds",
            "[ALPHA] Total number of seconds spent by the controller on an operation",
        );
        let in_flight = Opts::new(
            "snapshot_controller_operations_in_flight",
            "[ALPHA] Total number of operations in flight",
        );
        let metrics = Self {
            took: HistogramVec::new(took.buckets(BUCKETS.to_vec()), &LABELS)?,
            in_flight: Gauge::with_opts(in_flight)?,
            begun: Arc::default(),
        };
        registry.register(Box::new(metrics.took.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    /// An operation begins, unless it has. `driver` is asked only then.
    pub fn begin(
        &self,
        operation: Operation,
        uid: &Uid,
        origin: Origin,
        driver: impl FnOnce() -> Option<String>,
    ) {
        let mut begun = self.begun();
        begun.entry((operation, uid.clone())).or_insert_with(|| Begun {
            at: Instant::now(),
            driver: driver(),
            origin,
        });
        self.count(&begun);
    }

    /// An operation ends as it should, and with it those that it makes pointless. `driver` is what is known now.
    pub fn end(&self, operation: Operation, uid: &Uid, driver: Option<&str>) {
        let mut begun = self.begun();
        if let Some(ended) = begun.remove(&(operation, uid.clone())) {
            let took = ended.at.elapsed();
            self.observe(operation, &ended, driver, Status::Success, took);
            for cancelled in operation.cancels() {
                if let Some(open) = begun.remove(&(*cancelled, uid.clone())) {
                    self.observe(*cancelled, &open, None, Status::Cancel, took);
                }
            }
        }
        self.count(&begun);
    }

    /// An object is gone, and was never seen to be deleted.
    pub fn forget(&self, uid: &Uid) {
        let mut begun = self.begun();
        begun.retain(|(_, of), _| of != uid);
        self.count(&begun);
    }

    fn observe(
        &self,
        operation: Operation,
        begun: &Begun,
        driver: Option<&str>,
        status: Status,
        took: Duration,
    ) {
        let driver = driver.or(begun.driver.as_deref()).unwrap_or(UNKNOWN);
        let labels = [driver, operation.as_str(), begun.origin.as_str(), status.as_str()];
        self.took.with_label_values(&labels).observe(took.as_secs_f64());
    }

    fn count(&self, begun: &BTreeMap<(Operation, Uid), Begun>) {
        self.in_flight.set(f64::from(u32::try_from(begun.len()).unwrap_or(u32::MAX)));
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<(Operation, Uid), Begun>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
