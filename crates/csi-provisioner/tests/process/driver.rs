//! Rows about the driver that have words of the provisioner, or are about what it asks for.

use csi_client::csi::DeleteVolumeRequest;
use testkit::driver::Step;
use testkit::process::{Subject as _, driver, eventually};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    driver::no_socket(&[
        "\"Still connecting\"",
        "\"Failed to connect to the CSI driver\" err=\"context deadline exceeded\"",
        "no such file or directory): check that its container runs and that --csi-address names its socket",
    ]),
    driver::socket_is_a_file(),
    driver::answers_its_probe_late(),
    driver::fails_its_probe(&[
        "Failed to probe the CSI driver",
        "rpc error: code = FailedPrecondition desc = no backend",
    ]),
    driver::has_no_name(255, &["Error getting CSI driver name", "driver name is empty"]),
    driver::cannot_tell_its_name(
        255,
        &["Error getting CSI driver name", "rpc error: code = Internal desc = broken"],
    ),
    driver::has_no_controller(
        255,
        &["Error getting CSI driver capabilities", "unknown service csi.v1.Controller"],
    ),
    driver::is_another(&["--provisioner=other.example"]),
    driver::dies_before_it_has("the driver dies before it has made the volume"),
    driver::dies_after_it_has("the driver dies after it has made the volume"),
    driver::dies("the driver dies after it has deleted the volume", |cluster, program| {
        program.works();
        cluster.want("victim");
        cluster.bound("victim");
        cluster.driver().script::<DeleteVolumeRequest>([Step::HangAfter]);
        cluster.server.delete("PersistentVolumeClaim", "default", "victim").unwrap();
        eventually("the volume is deleted in the driver", || cluster.driver().volumes().len() == 1);
        cluster.driver().kill();
    }),
];
