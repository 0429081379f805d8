//! Rows about rules that the attacher's service account lacks.

use testkit::process::rights::{busy_without, create_leases, missing};

use crate::Row;

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("volumeattachments", "watch"),
        ..missing(
            "watch attachments",
            &["is not allowed to watch volumeattachments: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumes", "watch"),
        ..missing("watch volumes", &["is not allowed to watch persistentvolumes: add apiGroups: [\\\"\\\"]"])
    },
    Row {
        before: |cluster, _| cluster.forbid("csinodes", "watch"),
        ..missing("watch nodes", &["is not allowed to watch csinodes: add apiGroups"])
    },
    create_leases(&["is not allowed to create leases"]),
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumeattachments", "patch"),
        ..missing(
            "patch attachments",
            &["could not save VolumeAttachment", "is not allowed to patch volumeattachments: add apiGroups"],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "volumeattachments/status", "patch"),
        ..missing(
            "patch the status of attachments",
            &[
                "failed to mark as attached",
                "is not allowed to patch volumeattachments/status: add apiGroups",
            ],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "persistentvolumes", "patch"),
        ..missing(
            "patch volumes",
            &[
                "could not add PersistentVolume finalizer",
                "is not allowed to patch persistentvolumes: add apiGroups",
            ],
        )
    },
];
