//! The shell around the policy: it gathers what is known, asks the policy, does what it says and reports.
//!
//! ```text
//! watches ──► feed ──┬─► snapshots ──► snapshot, deletion ──► API server
//!                    ├─► contents ───► content
//!                    ├─► claims ─────► claims (finalizers that are left over)
//!                    ├─► groups ─────► group, members
//!                    └─► group contents
//! ```
//!
//! A reconcile is a conversation with the policy: it does the next thing, notes the API server's answer in the caches, and asks
//! again, until there is nothing left. What is known beyond the caches is in [`memory`]; it is all lost with the process, and
//! nothing goes wrong for that.

mod api;
mod claims;
mod content;
mod deletion;
mod feed;
mod group;
mod membership;
mod memory;
mod report;
mod snapshot;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sidecar_core::context::Context;
use sidecar_core::events::Recorder;
use sidecar_core::objects::{Interned, ObjectKey};
use sidecar_core::queue::{Backoff, Key, Queue};
use sidecar_core::reconciler::{self, Outcome};
use tokio_util::sync::CancellationToken;

use crate::crds::Groups;
use crate::metrics::Metrics;
use crate::policy::Stores;

/// What the command line says about the work.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) resync: Option<Duration>,
    pub(crate) distributed: bool,
    pub(crate) note_volume_mode: bool,
}

/// What a controller is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) backoff: Backoff,
    pub(crate) client: kube::Client,
    pub(crate) context: Context,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
}

/// What all reconciles share.
struct Shared {
    settings: Settings,
    client: kube::Client,
    context: Context,
    recorder: Recorder,
    metrics: Metrics,
    stores: Stores,
    snapshots: Queue<ObjectKey>,
    /// Names of contents.
    contents: Queue<Interned>,
    /// Claims that have our finalizer and perhaps no snapshot that would take it off.
    claims: Queue<ObjectKey>,
    memory: memory::Memory,
    locks: claims::Locks,
    /// Set once groups are worked on.
    groups: OnceLock<Arc<group::Groups>>,
    backoff: Backoff,
    stopping: AtomicBool,
}

/// Works until `stop` is cancelled, then finishes what is in progress.
pub(crate) async fn run(parts: Parts, stores: Stores, groups: Groups, stop: CancellationToken) {
    let shared = Arc::new(Shared::new(parts, stores));
    // If groups are there, nothing is decided without knowing them.
    if groups.are_there().await {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = group::begin(&shared) => {}
        }
    }
    let snapshots = work_on(&shared, &shared.snapshots, "snapshot", |shared, key| async move {
        shared.sync_snapshot(&key).await
    });
    let contents = work_on(&shared, &shared.contents, "content", |shared, name| async move {
        shared.sync_content(&name).await
    });
    let claims =
        work_on(&shared, &shared.claims, "PVC", |shared, key| async move { shared.sync_claim(&key).await });
    let groups = group::run(&shared, &groups, &stop);
    let stopping = async {
        stop.cancelled().await;
        shared.stop();
    };
    tokio::select! {
        biased;
        () = async { tokio::join!(snapshots, contents, claims, groups, stopping); } => {}
        () = feed::run(shared.clone()) => {}
    }
}

/// The workers of a queue; once the stop is requested they take no more work.
async fn work_on<K, F, R>(shared: &Arc<Shared>, queue: &Queue<K>, kind: &'static str, work: F)
where
    K: Key + std::fmt::Display,
    F: Fn(Arc<Shared>, K) -> R,
    R: Future<Output = Outcome> + Send + 'static,
{
    reconciler::run(
        queue.clone(),
        shared.settings.workers,
        |key| {
            let work = (!shared.is_stopping()).then(|| work(shared.clone(), key));
            async move {
                match work {
                    Some(work) => work.await,
                    None => Outcome::Drop,
                }
            }
        },
        |key, problem| tracing::error!(err = problem, kind, key = %key, "could not sync"),
    )
    .await;
}

impl Shared {
    fn new(parts: Parts, stores: Stores) -> Self {
        let Parts { settings, backoff, client, context, recorder, metrics } = parts;
        let series = |name: &str| context.metrics.workqueues().queue(&format!("snapshot-controller-{name}"));
        Self {
            snapshots: Queue::with_metrics(backoff.clone(), series("snapshot")),
            contents: Queue::with_metrics(backoff.clone(), series("content")),
            claims: Queue::with_backoff(backoff.clone()),
            groups: OnceLock::new(),
            backoff,
            memory: memory::Memory::default(),
            locks: claims::Locks::default(),
            stopping: AtomicBool::new(false),
            settings,
            client,
            context,
            recorder,
            metrics,
            stores,
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// No new work; what is in progress goes on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.snapshots.shutdown();
        self.contents.shutdown();
        self.claims.shutdown();
        if let Some(groups) = self.groups.get() {
            groups.snapshots.shutdown();
            groups.contents.shutdown();
        }
    }

    /// The time as statuses have it: whole seconds.
    fn now(&self) -> String {
        self.context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}
