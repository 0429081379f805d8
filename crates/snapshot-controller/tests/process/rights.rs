//! Rows about rules that the controller's service account lacks.

use testkit::process::rights::{busy_without, create_leases, missing};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("volumesnapshots", "watch"),
        ..missing(
            "watch snapshots",
            &["is not allowed to watch volumesnapshots: add apiGroups: [\\\"snapshot.storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumeclaims", "watch"),
        ..missing(
            "watch claims",
            &["is not allowed to watch persistentvolumeclaims: add apiGroups: [\\\"\\\"]"],
        )
    },
    create_leases(&["is not allowed to create leases"]),
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumesnapshots", "patch"),
        ..missing(
            "patch snapshots",
            &[
                "snapshot controller failed to update",
                "is not allowed to patch volumesnapshots: add apiGroups",
            ],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "persistentvolumeclaims", "update"),
        ..missing(
            "update claims",
            &[
                "snapshot controller failed to update",
                "is not allowed to update persistentvolumeclaims: add apiGroups",
            ],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumesnapshotcontents", "create"),
        ..missing(
            "create contents",
            &[
                "snapshot controller failed to update",
                "is not allowed to create volumesnapshotcontents: add apiGroups",
            ],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumesnapshots/status", "patch"),
        ..missing(
            "patch the status of snapshots",
            &["is not allowed to patch volumesnapshots/status: add apiGroups"],
        )
    },
];
