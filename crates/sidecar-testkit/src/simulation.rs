//! Sidecars as processes of the simulation, which can die at any moment and come again.

use csi_client::Connection;
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Builder, Context};
use sidecar_core::random::Random;
use testkit::simulation::{FaultyApi, Incarnation, World};

use crate::leadership::ELECT;
use crate::sidecar::connects;

/// What one life of this binary shares; its ways to API server and driver end with it.
pub fn context(life: &Incarnation, api: FaultyApi, binary: &str, hostname: &str) -> Builder {
    let driver = life.driver();
    Context::builder()
        .clock(Clock::simulated(life.clock().now()))
        .random(Random::seeded(life.seed()))
        .hostname(hostname)
        .api(ApiAccess::through(Connector::from_service(api, binary)))
        .driver(connects(move |settings| Connection::from_service(driver.clone(), settings)))
}

/// Starts one process, or two that compete. `life` gets what it needs to tell them apart: host and flags.
pub fn start<F, R>(world: &World, compete: bool, life: F)
where
    F: Fn(Incarnation, &'static str, &'static [&'static str]) -> R + Clone + Send + 'static,
    R: Future<Output = Result<(), String>> + Send + 'static,
{
    let (hosts, flags): (&[_], &[_]) =
        if compete { (&["host-1", "host-2"], &[ELECT]) } else { (&["host-1"], &[]) };
    for &hostname in hosts {
        let life = life.clone();
        world.start(hostname, move |incarnation| life(incarnation, hostname, flags));
    }
}
