//! What the attacher does while it leads, put together.

use sidecar_core::context::Context;
use sidecar_core::controller::{Controller, fill_caches};
use sidecar_core::exit::Exit;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::driver::Driver;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::reconcile::{self, Parts, Stores};

/// An attacher that has everything it needs.
pub(crate) struct Attaching {
    pub(crate) flags: Flags,
    pub(crate) controller: Controller,
    pub(crate) client: kube::Client,
    pub(crate) driver: Driver,
}

impl Attaching {
    /// Works until a stop is requested, or the driver or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        // Only the election records events: an attachment's story is told by its status.
        let sink = self.controller.start_events()?;
        let context = self.controller.context.clone();
        let metrics = Metrics::register(context.metrics.registry())
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        let parts = Parts {
            driver: self.driver,
            connection: self.controller.connection.clone(),
            client: self.client,
            clock: context.clock.clone(),
            metrics,
            workqueues: context.metrics.workqueues().clone(),
            backoff: self.flags.common.spread_backoff(&context.random),
            flags: self.flags,
        };
        // On the heap: the state of all reconciles is large.
        Box::pin(self.controller.run(&sink, |stop| Box::pin(attach(parts, context, stop)))).await
    }
}

/// The leader's work: fill the caches, then attach and detach.
async fn attach(parts: Parts, context: Context, stop: CancellationToken) {
    let stores = Stores::want(&context.caches, &parts.driver);
    if fill_caches(&context, &parts.client, &stop).await {
        info!("Starting CSI attacher");
        reconcile::run(parts, stores, stop).await;
        info!("Shutting CSI attacher");
    }
}
