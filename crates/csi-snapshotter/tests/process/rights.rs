//! Rows about rules that the snapshotter's service account lacks.

use testkit::process::rights::{busy_without, create_leases, get_leases, missing, update_leases};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("volumesnapshotcontents", "watch"),
        ..missing(
            "watch contents",
            &[
                "is not allowed to watch volumesnapshotcontents: add apiGroups: [\\\"snapshot.storage.k8s.io\\\"]",
            ],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("volumesnapshotclasses", "watch"),
        ..missing("watch classes", &["is not allowed to watch volumesnapshotclasses: add apiGroups"])
    },
    get_leases(&["is not allowed to get leases"]),
    create_leases(&["is not allowed to create leases"]),
    update_leases(),
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumesnapshotcontents", "patch"),
        ..missing(
            "patch contents",
            &[
                "failed to add VolumeSnapshotBeingCreated annotation on the content busy",
                "is not allowed to patch volumesnapshotcontents: add apiGroups",
            ],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumesnapshotcontents/status", "patch"),
        ..missing(
            "patch the status of contents",
            &[
                "error updating status for volume snapshot content busy",
                "is not allowed to patch volumesnapshotcontents/status: add apiGroups",
            ],
        )
    },
];
