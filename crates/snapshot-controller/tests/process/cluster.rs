//! A cluster with a claim, and a snapshot of it that may not get lost.

use std::ops::Deref;

use serde_json::{Value, json};
use testkit::api::Rule;
use testkit::manifests;
use testkit::process::{DRIVER, Profile, Stand, Subject, eventually};

const PROFILE: Profile = Profile {
    binary: env!("CARGO_BIN_EXE_snapshot-controller"),
    works: "Starting snapshot controller",
    user: "system:serviceaccount:default:snapshot-controller",
    lease: "snapshot-controller-leader",
    rules,
};
const VS: &str = "VolumeSnapshot";
const VSC: &str = "VolumeSnapshotContent";
const KEPT: &str = "kept";
const FINALIZERS: [&str; 2] = [
    "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection",
    "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection",
];

pub(crate) struct Cluster {
    stand: Stand,
    kept: Value,
}

impl Deref for Cluster {
    type Target = Stand;

    fn deref(&self) -> &Stand {
        &self.stand
    }
}

impl Subject for Cluster {
    const WATCHED: &'static [&'static str] = &[
        VS,
        VSC,
        "VolumeSnapshotClass",
        "PersistentVolumeClaim",
        "PersistentVolume",
        "VolumeGroupSnapshot",
        "VolumeGroupSnapshotContent",
        "VolumeGroupSnapshotClass",
    ];

    /// One snapshot is ready already.
    fn new() -> Self {
        let mut cluster = Self::empty();
        cluster.prepare();
        cluster.keep();
        cluster
    }

    /// A snapshot of this name.
    fn want(&self, name: &str) {
        self.snapshot(name, &json!({}));
    }

    fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.server.list(VSC).len(), 1);
        self.assert_nothing_written();
    }

    /// A new snapshot gets a content, and so have all others.
    fn assert_works(&self) {
        if self.get(VS, "later").is_null() {
            self.want("later");
        }
        eventually("every snapshot is bound", || {
            let snapshots = self.server.list(VS);
            snapshots.iter().all(|snapshot| {
                let content = snapshot["status"]["boundVolumeSnapshotContentName"].as_str();
                content.is_some_and(|content| !self.get(VSC, content).is_null())
            })
        });
        self.assert_kept();
    }
}

impl Cluster {
    /// Nothing is there but the kinds.
    pub(crate) fn empty() -> Self {
        let stand = Stand::alone(PROFILE);
        stand.server.install("snapshot.storage.k8s.io");
        stand.server.install("groupsnapshot.storage.k8s.io");
        Self { stand, kept: Value::Null }
    }

    fn prepare(&self) {
        self.create(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": "class"},
            "driver": DRIVER, "deletionPolicy": "Delete",
        }));
        let mut claim = manifests::claim("claim", "class");
        claim["spec"]["volumeName"] = json!("pv");
        let claim = self.server.create(&claim).unwrap();
        let mut volume = manifests::volume("pv", DRIVER, "handle", "class");
        volume["spec"]["claimRef"] =
            json!({"namespace": "default", "name": "claim", "uid": claim["metadata"]["uid"]});
        self.create(volume);
        let bound = json!({"status": {"phase": "Bound"}});
        self.server.patch_status("PersistentVolumeClaim", "default", "claim", &bound).unwrap();
    }

    /// The snapshot that is there before any controller runs.
    fn keep(&mut self) {
        let snapshot = self.snapshot(KEPT, &json!(FINALIZERS));
        let uid = snapshot["metadata"]["uid"].as_str().unwrap();
        let content = format!("snapcontent-{uid}");
        self.create(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC,
            "metadata": {
                "name": content,
                "finalizers": ["snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"],
            },
            "spec": {
                "driver": DRIVER, "deletionPolicy": "Delete", "volumeSnapshotClassName": "class",
                "source": {"volumeHandle": "handle"},
                "volumeSnapshotRef": {"kind": VS, "namespace": "default", "name": KEPT, "uid": uid},
            },
        }));
        let status = json!({"status": {"snapshotHandle": "snap", "readyToUse": true, "creationTime": 0, "restoreSize": 1}});
        self.server.patch_status(VSC, "", &content, &status).unwrap();
        let status = json!({"status": {
            "boundVolumeSnapshotContentName": content, "readyToUse": true, "creationTime": "1970-01-01T00:00:00Z",
            "restoreSize": "1",
        }});
        self.server.patch_status(VS, "default", KEPT, &status).unwrap();
        self.kept = self.kept_now();
    }

    /// Snapshot and content, that are to be as they were.
    fn kept_now(&self) -> Value {
        let snapshot = self.get(VS, KEPT);
        let content = self.get(VSC, snapshot["status"]["boundVolumeSnapshotContentName"].as_str().unwrap());
        json!([snapshot, content])
    }

    fn snapshot(&self, name: &str, finalizers: &Value) -> Value {
        let manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VS,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"source": {"persistentVolumeClaimName": "claim"}, "volumeSnapshotClassName": "class"},
        });
        let mut manifest = manifest;
        if finalizers.is_array() {
            manifest["metadata"]["finalizers"] = finalizers.clone();
        }
        self.server.create(&manifest).unwrap()
    }

    fn create(&self, object: Value) {
        self.server.create(&object).unwrap();
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let namespace = if kind == VS { "default" } else { "" };
        self.server.get(kind, namespace, name).unwrap_or(Value::Null)
    }
}

/// What upstream's roles grant (sheet, section 4).
fn rules() -> Vec<Rule> {
    const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
    const GROUPS: &str = "groupsnapshot.storage.k8s.io";
    const ALL: &[&str] = &["create", "get", "list", "watch", "update", "delete", "patch"];
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch", "update"]),
        Rule::new("", &["events"], &["list", "watch", "create", "update", "patch"]),
        Rule::new(SNAPSHOTS, &["volumesnapshotclasses"], &["get", "list", "watch"]),
        Rule::new(SNAPSHOTS, &["volumesnapshotcontents", "volumesnapshots"], ALL),
        Rule::new(SNAPSHOTS, &["volumesnapshotcontents/status"], &["patch"]),
        Rule::new(SNAPSHOTS, &["volumesnapshots/status"], &["update", "patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshotclasses"], &["get", "list", "watch"]),
        Rule::new(GROUPS, &["volumegroupsnapshotcontents"], ALL),
        Rule::new(GROUPS, &["volumegroupsnapshotcontents/status"], &["patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshots"], &["get", "list", "watch", "update", "patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshots/status"], &["update", "patch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}
