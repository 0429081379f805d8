//! Rows about the driver: not there, not ready, another one, dying.

use csi_client::csi::{
    ControllerGetCapabilitiesRequest, ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest,
    GetPluginInfoRequest, ProbeRequest, ProbeResponse,
};
use testkit::driver::Step;
use tonic::Code;

use crate::cluster::Cluster;
use crate::program::{Program, eventually};
use crate::table::{Expected, ROW, Row};

const LOST: &str = "Lost connection to CSI driver, exiting";
const NOT_READY: fn(&mut ProbeResponse) = |answer| answer.ready = Some(false);

fn serve_again(cluster: &Cluster) {
    cluster.driver.behave();
    cluster.start_driver();
}

pub(crate) static ROWS: &[Row] = &[
    // This one waits for 30 s, so it comes first.
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
        name: "the socket comes late",
        before: |cluster, _| cluster.remove_driver(),
        then: |cluster, program| {
            program.wait_for("Still connecting");
            cluster.start_driver();
        },
        says: &["Starting CSI attacher"],
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
        name: "a driver that fails its probe",
        before: |cluster, _| {
            cluster.driver.always::<ProbeRequest>(Step::fail(Code::FailedPrecondition, "no backend"));
        },
        says: &["CSI driver probe failed: rpc error: code = FailedPrecondition desc = no backend"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
        ..ROW
    },
    Row {
        name: "a driver that cannot tell its name",
        before: |cluster, _| {
            cluster.driver.always::<GetPluginInfoRequest>(Step::fail(Code::Internal, "broken"));
        },
        says: &["rpc error: code = Internal desc = broken"],
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
        says: &["unknown service csi.v1.Controller"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver.behave(),
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
        name: "the driver dies before it has attached the volume",
        then: |cluster, program| die_attaching(cluster, program, Step::Hang),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies after it has attached the volume",
        then: |cluster, program| die_attaching(cluster, program, Step::HangAfter),
        says: &[LOST],
        last_words: LOST,
        end: Expected::Ends(1),
        heal: serve_again,
        ..ROW
    },
    Row {
        name: "the driver dies after it has detached the volume",
        then: |cluster, program| {
            program.works();
            cluster.attach("victim");
            cluster.attached("victim");
            cluster.driver.script::<ControllerUnpublishVolumeRequest>([Step::HangAfter]);
            cluster.detach("victim");
            eventually("the driver is asked", || {
                cluster.driver.count::<ControllerUnpublishVolumeRequest>() > 0
            });
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

fn die_attaching(cluster: &Cluster, program: &Program, step: Step) {
    program.works();
    cluster.driver.script::<ControllerPublishVolumeRequest>([step]);
    cluster.attach("busy");
    cluster.call_in_flight();
    cluster.driver.kill();
}
