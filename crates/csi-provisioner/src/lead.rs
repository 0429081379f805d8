//! What is done by one replica at a time: with leader election while holding the Lease, without it from the start.

use std::time::Duration;

use csi_client::Connection;
use csi_client::connection::LOST_CONNECTION;
use sidecar_core::api::{Connector, Purpose};
use sidecar_core::context::Context;
use sidecar_core::election::{self, ElectionFlags, Elector, Outcome, names};
use sidecar_core::events::EventSink;
use sidecar_core::exit::Exit;
use sidecar_core::objects::{Interest, Sections};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::driver::Driver;
use crate::events;
use crate::flags::Flags;
use crate::metrics::Metrics;
use crate::policy::prepare::Settings;
use crate::reconcile::{self, Parts, Stores};

/// How long the last events may take at the end.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Gate by which the Lease is given up at the end.
const RELEASE: &str = "ReleaseLeaderElectionOnExit";

/// A provisioner that has everything it needs.
pub(crate) struct Provisioning {
    pub(crate) flags: Flags,
    pub(crate) context: Context,
    pub(crate) connector: Connector,
    pub(crate) client: kube::Client,
    pub(crate) connection: Connection,
    pub(crate) driver: Driver,
    pub(crate) settings: Settings,
}

impl Provisioning {
    /// Works until a stop is requested, or the driver or the Lease is lost.
    pub(crate) async fn run(self) -> Result<(), Exit> {
        let sink = self.start_events()?;
        let parts = self.parts(&sink)?;
        let (context, client, connection) =
            (self.context.clone(), self.client.clone(), self.connection.clone());
        let work = |stop| provision(parts, context, client, stop);
        let outcome = tokio::select! {
            biased;
            () = connection.lost() => {
                return Err(Exit::failure(1, LOST_CONNECTION).terminating_with(LOST_CONNECTION));
            }
            outcome = self.lead(&sink, work) => outcome,
        };
        sink.flush(LAST_EVENTS).await;
        outcome
    }

    /// Runs `work` when it is this replica's turn.
    async fn lead<W, F>(&self, sink: &EventSink, work: W) -> Result<(), Exit>
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        let elector = self.flags.election.as_ref().map(|flags| self.elector(flags, sink)).transpose()?;
        // With the gate upstream ends with 1 whenever it stops leading, be it for a signal (sheet 3.3).
        let ends_with_1 = elector.is_some() && self.flags.gates.enabled(RELEASE);
        match election::lead(elector, &self.context.shutdown, work).await {
            Outcome::Finished(()) | Outcome::Stopped(Some(())) | Outcome::StoodBy if ends_with_1 => {
                Err(Exit::failure(1, "Stopped leading").silent())
            }
            Outcome::Finished(()) | Outcome::Stopped(Some(())) | Outcome::StoodBy => Ok(()),
            Outcome::Stopped(None) => {
                Err(Exit::failure(1, "Work in flight did not end within the grace period"))
            }
            Outcome::Lost => Err(Exit::failure(1, "Lost the lease, exiting").silent()),
        }
    }

    fn elector(&self, flags: &ElectionFlags, sink: &EventSink) -> Result<Elector, Exit> {
        let lock_name = names::provisioner(self.driver.names.name());
        let config = flags.config(&self.context, &lock_name, self.flags.gates.enabled(RELEASE));
        Elector::of_process(config, self.make_client(Purpose::Leases)?, &self.context, sink)
    }

    /// Events have a client of their own, so that they never delay work.
    fn start_events(&self) -> Result<EventSink, Exit> {
        let (sink, writer) = EventSink::new(self.context.clock.clone(), self.context.random.fork());
        tokio::spawn(writer.run(self.make_client(Purpose::Events)?, self.context.shutdown.clone()));
        Ok(sink)
    }

    fn make_client(&self, purpose: Purpose) -> Result<kube::Client, Exit> {
        self.connector
            .client(self.flags.budget, purpose)
            .map_err(|error| Exit::fatal(255, "Failed to create client").because(error))
    }

    fn parts(&self, sink: &EventSink) -> Result<Parts, Exit> {
        let (flags, context) = (&self.flags, &self.context);
        let component =
            events::process_component(self.driver.names.name(), &context.hostname, &context.random.uuid());
        let metrics = Metrics::register(context.metrics.registry())
            .map_err(|error| Exit::failure(1, "Failed to register metrics").because(error))?;
        Ok(Parts {
            settings: self.settings.clone(),
            driver: self.driver.clone(),
            connection: self.connection.clone(),
            timeout: flags.timeout,
            client: self.client.clone(),
            clock: context.clock.clone(),
            recorder: sink.recorder(&component),
            own_recorder: sink.recorder(events::COMPONENT),
            metrics,
            workqueues: context.metrics.workqueues().clone(),
            workers: flags.workers,
            retry_start: flags.retry_start,
            retry_max: flags.retry_max,
        })
    }
}

/// The leader's work: fill the caches, then provision and delete.
async fn provision(parts: Parts, context: Context, client: kube::Client, stop: CancellationToken) {
    let stores = want(&context, &parts.driver);
    let ready = context.http.health().require("caches");
    context.caches.start(&client);
    tokio::select! {
        biased;
        () = stop.cancelled() => return,
        () = context.caches.synced() => {}
    }
    ready.set_ready();
    info!("Started provisioner controller");
    reconcile::run(parts, stores, stop).await;
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
