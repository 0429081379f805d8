//! Wall clocks jump; nothing may depend on it. In process, where a clock can be made to jump.

use std::time::Duration;

use csi_client::{Connection, ConnectionSettings};
use csi_provisioner::{Flags, run};
use jiff::SignedDuration;
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context, DriverConnector};
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
use sidecar_core::random::Random;
use sidecar_core::shutdown::Reason;
use testkit::api::ApiServer;
use testkit::driver::{DriverConfig, ScriptedDriver};
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests;
use testkit::process::DRIVER;
use tokio::time::{Instant, sleep};

use crate::cluster::CLASS;

fn context(server: &ApiServer, driver: &ScriptedDriver, clock: Clock) -> Context {
    let driver = driver.clone();
    let connect = DriverConnector::new(move |_, _| {
        let connection = Connection::from_service(driver.service(), ConnectionSettings::default());
        Box::pin(async move { Ok(connection) })
    });
    Context::builder()
        .clock(clock)
        .random(Random::seeded(1))
        .api(ApiAccess::through(Connector::from_service(server.service(), "csi-provisioner")))
        .driver(connect)
        .build()
}

async fn whole(context: Context) -> Result<(), Exit> {
    let arguments = ["--leader-election", "--kube-api-qps=-1"].map(str::to_owned);
    let parsed = flags::parse(Binary::Provisioner, "csi-provisioner", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}

async fn bound(server: &ApiServer, name: &str) -> Duration {
    let started = Instant::now();
    server.create(&manifests::claim(name, CLASS)).unwrap();
    loop {
        let claim = server.get("PersistentVolumeClaim", "default", name).unwrap();
        if claim["status"]["phase"] == "Bound" {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(600), "{name} is not bound");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_jump_changes_nothing() {
    let server = ApiServer::new();
    let _controllers = KubeControllers::start(&server, KubeOptions::default());
    let driver = ScriptedDriver::new(DriverConfig { name: DRIVER.into(), ..DriverConfig::default() });
    server.create(&manifests::class(CLASS, DRIVER)).unwrap();
    let clock = Clock::simulated("2026-11-21T05:00:00Z".parse().unwrap());
    let context = context(&server, &driver, clock.clone());
    let shutdown = context.shutdown.clone();
    let sidecar = tokio::spawn(whole(context));
    bound(&server, "before").await;
    for (name, hours) in [("a-day-on", 24), ("two-days-back", -48), ("ten-years-on", 87_600)] {
        clock.jump(SignedDuration::from_hours(hours));
        assert!(bound(&server, name).await < Duration::from_secs(5), "{name}");
        // Long enough for renewals, back-offs and the watch of the leader.
        sleep(Duration::from_secs(60)).await;
        assert!(!sidecar.is_finished(), "still leading after {name}");
    }
    let lease = server.get("Lease", "default", "driver-example").unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 0, "never lost and taken again");
    let succeeded =
        server.list("Event").iter().filter(|event| event["reason"] == "ProvisioningSucceeded").count();
    assert_eq!(succeeded, 4, "every claim was told");
    assert_eq!(driver.volumes().len(), 4);
    shutdown.request(Reason::Terminate);
    sidecar.await.unwrap().unwrap();
}
