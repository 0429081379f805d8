//! The shared scenarios on the API server in this process, with a csi-snapshotter and a scripted driver beside the controller.

use std::cell::RefCell;

use csi_client::{Connection, ConnectionSettings};
use serde_json::json;
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context, DriverConnector};
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
use sidecar_core::random::Random;
use testkit::driver::{
    ControllerCapability, DriverConfig, GroupCapability, PluginCapability, ScriptedDriver,
};
use tokio::task::AbortHandle;

use crate::setup::{Controller, DRIVER, EPOCH, ON_CLAIM, PVC, Setup, USER, VGS, VGSC, VS, VSC, strings};
use crate::shared::stage::Stage;
use crate::shared::{groups, snapshots};

const CLAIMS: [&str; 2] = ["one", "two"];
/// The snapshotter's user, with all rights: what it may do is another test's business.
const SIDECAR: &str = "csi-snapshotter";

/// A cluster in which everybody works.
struct Play {
    setup: Setup,
    driver: ScriptedDriver,
    snapshotter: AbortHandle,
    stage: Stage,
}

impl Drop for Play {
    fn drop(&mut self) {
        self.snapshotter.abort();
    }
}

impl Play {
    fn new() -> Self {
        let setup = Setup::new();
        let driver = ScriptedDriver::new(DriverConfig {
            name: DRIVER.into(),
            plugin: vec![PluginCapability::ControllerService, PluginCapability::GroupControllerService],
            controller: vec![ControllerCapability::CreateDeleteSnapshot, ControllerCapability::ListSnapshots],
            group: vec![GroupCapability::CreateDeleteGetVolumeGroupSnapshot],
            ..DriverConfig::default()
        });
        for claim in CLAIMS {
            setup.claim_with(claim, &json!({"metadata": {"labels": {"app": "db"}}}), &json!({}));
            driver.add_volume(&format!("vol-{claim}"), 1 << 30);
        }
        let snapshotter = tokio::spawn(snapshotter(setup.server.clone(), driver.clone())).abort_handle();
        let stage = Stage {
            client: setup.server.client(),
            driver: DRIVER.into(),
            namespace: "default".into(),
            claims: CLAIMS.map(str::to_owned),
            label: ("app".into(), "db".into()),
            prefix: "shared".into(),
        };
        Self { setup, driver, snapshotter, stage }
    }

    /// Nothing is left, and the rules of upstream's manifest have sufficed.
    fn ends(&self) {
        let server = &self.setup.server;
        for kind in [VS, VSC, VGS, VGSC, "VolumeSnapshotClass"] {
            let left = server.list(kind);
            let ours = |name: &str| name.starts_with("shared-") || kind != "VolumeSnapshotClass";
            assert!(
                !left.iter().any(|object| ours(object["metadata"]["name"].as_str().unwrap())),
                "{left:#?}"
            );
        }
        for claim in server.list(PVC) {
            assert!(!strings(&claim["metadata"]["finalizers"]).contains(&ON_CLAIM.to_owned()), "{claim}");
        }
        assert!(self.driver.snapshots().is_empty() && self.driver.groups().is_empty());
        let refused: Vec<_> = self.setup.calls().into_iter().filter(|call| call.ends_with("403")).collect();
        assert_eq!(refused, [] as [&str; 0]);
        assert!(server.calls().iter().any(|call| call.user == USER));
    }
}

/// csi-snapshotter, from its command line.
async fn snapshotter(server: testkit::api::ApiServer, driver: ScriptedDriver) -> Result<(), Exit> {
    let connect = DriverConnector::new(move |_, options| {
        let settings =
            ConnectionSettings { metrics: options.metrics.clone(), ..ConnectionSettings::default() };
        let connection = Connection::from_service(driver.service(), settings);
        Box::pin(async move { Ok(connection) })
    });
    let context = Context::builder()
        .clock(Clock::simulated(EPOCH.parse().unwrap()))
        .random(Random::seeded(2))
        .hostname("sidecar")
        .api(ApiAccess::through(Connector::from_service(server.service(), SIDECAR)))
        .driver(connect)
        .build();
    let arguments = ["--kube-api-qps=-1".to_owned()];
    let parsed = flags::parse(Binary::Snapshotter, SIDECAR, &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    let flags = csi_snapshotter::Flags::read(&parsed, gates, &context.variables)?;
    csi_snapshotter::run(flags, context).await
}

macro_rules! on_this_stage {
    ($of:ident: $($name:ident),+ $(,)?) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let play = Play::new();
            let _controller = play.setup.start(&[]);
            $of::$name(&play.stage).await.unwrap();
            play.ends();
        }
    )+};
}

on_this_stage!(
    snapshots: a_snapshot_is_bound_and_goes_with_its_content,
    a_snapshot_without_a_class_gets_the_default,
    a_retained_snapshot_is_bound_again,
    a_content_of_another_snapshot_is_left_alone,
    a_claim_is_protected_while_it_is_cut,
    a_snapshot_that_is_restored_from_stays,
    a_class_may_come_late_for_a_snapshot,
    a_class_of_another_driver_is_refused,
    a_snapshot_that_lost_its_content_says_so,
);
on_this_stage!(groups: a_group_is_taken_and_goes_with_its_members, a_member_goes_no_sooner_than_its_group);

/// Both compete for the Lease; the one that leads is killed.
#[tokio::test(start_paused = true)]
async fn the_other_replica_goes_on() {
    let play = Play::new();
    let start = |host: &'static str| (host, play.setup.start_as(host, &["--leader-election"]));
    let replicas: RefCell<Vec<(&str, Controller)>> = RefCell::new(["host-1", "host-2"].map(start).into());
    let end = async |leader: &str| {
        let mut replicas = replicas.borrow_mut();
        let before = replicas.len();
        replicas.retain(|(host, _)| *host != leader);
        if replicas.len() < before { Ok(()) } else { Err(format!("{leader} is no replica")) }
    };
    snapshots::the_other_replica_goes_on(&play.stage, end).await.unwrap();
    play.ends();
}
