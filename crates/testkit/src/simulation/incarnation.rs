//! One life of a sidecar process: its ways to the API server and the driver, which end with it.

use std::future::pending;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{FaultyApi, FaultyDriver, World};
use crate::api::Clock;

/// One life of a sidecar. When it dies, none of its calls returns or takes effect any more.
#[derive(Debug, Clone)]
pub struct Incarnation {
    world: World,
    name: Arc<str>,
    seed: u64,
    dead: CancellationToken,
}

impl Incarnation {
    pub(super) fn new(world: World, name: &str, number: usize, seed: u64) -> Self {
        Self { world, name: format!("{name}#{number}").into(), seed, dead: CancellationToken::new() }
    }

    /// Name of the sidecar and number of this life, for traces.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seed for the sidecar's own randomness.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The wall clock of the simulation.
    pub fn clock(&self) -> Clock {
        self.world.clock().clone()
    }

    /// The world that this life is in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Cancelled when this life is over. Tasks that the sidecar has spawned should end with it, so that they cost no
    /// time; they can do no harm any more.
    pub fn dead(&self) -> &CancellationToken {
        &self.dead
    }

    /// The way to the API server, as a service for `kube::Client::new`.
    pub fn api(&self) -> FaultyApi {
        FaultyApi::new(self.clone(), None)
    }

    /// The same as `user`, whose rules then count.
    pub fn api_as(&self, user: &str) -> FaultyApi {
        FaultyApi::new(self.clone(), Some(user.into()))
    }

    /// A client over [`Incarnation::api`] without anything added.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.api(), "default")
    }

    /// The way to the driver, as a service for `Connection::from_service`.
    pub fn driver(&self) -> FaultyDriver {
        FaultyDriver::new(self.clone())
    }

    /// The process dies now.
    pub fn crash(&self) {
        if !self.dead.is_cancelled() {
            self.world.note(&format!("{} crashes", self.name));
            self.dead.cancel();
        }
    }

    /// Does `work` unless and until the process is dead; then nothing comes back any more.
    pub(super) async fn alive<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.dead.cancelled() => pending().await,
            done = work => done,
        }
    }

    /// Crashes, from inside a call.
    pub(super) async fn crash_here<T>(&self) -> T {
        self.crash();
        pending().await
    }
}
