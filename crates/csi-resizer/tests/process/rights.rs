//! Rows about rules that the resizer's service account lacks.

use csi_client::csi::ControllerExpandVolumeRequest;
use testkit::driver::Step;
use testkit::process::Subject as _;
use testkit::process::rights::{
    busy_without, create_leases, get_leases, missing, update_leases, works_without,
};
use tonic::Code;

use crate::Row;

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
            cluster.driver().script::<ControllerExpandVolumeRequest>([refusal]);
            cluster.want("busy");
        },
        ..missing("watch pods", &["is not allowed to watch pods: add apiGroups: [\\\"\\\"]"])
    },
    get_leases(&["is not allowed to get leases", "to a Role in namespace default"]),
    create_leases(&["Error initially creating lease lock", "is not allowed to create leases"]),
    update_leases(),
    Row {
        then: |cluster, program| busy_without(cluster, program, "persistentvolumeclaims/status", "patch"),
        ..missing(
            "patch the status of claims",
            &["Error syncing PVC", "marking pvc", "is not allowed to patch persistentvolumeclaims/status"],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "persistentvolumes", "patch"),
        ..missing("patch volumes", &["Error syncing PVC", "is not allowed to patch persistentvolumes"])
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "events", "create"),
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
