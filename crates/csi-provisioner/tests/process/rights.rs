//! Rows about rules that a service account lacks: the message says which one to add, and once it is there work goes on
//! without a restart.
//!
//! Rules that nothing asks for yet cannot be missed here: `list` (a streaming list is a watch), `update` of claims (a claim
//! is given back to the scheduler only where topology counts). The lab shows for the real server what suffices.

use csi_client::csi::CreateVolumeRequest;
use serde_json::json;
use testkit::driver::{ControllerCapability, Step};
use testkit::manifests;
use tonic::Code;

use crate::cluster::{CLASS, Cluster, DRIVER};
use crate::program::Program;
use crate::table::{Expected, ROW, Row};

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

fn works_without(cluster: &Cluster, program: &Program, resource: &str, verb: &str) {
    program.works();
    cluster.forbid(resource, verb);
}

fn delete_without(cluster: &Cluster, program: &Program, verb: &str) {
    program.works();
    cluster.claim("victim");
    cluster.bound("victim");
    cluster.forbid("persistentvolumes", verb);
    cluster.server.delete("PersistentVolumeClaim", "default", "victim").unwrap();
}

pub(crate) static ROWS: &[Row] = &[
    Row {
        before: |cluster, _| cluster.forbid("persistentvolumeclaims", "watch"),
        ..from_the_start(
            "watch claims",
            &[
                "watch persistentvolumeclaims: add apiGroups: [\\\"\\\"], resources: [\\\"persistentvolumeclaims\\\"], verbs: [\\\"watch\\\"] to a ClusterRole",
            ],
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
        before: |cluster, _| cluster.forbid("storageclasses", "watch"),
        ..from_the_start(
            "watch classes",
            &["is not allowed to watch storageclasses: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        before: |cluster, _| {
            cluster.forbid("volumeattachments", "watch");
            let attaches = ControllerCapability::PublishUnpublishVolume;
            cluster.driver.configure(|config| config.controller.push(attaches));
        },
        ..from_the_start(
            "watch attachments",
            &["is not allowed to watch volumeattachments: add apiGroups: [\\\"storage.k8s.io\\\"]"],
        )
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "get"),
        ..from_the_start(
            "get leases",
            &[
                "Error retrieving lease lock",
                "is not allowed to get leases",
                "to a Role in namespace default",
            ],
        )
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "create"),
        ..from_the_start(
            "create leases",
            &["Error initially creating lease lock", "is not allowed to create leases"],
        )
    },
    Row {
        flags: QUICK_LEASE,
        before: |cluster, _| cluster.forbid("leases", "update"),
        end: Expected::Ends(1),
        ..from_the_start("update leases", &["is not allowed to update leases", "Failed to renew lease"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "persistentvolumes", "create");
            cluster.claim("busy");
        },
        ..from_the_start(
            "create volumes",
            &[
                "Saving volume was rejected",
                "is not allowed to create persistentvolumes: add apiGroups: [\\\"\\\"]",
            ],
        )
    },
    Row {
        then: |cluster, program| delete_without(cluster, program, "delete"),
        ..from_the_start(
            "delete volumes",
            &["error syncing volume", "is not allowed to delete persistentvolumes"],
        )
    },
    Row {
        then: |cluster, program| delete_without(cluster, program, "patch"),
        ..from_the_start(
            "patch volumes",
            &["failed to modify finalizers", "is not allowed to patch persistentvolumes"],
        )
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "events", "create");
            cluster.claim("busy");
        },
        ..from_the_start("create events", &["Server rejected event", "is not allowed to create events"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "events", "patch");
            let failures = vec![Step::fail(Code::ResourceExhausted, "full"); 3];
            cluster.driver.script::<CreateVolumeRequest>(failures);
            cluster.claim("busy");
        },
        ..from_the_start("patch events", &["Server rejected event", "is not allowed to patch events"])
    },
    Row {
        then: |cluster, program| {
            works_without(cluster, program, "persistentvolumeclaims", "get");
            cluster.driver.script::<CreateVolumeRequest>([Step::fail(Code::DeadlineExceeded, "slow")]);
            cluster.claim("busy");
        },
        ..from_the_start(
            "get claims",
            &["error syncing claim", "is not allowed to get persistentvolumeclaims"],
        )
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
        ..from_the_start("get secrets", &["error syncing claim", "is not allowed to get secrets"])
    },
    Row {
        before: |cluster, _| {
            let modifies = ControllerCapability::ModifyVolume;
            cluster.driver.configure(|config| config.controller.push(modifies));
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
        ..from_the_start(
            "get attributes classes",
            &["error syncing claim", "is not allowed to get volumeattributesclasses"],
        )
    },
];
