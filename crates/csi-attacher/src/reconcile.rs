//! The shell around the policy: it gathers what is known about an attachment, asks the policy, does what it says and
//! reports.
//!
//! ```text
//! watches ──► feed ──► attachment queue ─┬─ lane of attachments ──► attach ─┬──► driver, API server
//!               │            ▲           └─ lane of detachments ──► detach ─┘
//!               │         compare (driver's list)
//!               └────► volume queue ──► volumes (finalizers) ──► API server
//! ```
//!
//! Attaching and detaching have workers of their own, so that neither waits for the other, but an attachment is in one queue
//! whatever it needs, so that it is worked on once at a time. What is known beyond the caches is in [`memory`]; it is all
//! lost with the process, and nothing goes wrong for that.

mod api;
mod attach;
mod backlog;
mod compare;
mod detach;
mod feed;
mod guard;
mod late;
mod memory;
mod order;
mod stores;
mod trivial;
mod volumes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use csi_client::Connection;
use sidecar_core::clock::Clock;
use sidecar_core::metrics::WorkqueueMetrics;
use sidecar_core::objects::Interned;
use sidecar_core::queue::{Backoff, Queue};
use sidecar_core::reconciler::{self, Outcome};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::driver::Driver;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::policy::Operation;

pub(crate) use stores::Stores;

/// Lanes of the attachment queue.
const LANES: [Operation; 2] = [Operation::Attach, Operation::Detach];

/// How many attachments of a lane may be under way for one that is in the driver's hands, so that who waits for the API
/// server keeps nobody from the driver.
const UNDER_WAY: usize = 4;

/// What a controller is made of.
pub(crate) struct Parts {
    pub(crate) flags: Flags,
    pub(crate) backoff: Backoff,
    pub(crate) driver: Driver,
    pub(crate) connection: Connection,
    pub(crate) client: kube::Client,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) workqueues: WorkqueueMetrics,
}

/// What all reconciles share.
struct Shared {
    flags: Flags,
    driver: Driver,
    connection: Connection,
    client: kube::Client,
    clock: Clock,
    metrics: Metrics,
    stores: Stores,
    /// Names of attachments.
    attachments: Queue<Interned>,
    /// Names of volumes whose finalizer may go.
    volumes: Queue<Interned>,
    /// Names of attachments to be looked at when their time is up.
    late: Queue<Interned>,
    /// `--worker-threads` calls to the driver, for each lane.
    calls: [Semaphore; LANES.len()],
    memory: memory::Memory,
    turns: guard::Turns,
    stopping: AtomicBool,
}

/// Attaches and detaches until `stop` is cancelled, then finishes what is in progress.
pub(crate) async fn run(parts: Parts, stores: Stores, stop: CancellationToken) {
    let shared = Arc::new(Shared::new(parts, stores));
    let workers = shared.flags.workers;
    let work = async {
        tokio::join!(
            attachments(&shared, Operation::Attach),
            attachments(&shared, Operation::Detach),
            work_on(&shared, &shared.volumes, workers, "PersistentVolume", |shared, name| async move {
                shared.sync_volume(&name).await
            }),
            work_on(&shared, &shared.late, workers, "VolumeAttachment", |shared, name| async move {
                shared.report_late(&name).await
            }),
        )
    };
    let stopping = async {
        stop.cancelled().await;
        shared.stop();
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(work, stopping) } => {}
        () = feed::run(shared.clone()) => {}
        () = compare::run(shared.clone()) => {}
        () = backlog::run(shared.clone()) => {}
    }
}

/// The workers of a lane.
async fn attachments(shared: &Arc<Shared>, operation: Operation) {
    reconciler::run_lane(
        shared.attachments.clone(),
        operation.lane(),
        shared.flags.workers.saturating_mul(UNDER_WAY),
        |name| {
            let shared = shared.clone();
            async move { shared.unless_stopping(shared.sync_attachment(&name)).await }
        },
        |name, problem| info!(v = 2, VolumeAttachment = %name, err = problem, "Error processing"),
    )
    .await;
}

async fn work_on<F, R>(
    shared: &Arc<Shared>,
    queue: &Queue<Interned>,
    workers: usize,
    kind: &'static str,
    work: F,
) where
    F: Fn(Arc<Shared>, Interned) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    reconciler::run(
        queue.clone(),
        workers,
        |name| {
            let (shared, work) = (shared.clone(), work(shared.clone(), name));
            async move { shared.unless_stopping(work).await }
        },
        |name, problem| info!(v = 2, kind, name = %name, err = problem, "Error processing"),
    )
    .await;
}

impl Shared {
    fn new(parts: Parts, stores: Stores) -> Self {
        let Parts { flags, backoff, workqueues, .. } = parts;
        let workers = flags.workers.min(Semaphore::MAX_PERMITS);
        let known = stores.attachments.clone();
        let lane = move |name: &Interned| {
            known.get("", name).map_or(0, |attachment| Operation::of(&attachment).lane())
        };
        let series = workqueues.queue("csi-attacher-va");
        Self {
            attachments: Queue::with_lanes(backoff.clone(), series, LANES.len(), lane),
            volumes: Queue::with_metrics(backoff.clone(), workqueues.queue("csi-attacher-pv")),
            late: Queue::with_backoff(backoff),
            calls: LANES.map(|_| Semaphore::new(workers)),
            memory: memory::Memory::default(),
            turns: guard::Turns::default(),
            stopping: AtomicBool::new(false),
            driver: parts.driver,
            connection: parts.connection,
            client: parts.client,
            clock: parts.clock,
            metrics: parts.metrics,
            flags,
            stores,
        }
    }

    /// Once a stop is requested no more work is taken.
    async fn unless_stopping(&self, work: impl Future<Output = Outcome>) -> Outcome {
        if self.is_stopping() { Outcome::Drop } else { work.await }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// No new work; what is in progress goes on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.attachments.shutdown();
        self.volumes.shutdown();
        self.late.shutdown();
    }

    /// Looks at the attachment of this name.
    async fn sync_attachment(&self, name: &Interned) -> Outcome {
        let Some(attachment) = self.attachment(name) else {
            info!(v = 3, VolumeAttachment = %name, "VolumeAttachment was deleted, ignoring");
            self.memory.gone(name);
            return Outcome::Done;
        };
        if !self.is_ours(&attachment) {
            return Outcome::Drop;
        }
        info!(v = 4, VolumeAttachment = %name, "Started VolumeAttachment processing");
        if !self.driver.capabilities.publish_unpublish {
            return self.sync_trivially(&attachment).await;
        }
        let operation = Operation::of(&attachment);
        let forced = self.memory.begin(name, &attachment.meta.uid, operation);
        let outcome = match operation {
            Operation::Attach => self.sync_attach(&attachment, forced).await,
            Operation::Detach => self.sync_detach(&attachment, forced).await,
        };
        self.memory.end(name);
        outcome
    }
}
