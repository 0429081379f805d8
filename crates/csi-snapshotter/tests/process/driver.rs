//! Rows about the driver that have words of the snapshotter, or are about what it asks for.

use csi_client::csi::DeleteSnapshotRequest;
use testkit::driver::Step;
use testkit::process::{Subject as _, driver, eventually};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    driver::no_socket(&[
        "\"Still connecting\"",
        "\"Failed to connect to CSI driver\" err=\"context deadline exceeded\"",
        "no such file or directory): check that its container runs and that --csi-address names its socket",
    ]),
    driver::answers_its_probe_late(),
    driver::fails_its_probe(&[
        "CSI driver probe failed: rpc error: code = FailedPrecondition desc = no backend",
    ]),
    driver::has_no_name(1, &["Failed to get CSI driver name", "driver name is empty"]),
    driver::cannot_tell_its_name(1, &["rpc error: code = Internal desc = broken"]),
    Row {
        before: |cluster, _| cluster.driver().configure(|config| config.controller.clear()),
        heal: |cluster| {
            let able = testkit::driver::ControllerCapability::CreateDeleteSnapshot;
            cluster.driver().configure(|config| config.controller.push(able));
        },
        name: "a driver without snapshots",
        says: &["CSI driver does not support CREATE_DELETE_SNAPSHOT"],
        end: testkit::process::Expected::Ends(1),
        ..Row::BLANK
    },
    driver::is_another(&["--driver-name=other.example"]),
    driver::dies_before_it_has("the driver dies before it has taken the snapshot"),
    driver::dies_after_it_has("the driver dies after it has taken the snapshot"),
    driver::dies("the driver dies after it has deleted the snapshot", |cluster, program| {
        program.works();
        cluster.want("victim");
        cluster.ready("victim");
        cluster.driver().script::<DeleteSnapshotRequest>([Step::HangAfter]);
        cluster.delete("victim");
        eventually("the driver is asked", || cluster.driver().count::<DeleteSnapshotRequest>() > 0);
        cluster.driver().kill();
    }),
];
