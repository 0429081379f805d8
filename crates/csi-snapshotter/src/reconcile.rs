//! The shell around the policy: it looks at a content, asks the policy what is to be done, does it and reports. It is the same
//! for contents of one snapshot and of a group, and runs once for each.
//!
//! ```text
//! watches ──► feed ──► queue ──► sync ─┬─► take ────┐
//!                        ▲             ├─► look ────┼──► driver, API server
//!                        │             └─► remove ──┘
//!                        └── later: not ready yet (pace), or failed (back-off)
//! ```
//!
//! A reconcile never waits in a worker: what has to happen later is an [`Outcome`]. What is known beyond the caches is in
//! [`memory`]; it is all lost with the process, and nothing goes wrong for that.

mod api;
mod feed;
mod look;
mod memory;
mod remove;
mod report;
mod secrets;
mod sync;
mod take;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use csi_client::{CallOptions, Connection};
use sidecar_core::cache::Store;
use sidecar_core::context::Context;
use sidecar_core::events::Recorder;
use sidecar_core::objects::{Interest, Interned};
use sidecar_core::queue::Queue;
use sidecar_core::reconciler::{self, Outcome};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::content::{Class, Content, View};
use crate::driver::{Calls, Driver};
use crate::flags::{Flags, Naming};
use crate::policy::ownership;

/// What a controller is made of.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) flags: Flags,
    pub(crate) driver: Driver,
    pub(crate) connection: Connection,
    pub(crate) client: kube::Client,
    pub(crate) context: Context,
    pub(crate) recorder: Recorder,
}

/// The caches of one kind of content.
pub(crate) struct Stores<C: Content> {
    pub(crate) contents: Store<C>,
    pub(crate) classes: Store<C::Class>,
    /// What is kept of contents; answers to writes are read in the same way.
    pub(crate) interest: Interest,
}

/// What all reconciles of one kind of content share.
struct Shared<C: Content> {
    parts: Parts,
    naming: Naming,
    stores: Stores<C>,
    /// Names of contents.
    queue: Queue<Interned>,
    memory: memory::Memory,
    stopping: AtomicBool,
}

/// Takes and deletes snapshots until `stop` is cancelled, then finishes what is in progress.
pub(crate) async fn run<C: Calls + PartialEq>(
    parts: Parts,
    naming: Naming,
    stores: Stores<C>,
    stop: CancellationToken,
) {
    let series = parts.context.metrics.workqueues().queue(C::WORDS.queue);
    let backoff = parts.flags.common.spread_backoff(&parts.context.random);
    let queue = Queue::with_metrics(backoff, series);
    let (memory, stopping) = (memory::Memory::default(), AtomicBool::new(false));
    let shared = Arc::new(Shared { parts, naming, stores, queue, memory, stopping });
    let stopping = async {
        stop.cancelled().await;
        shared.stop();
    };
    tokio::select! {
        biased;
        _ = async { tokio::join!(work(&shared), stopping) } => {}
        () = feed::run(shared.clone()) => {}
    }
}

async fn work<C: Calls>(shared: &Arc<Shared<C>>) {
    reconciler::run(
        shared.queue.clone(),
        shared.parts.flags.workers,
        |name| {
            let shared = shared.clone();
            // On the heap: a sync has large requests in it.
            Box::pin(async move { if shared.is_stopping() { Outcome::Drop } else { shared.sync(&name).await } })
        },
        |name, problem| info!(v = 2, kind = C::RESOURCE.kind, content = %name, err = problem, "Error processing"),
    )
    .await;
}

impl<C: Content> Shared<C> {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// No new work; what is in progress goes on.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.queue.shutdown();
    }

    /// The class that a content names, if there is one of that name.
    fn class(&self, view: &View<'_>) -> Option<Arc<C::Class>> {
        self.stores.classes.get("", view.class?)
    }

    fn is_ours(&self, view: &View<'_>) -> bool {
        let Parts { driver, flags, .. } = &self.parts;
        let class = self.class(view);
        let class = class.as_deref().map(Class::class);
        ownership::is_ours(view, &driver.name, flags.node.as_deref(), class)
    }

    /// The content as it is now, if it is still the same one.
    fn latest(&self, content: &Arc<C>) -> Arc<C> {
        let now = self.stores.contents.get("", &content.meta().name);
        now.filter(|now| now.meta().uid == content.meta().uid).unwrap_or_else(|| content.clone())
    }

    fn call(&self) -> CallOptions {
        CallOptions::timeout(self.parts.flags.common.timeout)
    }
}
