//! What the provisioner does while it leads, put together.

use sidecar_core::context::Context;
use sidecar_core::controller::{Controller, fill_caches};
use sidecar_core::events::EventSink;
use sidecar_core::exit::Exit;
use sidecar_core::objects::{Interest, Sections};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::events;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::policy::driver::Driver;
use crate::policy::prepare::Settings;
use crate::reconcile::{self, Parts, Stores};

/// A provisioner that has everything it needs.
pub(crate) struct Provisioning {
    pub(crate) flags: Flags,
    pub(crate) controller: Controller,
    pub(crate) client: kube::Client,
    pub(crate) driver: Driver,
    pub(crate) settings: Settings,
}

impl Provisioning {
    /// Works until a stop is requested, or the driver or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        let sink = self.controller.start_events()?;
        let parts = self.parts(&sink)?;
        let (context, client) = (self.controller.context.clone(), self.client.clone());
        Box::pin(self.controller.run(&sink, |stop| provision(parts, context, client, stop))).await
    }

    fn parts(&self, sink: &EventSink) -> Result<Parts, Exit> {
        let (flags, context) = (&self.flags, &self.controller.context);
        let component =
            events::process_component(self.driver.names.name(), &context.hostname, &context.random.uuid());
        let capabilities = self.driver.capabilities;
        let metrics = Metrics::register(context.metrics.registry())
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        Ok(Parts {
            settings: self.settings.clone(),
            driver: self.driver.clone(),
            connection: self.controller.connection.clone(),
            timeout: flags.common.timeout,
            client: self.client.clone(),
            clock: context.clock.clone(),
            recorder: sink.recorder(&component),
            own_recorder: sink.recorder(events::COMPONENT),
            metrics,
            workqueues: context.metrics.workqueues().clone(),
            workers: flags.workers,
            retry_start: flags.common.retry_start,
            retry_max: flags.common.retry_max,
            leak_protection: flags.leak_protection,
            clone_workers: if capabilities.clone_volume { flags.clone_workers } else { 0 },
            sweep: flags
                .sweep_interval
                .filter(|_| capabilities.create_delete_snapshot)
                .map(|interval| (context.caches.clone(), interval)),
        })
    }
}

/// The leader's work: fill the caches, then provision and delete.
async fn provision(parts: Parts, context: Context, client: kube::Client, stop: CancellationToken) {
    let stores = want(&context, &parts.driver);
    if fill_caches(&context, &client, &stop).await {
        info!("Started provisioner controller");
        // On the heap: most of a process's life is in there, and its state is large.
        Box::pin(reconcile::run(parts, stores, stop)).await;
    }
}

/// Which objects are watched, and what of them is kept.
fn want(context: &Context, driver: &Driver) -> Stores {
    let ours = || {
        let names = [Some(driver.names.name()), driver.names.in_tree()];
        Interest::of_drivers(names.into_iter().flatten()).with(Sections::NONE)
    };
    Stores {
        claims: context.caches.want(ours()),
        volumes: context.caches.want(ours()),
        classes: context.caches.want(Interest::all()),
        attachments: driver
            .capabilities
            .publish_unpublish_volume
            .then(|| context.caches.want(Interest::nothing())),
    }
}
