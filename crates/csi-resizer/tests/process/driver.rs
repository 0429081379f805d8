//! Rows about the driver that have words of the resizer, or are about what it asks for.

use csi_client::csi::GetPluginCapabilitiesRequest;
use testkit::driver::{ControllerCapability, Step};
use testkit::process::{Expected, driver};
use tonic::Code;

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    driver::no_socket(&[
        "\"Still connecting\"",
        "Failed to connect to CSI driver",
        "no such file or directory): check that its container runs and that --csi-address names its socket",
    ]),
    driver::socket_is_a_file(),
    driver::answers_its_probe_late(),
    driver::fails_its_probe(&["rpc error: code = FailedPrecondition desc = no backend"]),
    driver::has_no_name(1, &["Failed to get driver name", "driver name is empty"]),
    driver::cannot_tell_its_name(
        1,
        &["Failed to get driver name", "rpc error: code = Internal desc = broken"],
    ),
    driver::has_no_controller(1, &["Failed to create CSI resizer", "unknown service csi.v1.Controller"]),
    Row {
        name: "a driver that says nothing about itself",
        before: |cluster, _| {
            cluster.driver().always::<GetPluginCapabilitiesRequest>(Step::fail(Code::Internal, "broken"));
        },
        says: &["Failed to create CSI resizer", "broken"],
        end: Expected::Ends(1),
        heal: |cluster| cluster.driver().behave(),
        ..Row::BLANK
    },
    Row {
        name: "a driver that can do nothing of this",
        before: |cluster, _| cluster.driver().configure(|config| config.controller.clear()),
        says: &["CSI driver does not support resize nor modify"],
        end: Expected::Ends(255),
        heal: |cluster| {
            cluster.driver().configure(|config| config.controller.push(ControllerCapability::ExpandVolume));
        },
        ..Row::BLANK
    },
    driver::is_another(&["--driver-name=other.example"]),
    driver::dies_before_it_has("the driver dies before it has expanded the volume"),
    driver::dies_after_it_has("the driver dies after it has expanded the volume"),
];
