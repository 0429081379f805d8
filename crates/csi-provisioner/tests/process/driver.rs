//! Rows about the driver: not there, not ready, another one, dying.

use csi_client::csi::{
    ControllerGetCapabilitiesRequest, CreateVolumeRequest, DeleteVolumeRequest, GetPluginInfoRequest,
    ProbeRequest, ProbeResponse,
};
use testkit::driver::Step;
use tonic::Code;

use crate::cluster::{Cluster, content};
use crate::program::eventually;
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
            "\"Failed to connect to the CSI driver\" err=\"context deadline exceeded\"",
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
        says: &["Started provisioner controller"],
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
        says: &["Failed to probe the CSI driver", "rpc error: code = FailedPrecondition desc = no backend"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver without a name",
        before: |cluster, _| cluster.driver.configure(|config| config.name.clear()),
        says: &["Error getting CSI driver name", "driver name is empty"],
        end: Expected::Ends(255),
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
        says: &["Error getting CSI driver name", "rpc error: code = Internal desc = broken"],
        end: Expected::Ends(255),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver without a controller",
        before: |cluster, _| {
            let unknown = Step::fail(Code::Unimplemented, "unknown service csi.v1.Controller");
            cluster.driver.always::<ControllerGetCapabilitiesRequest>(unknown);
        },
        says: &["Error getting CSI driver capabilities", "unknown service csi.v1.Controller"],
        end: Expected::Ends(255),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "another driver than expected",
        flags: &["--provisioner=other.example"],
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
        name: "the driver dies before it has made the volume",
        then: |cluster, program| die_in_creation(cluster, program, Step::Hang),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies after it has made the volume",
        then: |cluster, program| die_in_creation(cluster, program, Step::HangAfter),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies after it has deleted the volume",
        then: |cluster, program| {
            program.works();
            cluster.claim("victim");
            cluster.bound("victim");
            cluster.driver.script::<DeleteVolumeRequest>([Step::HangAfter]);
            cluster.server.delete("PersistentVolumeClaim", "default", "victim").unwrap();
            eventually("the volume is deleted in the driver", || cluster.driver.volumes().len() == 1);
            cluster.driver.kill();
        },
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

fn die_in_creation(cluster: &Cluster, program: &crate::program::Program, step: Step) {
    program.works();
    cluster.driver.script::<CreateVolumeRequest>([step]);
    cluster.claim("busy");
    cluster.creation_in_flight();
    cluster.driver.kill();
}
