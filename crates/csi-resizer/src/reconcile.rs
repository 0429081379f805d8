//! The shell around the policy: it gathers what is known about a claim, asks the policy, does what it says and reports.
//!
//! ```text
//! watches ──► feed ──► expansions ────► expand (driver, API server)
//!                └───► modifications ─► modify (driver, API server)
//! ```
//!
//! The two never work on one claim at the same time ([`locks`]): upstream's do, and write each other's conflicts. A
//! reconcile never waits in a worker: what has to happen later is an [`Outcome`], what has to wait for something else is
//! queued when that something happens.

mod api;
mod expand;
mod feed;
mod finish;
mod locks;
mod memory;
mod modify;
mod pods;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use csi_client::Connection;
use sidecar_core::cache::Store;
use sidecar_core::context::Context;
use sidecar_core::events::Recorder;
use sidecar_core::objects::{AttributesClass, Claim, ObjectKey, Uid, Volume};
use sidecar_core::queue::{Backoff, Queue};
use sidecar_core::reconciler::{self, Outcome};
use sidecar_core::slow_set::SlowSet;
use tokio_util::sync::CancellationToken;

use crate::driver::Driver;
use crate::metrics::Metrics;
use crate::policy::errors::Exhausted;

/// What the command line says about the work.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent switches")]
pub(crate) struct Settings {
    /// Gate `RecoverVolumeExpansionFailure`.
    pub(crate) recover: bool,
    /// Gate `AnnotateFsResize`.
    pub(crate) annotate: bool,
    /// Whether attributes classes are applied.
    pub(crate) modify: bool,
    pub(crate) extra_modify_metadata: bool,
    pub(crate) handle_in_use: bool,
    pub(crate) exhausted: Exhausted,
    pub(crate) workers: usize,
    pub(crate) resync: Option<Duration>,
    pub(crate) timeout: Duration,
    pub(crate) retry_max: Duration,
}

/// What a controller is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) backoff: Backoff,
    pub(crate) driver: Driver,
    pub(crate) connection: Connection,
    pub(crate) client: kube::Client,
    pub(crate) context: Context,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
}

/// The caches.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) claims: Store<Claim>,
    pub(crate) volumes: Store<Volume>,
    /// Only where classes are applied.
    pub(crate) classes: Option<Store<AttributesClass>>,
}

/// What all reconciles share.
struct Shared {
    settings: Settings,
    driver: Driver,
    connection: Connection,
    client: kube::Client,
    context: Context,
    recorder: Recorder,
    metrics: Metrics,
    stores: Stores,
    expansions: Queue<ObjectKey>,
    modifications: Queue<ObjectKey>,
    locks: locks::Locks,
    memory: memory::Memory,
    pods: pods::Pods,
    /// Claims whose size the driver calls impossible.
    slow_expansions: SlowSet<Uid, ()>,
    /// Claims whose class the driver calls invalid.
    slow_modifications: SlowSet<Uid, ()>,
    stopping: AtomicBool,
}

/// Expands and modifies until `stop` is cancelled, then finishes what is in progress.
pub(crate) async fn run(parts: Parts, stores: Stores, stop: CancellationToken) {
    let shared = Arc::new(Shared::new(parts, stores));
    shared.remember_modifications();
    let feed = feed::run(shared.clone());
    let expansions =
        reconcile(
            &shared,
            &shared.expansions,
            |shared, key| async move { shared.sync_expansion(&key).await },
        );
    let modifications = async {
        if let Some(classes) = &shared.stores.classes {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = classes.synced() => {}
            }
            let work = |shared: Arc<Shared>, key| async move { shared.sync_modification(&key).await };
            reconcile(&shared, &shared.modifications, work).await;
        }
    };
    let stopping = async {
        stop.cancelled().await;
        shared.stop();
    };
    tokio::select! {
        biased;
        () = async { tokio::join!(expansions, modifications, stopping); } => {}
        () = feed => {}
    }
}

/// The workers of a queue; once the stop is requested they take no more work.
async fn reconcile<F, R>(shared: &Arc<Shared>, queue: &Queue<ObjectKey>, work: F)
where
    F: Fn(Arc<Shared>, ObjectKey) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    reconciler::run(
        queue.clone(),
        shared.settings.workers,
        |key| {
            let shared = shared.clone();
            let work = (!shared.is_stopping()).then(|| work(shared, key));
            async move {
                match work {
                    Some(work) => work.await,
                    None => Outcome::Drop,
                }
            }
        },
        |key, problem| tracing::error!(err = problem, PVC = %key, "Error syncing PVC"),
    )
    .await;
}

impl Shared {
    fn new(parts: Parts, stores: Stores) -> Self {
        let Parts { settings, backoff, driver, connection, client, context, recorder, metrics } = parts;
        // Both under one name, as upstream has it.
        let series = || context.metrics.workqueues().queue(&format!("{}-pvc", driver.name));
        let expansions = Queue::with_metrics(backoff.clone(), series());
        let modifications = Queue::with_metrics(backoff, series());
        let (slow_expansions, slow_modifications) =
            (SlowSet::new(settings.retry_max), SlowSet::new(settings.retry_max));
        metrics.watch_slow(context.metrics.registry(), slow_expansions.clone(), slow_modifications.clone());
        Self {
            locks: locks::Locks::new(expansions.clone(), modifications.clone()),
            memory: memory::Memory::default(),
            pods: pods::Pods::default(),
            stopping: AtomicBool::new(false),
            settings,
            driver,
            connection,
            client,
            context,
            recorder,
            metrics,
            stores,
            expansions,
            modifications,
            slow_expansions,
            slow_modifications,
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// No new work; what is in progress goes on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.expansions.shutdown();
        self.modifications.shutdown();
    }
}
