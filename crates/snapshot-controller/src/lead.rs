//! What the controller does while it leads, put together.

use sidecar_core::context::Context;
use sidecar_core::controller::{Controller, NoDriver, fill_caches};
use sidecar_core::events::EventSink;
use sidecar_core::exit::Exit;
use sidecar_core::objects::{Interest, Sections};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::crds::Groups;
use crate::events;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::policy::Stores;
use crate::reconcile::{self, Parts, Settings};

/// A controller that has everything it needs.
pub(crate) struct Leading {
    pub(crate) flags: Flags,
    pub(crate) controller: Controller<NoDriver>,
    pub(crate) client: kube::Client,
    pub(crate) groups: Groups,
}

impl Leading {
    /// Works until a stop is requested, or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        let sink = self.controller.start_events()?;
        let parts = self.parts(&sink)?;
        let groups = self.groups;
        // On the heap: its state is large.
        Box::pin(self.controller.run(&sink, |stop| control(parts, groups, stop))).await
    }

    fn parts(&self, sink: &EventSink) -> Result<Parts, Exit> {
        let (flags, context) = (&self.flags, &self.controller.context);
        let metrics = Metrics::register(context.metrics.registry())
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        Ok(Parts {
            settings: Settings {
                workers: flags.workers,
                resync: flags.resync,
                distributed: flags.distributed,
                note_volume_mode: flags.note_volume_mode,
            },
            backoff: flags.common.spread_backoff(&context.random),
            client: self.client.clone(),
            context: context.clone(),
            recorder: sink.recorder(events::COMPONENT),
            metrics,
        })
    }
}

/// The leader's work: fill the caches, then bind and delete.
async fn control(parts: Parts, groups: Groups, stop: CancellationToken) {
    let stores = want(&parts.context, parts.settings.distributed);
    if !fill_caches(&parts.context, &parts.client, &stop).await {
        return;
    }
    info!("Starting snapshot controller");
    reconcile::run(parts, stores, groups, stop).await;
    info!("Shutting snapshot controller");
}

/// Which objects are watched, and what of them is kept.
fn want(context: &Context, distributed: bool) -> Stores {
    let affinity = if distributed { Sections::VOLUME_AFFINITY } else { Sections::NONE };
    Stores {
        snapshots: context.caches.want(Interest::all()),
        contents: context.caches.want(Interest::all()),
        classes: context.caches.want(Interest::all()),
        claims: context.caches.want(Interest::all()),
        volumes: context.caches.want(Interest::all().with(affinity)),
        nodes: distributed.then(|| context.caches.want(Interest::all())),
    }
}
