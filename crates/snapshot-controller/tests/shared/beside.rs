//! What the shared scenarios need beside the controller: claims with volumes, a scripted driver that has these, and a
//! csi-snapshotter that carries out what contents say.

use serde_json::json;
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context};
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
use sidecar_testkit::{Sidecar, command_line, connector, context};
use snapshot_api::names::finalizers::CLAIM_SOURCE;
use testkit::api::ApiServer;
use testkit::driver::{
    ControllerCapability, DriverConfig, GroupCapability, PluginCapability, ScriptedDriver,
};
use testkit::manifests;

use crate::shared::stage::Stage;

const CLAIMS: [&str; 2] = ["one", "two"];
const SIDECAR: &str = "csi-snapshotter";

/// Everything beside the controller; dropping it ends the snapshotter.
pub(crate) struct Beside {
    driver: ScriptedDriver,
    _snapshotter: Sidecar,
    pub(crate) stage: Stage,
}

impl Beside {
    /// Makes it all on a server that has the kinds. Within a runtime.
    pub(crate) fn new(server: &ApiServer, driver_name: &str, clock: Clock) -> Self {
        let driver = ScriptedDriver::new(DriverConfig {
            name: driver_name.into(),
            plugin: vec![PluginCapability::ControllerService, PluginCapability::GroupControllerService],
            controller: vec![ControllerCapability::CreateDeleteSnapshot, ControllerCapability::ListSnapshots],
            group: vec![GroupCapability::CreateDeleteGetVolumeGroupSnapshot],
            ..DriverConfig::default()
        });
        for name in CLAIMS {
            let (volume, handle) = (format!("pv-{name}"), format!("vol-{name}"));
            let mut claim = manifests::claim(name, "class");
            claim["metadata"]["labels"] = json!({"app": "db"});
            claim["spec"]["volumeName"] = json!(volume);
            let created = server.create(&claim).unwrap();
            let mut object = manifests::volume(&volume, driver_name, &handle, "class");
            object["spec"]["claimRef"] =
                json!({"namespace": "default", "name": name, "uid": created["metadata"]["uid"]});
            server.create(&object).unwrap();
            let bound = json!({"status": {"phase": "Bound"}});
            server.patch_status("PersistentVolumeClaim", "default", name, &bound).unwrap();
            driver.add_volume(&handle, 1 << 30);
        }
        let snapshotter = snapshotter(server, &driver, clock);
        let stage = Stage {
            client: server.client(),
            driver: driver_name.into(),
            namespace: "default".into(),
            claims: CLAIMS.map(str::to_owned),
            label: ("app".into(), "db".into()),
            prefix: "shared".into(),
        };
        Self { driver, _snapshotter: snapshotter, stage }
    }

    /// A scenario has left nothing, and the rules that the controller's user has have sufficed.
    pub(crate) fn assert_nothing_left(&self, server: &ApiServer, user: &str) {
        let kinds = [
            "VolumeSnapshot",
            "VolumeSnapshotContent",
            "VolumeSnapshotClass",
            "VolumeGroupSnapshot",
            "VolumeGroupSnapshotContent",
            "VolumeGroupSnapshotClass",
        ];
        for kind in kinds {
            let left = server.list(kind);
            let ours = left.iter().filter(|object| object.to_string().contains("shared-"));
            assert_eq!(ours.count(), 0, "{left:#?}");
        }
        for claim in server.list("PersistentVolumeClaim") {
            assert!(!claim["metadata"].to_string().contains(CLAIM_SOURCE), "{claim}");
        }
        assert!(self.driver.snapshots().is_empty() && self.driver.groups().is_empty());
        let calls = server.calls();
        let mut calls = calls.iter().filter(|call| call.user == user).peekable();
        assert!(calls.peek().is_some(), "it was somebody else");
        let refused: Vec<_> = calls.filter(|call| call.code == 403).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

/// csi-snapshotter. It has all rights: what it may do is its own tests' business.
fn snapshotter(server: &ApiServer, driver: &ScriptedDriver, clock: Clock) -> Sidecar {
    let api = ApiAccess::through(Connector::from_service(server.service(), SIDECAR));
    let context = context(server, SIDECAR, "sidecar").clock(clock).api(api).driver(connector(driver));
    Sidecar::start(command_line(&["--kube-api-qps=-1"], &[]), context.build(), whole)
}

/// What its `main` does with a command line.
async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Snapshotter, SIDECAR, &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    csi_snapshotter::run(csi_snapshotter::Flags::read(&parsed, gates, &context.variables)?, context).await
}
