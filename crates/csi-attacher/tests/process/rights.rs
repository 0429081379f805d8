//! Rows about rules that a service account lacks: the message says which one to add, and once it is there work goes on
//! without a restart.

use crate::cluster::Cluster;
use crate::table::{ROW, Row};

const QUICK_LEASE: &[&str] = &[
    "--leader-election",
    "--leader-election-lease-duration=4s",
    "--leader-election-renew-deadline=3s",
    "--leader-election-retry-period=1s",
];

/// A right without which the sidecar cannot begin.
const fn from_the_start(name: &'static str, says: &'static [&'static str]) -> Row {
    Row { name, says, heal: Cluster::allow_all, ..ROW }
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("volumeattachments", "watch"),
        ..from_the_start(
            "watch attachments",
            &["is not allowed to watch volumeattachments: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumes", "watch"),
        ..from_the_start(
            "watch volumes",
            &["is not allowed to watch persistentvolumes: add apiGroups: [\\\"\\\"]"],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("csinodes", "watch"),
        ..from_the_start("watch nodes", &["is not allowed to watch csinodes: add apiGroups"])
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "create"),
        ..from_the_start("create the lease", &["is not allowed to create leases"])
    },
    Row {
        name: "patch attachments",
        then: |cluster, program| {
            program.works();
            cluster.forbid("volumeattachments", "patch");
            cluster.attach("busy");
        },
        says: &[
            "could not save VolumeAttachment",
            "is not allowed to patch volumeattachments: add apiGroups",
        ],
        heal: Cluster::allow_all,
        ..ROW
    },
    Row {
        name: "patch the status of attachments",
        then: |cluster, program| {
            program.works();
            cluster.forbid("volumeattachments/status", "patch");
            cluster.attach("busy");
        },
        says: &[
            "failed to mark as attached",
            "is not allowed to patch volumeattachments/status: add apiGroups",
        ],
        heal: Cluster::allow_all,
        ..ROW
    },
    Row {
        name: "patch volumes",
        then: |cluster, program| {
            program.works();
            cluster.forbid("persistentvolumes", "patch");
            cluster.attach("busy");
        },
        says: &[
            "could not add PersistentVolume finalizer",
            "is not allowed to patch persistentvolumes: add apiGroups",
        ],
        heal: Cluster::allow_all,
        ..ROW
    },
];
