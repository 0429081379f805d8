//! What is done by one replica at a time: with leader election while holding the Lease, without it from the start.

use std::time::Duration;

use csi_client::Connection;
use csi_client::connection::LOST_CONNECTION;
use tokio_util::sync::CancellationToken;

use super::{CommonFlags, Profile, client};
use crate::api::{Connector, Purpose};
use crate::context::Context;
use crate::election::{self, ElectionFlags, Elector, Outcome};
use crate::events::EventSink;
use crate::exit::Exit;

/// How long the last events may take at the end.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Gate by which the Lease is given up at the end.
const RELEASE: &str = "ReleaseLeaderElectionOnExit";

/// What a controller cannot go on without, besides the API server.
pub trait Lifeline {
    /// Completes when it is lost for good; the process ends then.
    fn lost(&self) -> impl Future<Output = ()> + Send;
}

impl Lifeline for Connection {
    async fn lost(&self) {
        self.lost().await;
    }
}

/// In place of the connection of a controller that talks to no driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDriver;

impl Lifeline for NoDriver {
    async fn lost(&self) {
        std::future::pending::<()>().await;
    }
}

/// A sidecar that has everything it needs.
#[derive(Clone, Debug)]
pub struct Controller<L = Connection> {
    /// How it differs from others.
    pub profile: Profile,
    /// Its command line.
    pub flags: CommonFlags,
    /// The world.
    pub context: Context,
    /// The way to the API server.
    pub connector: Connector,
    /// The driver, or [`NoDriver`].
    pub connection: L,
    /// Lock name of its election, from [`names`](crate::election::names).
    pub lock_name: String,
}

impl<L: Lifeline> Controller<L> {
    /// Starts the writer of events, which has a client of its own so that events never delay work.
    pub fn start_events(&self) -> Result<EventSink, Exit> {
        let Context { clock, random, metrics, .. } = &self.context;
        let (sink, writer) = EventSink::new(clock.clone(), random.fork(), metrics.dropped_events().clone());
        tokio::spawn(writer.run(self.client(Purpose::Events)?, self.context.shutdown.clone()));
        Ok(sink)
    }

    /// Runs `work` when it is this replica's turn, until a stop is requested, or the driver or the Lease is lost.
    ///
    /// The token that `work` gets is cancelled when it should come to its end.
    pub async fn run<W, F>(&self, sink: &EventSink, work: W) -> Result<(), Exit>
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        let outcome = tokio::select! {
            biased;
            () = self.connection.lost() => {
                return Err(Exit::failure(1, LOST_CONNECTION).terminating_with(LOST_CONNECTION));
            }
            outcome = self.lead(sink, work) => outcome,
        };
        sink.flush(LAST_EVENTS).await;
        outcome
    }

    async fn lead<W, F>(&self, sink: &EventSink, work: W) -> Result<(), Exit>
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = ()>,
    {
        let elector = self.flags.election.as_ref().map(|flags| self.elector(flags, sink)).transpose()?;
        // With the gate upstream ends with 1 whenever it stops leading, be it for a signal (sheet common-library, 3.6).
        let ends_with_1 = elector.is_some() && self.releases();
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
        let config = flags.config(&self.context, &self.lock_name, self.releases());
        Elector::of_process(config, self.client(Purpose::Leases)?, &self.context, sink)
    }

    fn releases(&self) -> bool {
        self.flags.gates.enabled(RELEASE)
    }

    fn client(&self, purpose: Purpose) -> Result<kube::Client, Exit> {
        client(&self.profile, &self.flags, &self.connector, purpose)
    }
}

/// Starts the watches of what has been asked for and waits until each has shown everything once; false if `stop` comes
/// first.
pub async fn fill_caches(context: &Context, client: &kube::Client, stop: &CancellationToken) -> bool {
    let ready = context.http.health().require("caches");
    context.caches.start(client);
    tokio::select! {
        biased;
        () = stop.cancelled() => return false,
        () = context.caches.synced() => {}
    }
    ready.set_ready();
    true
}
