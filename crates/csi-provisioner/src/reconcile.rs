//! The shell around the policy: it gathers what is known about a claim or a volume, asks the policy, does what it says
//! and reports.
//!
//! ```text
//! watches ──► feed ──► claim queue ──► claims ──► attempt (driver) ──► save ──► API server
//!                ├───► volume queue ─► volumes (driver, API server)       └──► unsaved queue
//!                └───► clone queue ──► clones (API server)
//! ```
//!
//! A reconcile never waits in a worker: what has to happen later is an [`Outcome`], what has to wait for something else
//! is queued when that something happens ([`locks`], the watch of attachments).

mod api;
mod attempt;
mod claims;
mod clones;
mod feed;
mod filling;
mod guard;
mod locks;
mod memory;
mod save;
mod snapshots;
mod sources;
mod spare;
mod stores;
mod volumes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use csi_client::Connection;
use sidecar_core::cache::Caches;
use sidecar_core::clock::Clock;
use sidecar_core::events::Recorder;
use sidecar_core::metrics::WorkqueueMetrics;
use sidecar_core::objects::{Interned, Uid};
use sidecar_core::queue::{Backoff, Queue};
use sidecar_core::reconciler::{self, Outcome};
use sidecar_core::slow_set::SlowSet;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::policy::driver::Driver;
use crate::policy::prepare::Settings;

pub(crate) use stores::Stores;

/// Volumes saved again at a time, as upstream has it.
const SAVERS: usize = 4;

/// What a controller is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) driver: Driver,
    pub(crate) connection: Connection,
    pub(crate) timeout: Duration,
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    pub(crate) recorder: Recorder,
    pub(crate) own_recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) workqueues: WorkqueueMetrics,
    pub(crate) workers: usize,
    pub(crate) retry_start: Duration,
    pub(crate) retry_max: Duration,
    /// Keep claims while their volumes are being made.
    pub(crate) leak_protection: bool,
    /// Sources of clones looked after at a time; 0 where nothing is cloned.
    pub(crate) clone_workers: usize,
    /// Where snapshots can be watched and how often their protection is reviewed, if that is to be done.
    pub(crate) sweep: Option<(Caches, Duration)>,
}

/// What all reconciles share.
struct Shared {
    settings: Settings,
    driver: Driver,
    connection: Connection,
    timeout: Duration,
    retry_max: Duration,
    client: kube::Client,
    clock: Clock,
    /// Events that name this process.
    recorder: Recorder,
    /// Events that name the component only.
    own_recorder: Recorder,
    metrics: Metrics,
    stores: Stores,
    claims: Queue<Uid>,
    volumes: Queue<Interned>,
    /// Claims, by namespace and name, that others were cloned from and that are to go.
    clone_sources: Queue<Interned>,
    clone_workers: usize,
    sources: sources::Sources,
    unsaved: save::UnsavedVolumes,
    locks: locks::Locks,
    memory: memory::Memory,
    /// Claims whose request the driver calls invalid, with the class they had.
    slow: SlowSet<Uid, Uid>,
    leak_protection: bool,
    stopping: AtomicBool,
}

/// Provisions and deletes until `stop` is cancelled, then finishes what is in progress and saves what is not saved.
pub(crate) async fn run(parts: Parts, stores: Stores, stop: CancellationToken) {
    let (workers, clone_workers, sweep) = (parts.workers, parts.clone_workers, parts.sweep.clone());
    let shared = Arc::new(Shared::new(parts, stores));
    let _left = shared.unsaved.report_left();
    let background = async {
        let sweep = async {
            if let Some((caches, every)) = sweep {
                // On the heap: it sleeps most of its life.
                Box::pin(shared.sweep_snapshots(caches, every)).await;
            }
        };
        tokio::join!(feed::run(shared.clone()), sweep)
    };
    let claims = reconcile(&shared, shared.claims.clone(), workers, "claim", |shared, uid| async move {
        shared.sync_claim(&uid).await
    });
    let volumes = reconcile(&shared, shared.volumes.clone(), workers, "volume", |shared, name| async move {
        shared.sync_volume(&name).await
    });
    let clones = async {
        if clone_workers > 0 {
            let queue = shared.clone_sources.clone();
            reconcile(&shared, queue, clone_workers, "cloned claim", |shared, key| async move {
                shared.sync_clone_source(&key).await
            })
            .await;
        }
    };
    let savers = reconciler::run(
        shared.unsaved.queue.clone(),
        SAVERS,
        |name| {
            let shared = shared.clone();
            async move { shared.save(&name).await }
        },
        |_, _| {},
    );
    let work = async { tokio::join!(claims, volumes, clones) };
    let saved = async {
        work.await;
        // Only now can nothing new come.
        shared.unsaved.drain().await;
        shared.unsaved.queue.shutdown();
    };
    let stopping = async {
        stop.cancelled().await;
        shared.stop();
    };
    tokio::select! {
        biased;
        () = async { tokio::join!(saved, savers, stopping); } => {}
        _ = background => {}
    }
}

/// The workers of a queue; once the stop is requested they take no more work.
async fn reconcile<K, F, R>(
    shared: &Arc<Shared>,
    queue: Queue<K>,
    workers: usize,
    what: &'static str,
    work: F,
) where
    K: sidecar_core::queue::Key + std::fmt::Display,
    F: Fn(Arc<Shared>, K) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    reconciler::run(
        queue,
        workers,
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
        |key, problem| tracing::error!(unstructured = true, "error syncing {what} \"{key}\": {problem}"),
    )
    .await;
}

impl Shared {
    fn new(parts: Parts, stores: Stores) -> Self {
        let backoff = Backoff::exponential(parts.retry_start, parts.retry_max);
        let claims = Queue::with_metrics(backoff.clone(), parts.workqueues.queue("claims"));
        let volumes = Queue::with_metrics(backoff.clone(), parts.workqueues.queue("volumes"));
        // Upstream gives both queues of claims the same name.
        let clone_sources = Queue::with_metrics(backoff, parts.workqueues.queue("claims"));
        let unsaved =
            Queue::with_metrics(Backoff::controller_default(), parts.workqueues.queue("unsavedpvs"));
        Self {
            settings: parts.settings,
            driver: parts.driver,
            connection: parts.connection,
            timeout: parts.timeout,
            retry_max: parts.retry_max,
            client: parts.client,
            clock: parts.clock,
            recorder: parts.recorder,
            own_recorder: parts.own_recorder,
            metrics: parts.metrics,
            stores,
            locks: locks::Locks::new(claims.clone(), volumes.clone()),
            claims,
            volumes,
            clone_sources,
            clone_workers: parts.clone_workers,
            sources: sources::Sources::default(),
            unsaved: save::UnsavedVolumes::new(unsaved),
            memory: memory::Memory::default(),
            slow: SlowSet::new(parts.retry_max),
            leak_protection: parts.leak_protection,
            stopping: AtomicBool::new(false),
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// No new work; what is in progress goes on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.claims.shutdown();
        self.volumes.shutdown();
        self.clone_sources.shutdown();
    }
}
