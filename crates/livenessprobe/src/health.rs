//! `/healthz`: one question of kubelet's becomes one `Probe` of the driver.
//!
//! Questions that come while a probe is under way share it, so that a slow driver is not asked ever more often (sheet
//! 13.1). When everyone who asked has hung up, the probe is cancelled.

use std::future::ready;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use sidecar_core::http::Reply;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::driver::Driver;
use crate::metrics::ProbeMetrics;
use crate::policy::{Entry, Journal, Verdict};

/// What is answered before the driver's name is known; upstream does not listen until then (sheet 13.3).
const NOT_CONNECTED: &str = "not connected to the CSI driver yet";

/// How long the end of the process waits for the last answers.
const FAREWELL: Duration = Duration::from_secs(5);

type Flight = Shared<BoxFuture<'static, Verdict>>;

/// Answers `/healthz`. Clones share their state.
#[derive(Clone)]
pub(crate) struct Health {
    shared: Arc<HealthState>,
}

struct HealthState {
    driver: Driver,
    /// Known once the driver has been reached for the first time.
    name: OnceLock<String>,
    metrics: ProbeMetrics,
    journal: Mutex<Journal>,
    flight: Mutex<Option<WeakShared<BoxFuture<'static, Verdict>>>>,
    questions: TaskTracker,
}

impl Health {
    pub(crate) fn new(driver: Driver, metrics: ProbeMetrics) -> Self {
        let shared = HealthState {
            driver,
            name: OnceLock::new(),
            metrics,
            journal: Mutex::default(),
            flight: Mutex::default(),
            questions: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on the driver is probed.
    pub(crate) fn connected(&self, name: String) {
        let _set_once = self.shared.name.set(name);
    }

    /// The answer to one request.
    pub(crate) fn answer(&self) -> BoxFuture<'static, Reply> {
        if self.shared.name.get().is_none() {
            return ready(Reply::text(500, NOT_CONNECTED)).boxed();
        }
        let flight = self.join();
        let reply = async move {
            let verdict = flight.await;
            let (status, body) = verdict.answer();
            Reply::text(status, body)
        };
        self.shared.questions.track_future(reply).boxed()
    }

    /// Waits until those who have asked are answered.
    pub(crate) async fn drain(&self) {
        self.shared.questions.close();
        let _answered_or_given_up = tokio::time::timeout(FAREWELL, self.shared.questions.wait()).await;
    }

    /// The probe under way, or a new one.
    fn join(&self) -> Flight {
        let mut flight = self.shared.flight.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = flight.as_ref().and_then(WeakShared::upgrade);
        if let Some(under_way) = under_way.filter(|probe| probe.peek().is_none()) {
            return under_way;
        }
        let shared = Arc::clone(&self.shared);
        let new = async move { shared.probe().await }.boxed().shared();
        *flight = new.downgrade();
        new
    }
}

impl HealthState {
    async fn probe(&self) -> Verdict {
        let name = self.name.get().map_or("", String::as_str);
        let verdict = self.driver.probe(name).await;
        self.metrics.count(verdict.result());
        let entry =
            self.journal.lock().unwrap_or_else(PoisonError::into_inner).note(&verdict, Instant::now());
        log(&verdict, entry);
        verdict
    }
}

/// The lines are upstream's; those that would only repeat the last one need `-v=2`, and successes `-v=5`.
fn log(verdict: &Verdict, entry: Entry) {
    match entry {
        Entry::Failure => log_failure(verdict),
        Entry::Routine => log_routine(verdict),
        Entry::StillFailing { failures, lasting } => {
            let (_, error) = verdict.answer();
            let lasting = sidecar_core::duration::format_std(whole_seconds(lasting));
            tracing::error!(err = error, failures, lasting, "Health check keeps failing");
        }
        Entry::Recovery { failures, lasting } => {
            let lasting = sidecar_core::duration::format_std(whole_seconds(lasting));
            tracing::info!(failures, lasting, "Health check succeeded again");
        }
    }
}

fn log_failure(verdict: &Verdict) {
    match verdict {
        Verdict::Ready => {}
        Verdict::NotReady => tracing::error!("Driver responded but is not ready"),
        Verdict::Unreachable { error, advice } => {
            tracing::error!(err = error, advice, "Failed to establish connection to CSI driver");
        }
        Verdict::Failed(error) => tracing::error!(err = error, "Health check failed"),
    }
}

fn log_routine(verdict: &Verdict) {
    match verdict {
        Verdict::Ready => csi_client::verbose!(5, "Health check succeeded"),
        Verdict::NotReady => csi_client::verbose!(2, "Driver responded but is not ready"),
        Verdict::Unreachable { error, .. } => {
            csi_client::verbose!(2, err = error, "Failed to establish connection to CSI driver");
        }
        Verdict::Failed(error) => csi_client::verbose!(2, err = error, "Health check failed"),
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
