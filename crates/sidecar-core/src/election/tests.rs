//! Scenarios of leader election on paused time.

mod config;
mod exclusion;
mod handover;
mod leading;
mod server;

use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::server::LeaseServer;
use super::{ElectionConfig, Elector, Outcome};
use crate::clock::Clock;
use crate::random::Random;
use crate::shutdown::{Reason, Shutdown};

/// The time that all tests start at.
const START: &str = "2026-11-21T05:00:00Z";

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A competitor in a task of its own, whose work lasts until it is asked to stop.
struct Competitor {
    shutdown: Shutdown,
    leader: tokio::sync::watch::Receiver<std::sync::Arc<str>>,
    started: tokio::sync::watch::Receiver<Option<Instant>>,
    task: JoinHandle<Outcome<()>>,
}

impl Competitor {
    fn start(server: &LeaseServer, identity: &str, change: impl FnOnce(&mut ElectionConfig)) -> Self {
        Self::start_elector(elector(server, identity, change))
    }

    fn start_elector(elector: Elector) -> Self {
        let shutdown = Shutdown::default();
        let leader = elector.leader();
        let (begin, started) = tokio::sync::watch::channel(None);
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move {
                let work = async |token: tokio_util::sync::CancellationToken| {
                    begin.send_replace(Some(Instant::now()));
                    token.cancelled().await;
                };
                elector.run(&shutdown, work).await
            }
        });
        Self { shutdown, leader, started, task }
    }

    /// When it became leader.
    async fn leads(&mut self) -> Instant {
        let started = self.started.wait_for(Option::is_some).await.unwrap();
        started.unwrap()
    }

    fn is_leading(&self) -> bool {
        self.started.borrow().is_some() && !self.task.is_finished()
    }

    async fn stop(self) -> Outcome<()> {
        self.shutdown.request(Reason::Terminate);
        self.task.await.unwrap()
    }
}

fn elector(server: &LeaseServer, identity: &str, change: impl FnOnce(&mut ElectionConfig)) -> Elector {
    let mut config = ElectionConfig::new("hostpath.csi.k8s.io", "storage", identity);
    change(&mut config);
    Elector::new(config, server.client(), Clock::simulated(start()), Random::seeded(1)).unwrap()
}

/// The Lease of a foreign holder.
fn foreign(holder: &str, renewed: &str) -> serde_json::Value {
    serde_json::json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-20T00:00:00.000000Z",
        "renewTime": renewed,
        "leaseTransitions": 4,
    })
}
