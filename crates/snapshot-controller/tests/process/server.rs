//! Rows about the API server that have words of the controller.

use testkit::process::server;

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    server::away_at_the_start(&["the definitions of some kinds cannot be seen yet", "Connection refused"]),
    server::watches_break(),
    Row {
        name: "no definitions",
        before: |cluster, _| cluster.server.hide("VolumeSnapshot"),
        flags: &["--retry-crd-interval-max=2s"],
        end: testkit::process::Expected::Refuses(1),
        says: &[
            "Exiting due to failure to ensure CRDs exist during startup",
            "failed to list volumesnapshots",
        ],
        ..Row::BLANK
    },
    Row {
        name: "no definitions of groups",
        before: |cluster, _| cluster.server.hide("VolumeGroupSnapshotContent"),
        flags: &["--retry-crd-interval-max=1s"],
        says: &["groups are not worked on until they are"],
        ..Row::BLANK
    },
];
