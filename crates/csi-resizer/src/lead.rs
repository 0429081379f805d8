//! What the resizer does while it leads, put together.

use csi_translation::in_tree_name;
use sidecar_core::context::Context;
use sidecar_core::controller::{Controller, fill_caches};
use sidecar_core::events::EventSink;
use sidecar_core::exit::Exit;
use sidecar_core::objects::{Interest, Sections};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::driver::Driver;
use crate::events;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::reconcile::{self, Parts, Settings, Stores};

/// A resizer that has everything it needs.
pub(crate) struct Resizing {
    pub(crate) flags: Flags,
    pub(crate) controller: Controller,
    pub(crate) client: kube::Client,
    pub(crate) driver: Driver,
    pub(crate) attributes_classes: bool,
}

impl Resizing {
    /// Works until a stop is requested, or the driver or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        let sink = self.controller.start_events()?;
        let parts = self.parts(&sink)?;
        // On the heap: its state is large.
        Box::pin(self.controller.run(&sink, |stop| resize(parts, stop))).await
    }

    fn parts(&self, sink: &EventSink) -> Result<Parts, Exit> {
        let (flags, context) = (&self.flags, &self.controller.context);
        let gates = &flags.common.gates;
        let metrics = Metrics::register(context.metrics.registry())
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        Ok(Parts {
            settings: Settings {
                recover: gates.enabled("RecoverVolumeExpansionFailure"),
                annotate: gates.enabled("AnnotateFsResize"),
                modify: self.driver.modifies && self.attributes_classes,
                extra_modify_metadata: flags.extra_modify_metadata,
                handle_in_use: flags.handle_in_use,
                exhausted: flags.exhausted,
                workers: flags.workers,
                resync: flags.resync,
                timeout: flags.common.timeout,
                retry_max: flags.common.retry_max,
            },
            backoff: flags.common.backoff(),
            driver: self.driver.clone(),
            connection: self.controller.connection.clone(),
            client: self.client.clone(),
            context: context.clone(),
            recorder: sink.recorder(&events::component(&self.driver.name)),
            metrics,
        })
    }
}

/// The leader's work: fill the caches, then expand and modify.
async fn resize(parts: Parts, stop: CancellationToken) {
    let mut stores = want(&parts.context, &parts.driver);
    if !fill_caches(&parts.context, &parts.client, &stop).await {
        return;
    }
    if parts.settings.modify {
        // Asked for only now: where the API server does not have them, volumes are expanded all the same.
        stores.classes = Some(parts.context.caches.want(Interest::all()));
        parts.context.caches.start(&parts.client);
    }
    info!("Started resize controller");
    reconcile::run(parts, stores, stop).await;
}

/// Which objects are watched, and what of them is kept.
fn want(context: &Context, driver: &Driver) -> Stores {
    let names = [Some(&*driver.name), in_tree_name(&driver.name)];
    let ours = Interest::of_drivers(names.into_iter().flatten()).with(Sections::VOLUME_SOURCE);
    Stores {
        // Of all drivers: a claim that was once handed to another may be bound to a volume of this one.
        claims: context.caches.want(Interest::all().with(Sections::CLAIM_RESIZE)),
        volumes: context.caches.want(match driver.here {
            Some(_) => ours.with(Sections::VOLUME_AFFINITY),
            None => ours,
        }),
        classes: None,
    }
}
