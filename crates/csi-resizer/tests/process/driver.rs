//! Rows about the driver: not there, not ready, another one, dying.

use csi_client::csi::{
    ControllerExpandVolumeRequest, ControllerGetCapabilitiesRequest, GetPluginCapabilitiesRequest,
    GetPluginInfoRequest, ProbeRequest, ProbeResponse,
};
use testkit::driver::{ControllerCapability, Step};
use tonic::Code;

use crate::cluster::{Cluster, content};
use crate::program::Program;
use crate::table::{Expected, ROW, Row};

const LOST: &str = "Lost connection to CSI driver, exiting";
const NOT_READY: fn(&mut ProbeResponse) = |answer| answer.ready = Some(false);

fn serve_again(cluster: &Cluster) {
    cluster.driver.behave();
    cluster.start_driver();
}

pub(crate) static ROWS: &[Row] = &[
    // These two wait for 30 s, so they come first.
    Row {
        name: "no socket",
        before: |cluster, _| cluster.remove_driver(),
        says: &[
            "\"Still connecting\"",
            "Failed to connect to CSI driver",
            "no such file or directory): check that its container runs and that --csi-address names its socket",
        ],
        end: Expected::Refuses(1),
        ..ROW
    },
    Row {
        name: "the socket is a file",
        before: |cluster, _| {
            cluster.remove_driver();
            std::fs::write(cluster.socket(), "precious").unwrap();
        },
        says: &["no CSI driver answers at unix://", "connection refused"],
        end: Expected::Refuses(1),
        heal: |cluster| assert_eq!(content(&cluster.socket()), "precious"),
        ..ROW
    },
    Row {
        name: "the socket comes late",
        before: |cluster, _| cluster.remove_driver(),
        then: |cluster, program| {
            program.wait_for("Still connecting");
            cluster.start_driver();
        },
        says: &["Started resize controller"],
        ..ROW
    },
    Row {
        name: "a driver that gets ready",
        before: |cluster, _| cluster.driver.always::<ProbeRequest>(Step::edit(NOT_READY)),
        then: |cluster, program| {
            program.wait_for_times("CSI driver is not ready", 2);
            cluster.driver.behave();
        },
        ..ROW
    },
    Row {
        name: "a driver that answers its probe late",
        flags: &["--timeout=1s"],
        before: |cluster, _| cluster.driver.script::<ProbeRequest>([Step::Hang]),
        says: &["CSI driver probe timed out"],
        ..ROW
    },
    Row {
        name: "a driver that fails its probe",
        before: |cluster, _| {
            cluster.driver.always::<ProbeRequest>(Step::fail(Code::FailedPrecondition, "no backend"));
        },
        says: &["rpc error: code = FailedPrecondition desc = no backend"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver without a name",
        before: |cluster, _| cluster.driver.configure(|config| config.name.clear()),
        says: &["Failed to get driver name", "driver name is empty"],
        end: Expected::Ends(1),
        heal: |cluster| {
            cluster.driver.configure(|config| crate::cluster::DRIVER.clone_into(&mut config.name));
        },
        ..ROW
    },
    Row {
        name: "a driver that cannot tell its name",
        before: |cluster, _| {
            cluster.driver.always::<GetPluginInfoRequest>(Step::fail(Code::Internal, "broken"));
        },
        says: &["Failed to get driver name", "rpc error: code = Internal desc = broken"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver without a controller",
        before: |cluster, _| {
            let unknown = Step::fail(Code::Unimplemented, "unknown service csi.v1.Controller");
            cluster.driver.always::<ControllerGetCapabilitiesRequest>(unknown);
        },
        says: &["Failed to create CSI resizer", "unknown service csi.v1.Controller"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver that says nothing about itself",
        before: |cluster, _| {
            cluster.driver.always::<GetPluginCapabilitiesRequest>(Step::fail(Code::Internal, "broken"));
        },
        says: &["Failed to create CSI resizer", "broken"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver that can do nothing of this",
        before: |cluster, _| cluster.driver.configure(|config| config.controller.clear()),
        says: &["CSI driver does not support resize nor modify"],
        end: Expected::Ends(255),
        heal: |cluster| {
            cluster.driver.configure(|config| config.controller.push(ControllerCapability::ExpandVolume));
        },
        ..ROW
    },
    Row {
        name: "another driver than expected",
        flags: &["--driver-name=other.example"],
        says: &[
            "The driver behind the socket is not the expected one",
            "expected=\"other.example\" found=\"driver.example\"",
            "csi.sock",
        ],
        end: Expected::Refuses(1),
        ..ROW
    },
    Row {
        name: "the driver dies while idle",
        then: |cluster, program| {
            program.works();
            cluster.driver.kill();
        },
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies before it has expanded the volume",
        then: |cluster, program| die_in_expansion(cluster, program, Step::Hang),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies after it has expanded the volume",
        then: |cluster, program| die_in_expansion(cluster, program, Step::HangAfter),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies while the sidecar stands by",
        flags: &["--leader-election"],
        before: |cluster, _| cluster.occupy_lease(),
        then: |cluster, program| {
            program.wait_for("Attempting to acquire leader lease");
            cluster.driver.kill();
        },
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
    },
];

fn die_in_expansion(cluster: &Cluster, program: &Program, step: Step) {
    program.works();
    cluster.driver.script::<ControllerExpandVolumeRequest>([step]);
    cluster.claim("busy");
    cluster.expansion_in_flight();
    cluster.driver.kill();
}
