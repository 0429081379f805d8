//! Rows about rules that the provisioner's service account lacks.
//!
//! Rules that nothing asks for yet cannot be missed here: `list` (a streaming list is a watch), `update` of claims (a claim
//! is given back to the scheduler only where topology counts). The lab shows for the real server what suffices.

use csi_client::csi::CreateVolumeRequest;
use serde_json::json;
use testkit::driver::{ControllerCapability, Step};
use testkit::manifests;
use testkit::process::rights::{
    busy_without, create_leases, get_leases, missing, update_leases, works_without,
};
use testkit::process::{DRIVER, Program, Subject as _};
use tonic::Code;

use crate::Row;
use crate::cluster::{CLASS, Cluster};

fn delete_without(cluster: &Cluster, program: &Program, verb: &str) {
    program.works();
    cluster.want("victim");
    cluster.bound("victim");
    cluster.forbid("persistentvolumes", verb);
    cluster.server.delete("PersistentVolumeClaim", "default", "victim").unwrap();
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumeclaims", "watch"),
        ..missing(
            "watch claims",
            &[
                "watch persistentvolumeclaims: add apiGroups: [\\\"\\\"], resources: [\\\"persistentvolumeclaims\\\"], verbs: [\\\"watch\\\"] to a ClusterRole",
            ],
        )
    },
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumes", "watch"),
        ..missing("watch volumes", &["is not allowed to watch persistentvolumes: add apiGroups: [\\\"\\\"]"])
    },
    Row {
        before: |cluster, _| cluster.forbid("storageclasses", "watch"),
        ..missing(
            "watch classes",
            &["is not allowed to watch storageclasses: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| {
            cluster.forbid("volumeattachments", "watch");
            let attaches = ControllerCapability::PublishUnpublishVolume;
            cluster.driver().configure(|config| config.controller.push(attaches));
        },
        ..missing(
            "watch attachments",
            &["is not allowed to watch volumeattachments: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    get_leases(&[
        "Error retrieving lease lock",
        "is not allowed to get leases",
        "to a Role in namespace default",
    ]),
    create_leases(&["Error initially creating lease lock", "is not allowed to create leases"]),
    update_leases(),
    Row {
        then: |cluster, program| busy_without(cluster, program, "persistentvolumes", "create"),
        ..missing(
            "create volumes",
            &[
                "Saving volume was rejected",
                "is not allowed to create persistentvolumes: add apiGroups: [\\\"\\\"]",
            ],
        )
    },
    Row {
        then: |cluster, program| delete_without(cluster, program, "delete"),
        ..missing("delete volumes", &["error syncing volume", "is not allowed to delete persistentvolumes"])
    },
    Row {
        then: |cluster, program| delete_without(cluster, program, "patch"),
        ..missing(
            "patch volumes",
            &["failed to modify finalizers", "is not allowed to patch persistentvolumes"],
        )
    },
    Row {
        then: |cluster, program| busy_without(cluster, program, "events", "create"),
        ..missing("create events", &["Server rejected event", "is not allowed to create events"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "events", "patch");
            let failures = vec![Step::fail(Code::ResourceExhausted, "full"); 3];
            cluster.driver().script::<CreateVolumeRequest>(failures);
            cluster.want("busy");
        },
        ..missing("patch events", &["Server rejected event", "is not allowed to patch events"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "persistentvolumeclaims", "get");
            cluster.driver().script::<CreateVolumeRequest>([Step::fail(Code::DeadlineExceeded, "slow")]);
            cluster.want("busy");
        },
        ..missing("get claims", &["error syncing claim", "is not allowed to get persistentvolumeclaims"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "secrets", "get");
            cluster
                .server
                .create(&json!({"kind": "Secret", "metadata": {"name": "secret", "namespace": "default"}}))
                .unwrap();
            let mut class = manifests::class("secretive", DRIVER);
            class["parameters"] = json!({
                "csi.storage.k8s.io/provisioner-secret-name": "secret",
                "csi.storage.k8s.io/provisioner-secret-namespace": "default",
            });
            cluster.server.create(&class).unwrap();
            cluster.claim_of("busy", "secretive");
        },
        ..missing("get secrets", &["error syncing claim", "is not allowed to get secrets"])
    },
    Row {
        before: |cluster, _| {
            let modifies = ControllerCapability::ModifyVolume;
            cluster.driver().configure(|config| config.controller.push(modifies));
        },
        then: |cluster, program| {
            works_without(cluster, program, "volumeattributesclasses", "get");
            let class = json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
                "metadata": {"name": "gold"}, "driverName": DRIVER, "parameters": {"iops": "9"},
            });
            cluster.server.create(&class).unwrap();
            let mut claim = manifests::claim("busy", CLASS);
            claim["spec"]["volumeAttributesClassName"] = json!("gold");
            cluster.server.create(&claim).unwrap();
        },
        ..missing(
            "get attributes classes",
            &["error syncing claim", "is not allowed to get volumeattributesclasses"],
        )
    },
];
