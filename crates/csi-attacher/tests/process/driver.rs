//! Rows about the driver that have words of the attacher, or are about what it asks for.

use csi_client::csi::ControllerUnpublishVolumeRequest;
use testkit::driver::Step;
use testkit::process::{Subject as _, driver, eventually};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    driver::no_socket(&[
        "\"Still connecting\"",
        "\"Failed to connect to the CSI driver\" err=\"context deadline exceeded\"",
        "no such file or directory): check that its container runs and that --csi-address names its socket",
    ]),
    driver::fails_its_probe(&[
        "CSI driver probe failed: rpc error: code = FailedPrecondition desc = no backend",
    ]),
    driver::cannot_tell_its_name(1, &["rpc error: code = Internal desc = broken"]),
    driver::has_no_controller(1, &["unknown service csi.v1.Controller"]),
    driver::is_another(&["--driver-name=other.example"]),
    driver::dies_before_it_has("the driver dies before it has attached the volume"),
    driver::dies_after_it_has("the driver dies after it has attached the volume"),
    driver::dies("the driver dies after it has detached the volume", |cluster, program| {
        program.works();
        cluster.want("victim");
        cluster.attached("victim");
        cluster.driver().script::<ControllerUnpublishVolumeRequest>([Step::HangAfter]);
        cluster.detach("victim");
        eventually("the driver is asked", || {
            cluster.driver().count::<ControllerUnpublishVolumeRequest>() > 0
        });
        cluster.driver().kill();
    }),
];
