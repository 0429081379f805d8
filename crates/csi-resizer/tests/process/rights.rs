//! Rows about rules that a service account lacks: the message says which one to add, and once it is there work goes on
//! without a restart.

use csi_client::csi::ControllerExpandVolumeRequest;
use testkit::driver::Step;
use tonic::Code;

use crate::cluster::Cluster;
use crate::program::Program;
use crate::server::QUICK_LEASE;
use crate::table::{Expected, ROW, Row};

/// A right without which the sidecar cannot go on.
const fn missing(name: &'static str, says: &'static [&'static str]) -> Row {
    Row { name, says, heal: Cluster::allow_all, ..ROW }
}

fn works_without(cluster: &Cluster, program: &Program, resource: &str, verb: &str) {
    program.works();
    cluster.forbid(resource, verb);
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumeclaims", "watch"),
        ..missing(
            "watch claims",
            &[
                "watch persistentvolumeclaims: add apiGroups: [\\\"\\\"], resources: [\\\"persistentvolumeclaims\\\"]",
            ],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumes", "watch"),
        ..missing("watch volumes", &["is not allowed to watch persistentvolumes: add apiGroups: [\\\"\\\"]"])
    },
    Row {
        before: |cluster, _| cluster.forbid("volumeattributesclasses", "watch"),
        ..missing(
            "watch attributes classes",
            &["is not allowed to watch volumeattributesclasses: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| {
            cluster.forbid("pods", "watch");
            let refusal = Step::fail(Code::FailedPrecondition, "in use");
            cluster.driver.script::<ControllerExpandVolumeRequest>([refusal]);
            cluster.claim("busy");
        },
        ..missing("watch pods", &["is not allowed to watch pods: add apiGroups: [\\\"\\\"]"])
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "get"),
        ..missing("get leases", &["is not allowed to get leases", "to a Role in namespace default"])
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "create"),
        ..missing(
            "create leases",
            &["Error initially creating lease lock", "is not allowed to create leases"],
        )
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "update"),
        end: Expected::Ends(1),
        ..missing("update leases", &["is not allowed to update leases", "Failed to renew lease"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "persistentvolumeclaims/status", "patch");
            cluster.claim("busy");
        },
        ..missing(
            "patch the status of claims",
            &["Error syncing PVC", "marking pvc", "is not allowed to patch persistentvolumeclaims/status"],
        )
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "persistentvolumes", "patch");
            cluster.claim("busy");
        },
        ..missing("patch volumes", &["Error syncing PVC", "is not allowed to patch persistentvolumes"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "events", "create");
            cluster.claim("busy");
        },
        ..missing("create events", &["Server rejected event", "is not allowed to create events"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "secrets", "get");
            cluster.secretive_claim("busy");
        },
        ..missing(
            "get secrets",
            &["error getting secret secret in namespace default", "is not allowed to get secrets"],
        )
    },
];
