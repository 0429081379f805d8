//! A cluster with a snapshot that may not get lost.

use std::ops::Deref;

use csi_client::csi::CreateSnapshotRequest;
use serde_json::{Value, json};
use snapshot_api::names::{annotations, finalizers};
use testkit::api::Rule;
use testkit::driver::{ControllerCapability, DriverConfig, Step};
use testkit::process::{Calling, DRIVER, Profile, Stand, Subject, eventually};

const PROFILE: Profile = Profile {
    binary: env!("CARGO_BIN_EXE_csi-snapshotter"),
    works: "Starting CSI snapshotter",
    user: "system:serviceaccount:default:csi-snapshotter",
    lease: "external-snapshotter-leader-driver-example",
    rules,
};
const VSC: &str = "VolumeSnapshotContent";
const KEPT: &str = "kept";
const VOLUME: &str = "volume";
const GIB: i64 = 1 << 30;

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
    const WATCHED: &'static [&'static str] = &[VSC, "VolumeSnapshotClass"];

    /// One snapshot is there already.
    fn new() -> Self {
        let controller = vec![ControllerCapability::CreateDeleteSnapshot];
        let stand = Stand::with_driver(PROFILE, DriverConfig { controller, ..DriverConfig::default() });
        stand.server.install("snapshot.storage.k8s.io");
        let mut cluster = Self { stand, kept: Value::Null };
        cluster.driver().add_volume(VOLUME, GIB);
        cluster.create(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {"name": "class"}, "driver": DRIVER, "deletionPolicy": "Delete",
        }));
        cluster.keep();
        cluster
    }

    /// A snapshot of this name.
    fn want(&self, name: &str) {
        self.create(content(name));
    }

    fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.driver().snapshots().len(), 1);
        self.assert_nothing_written();
    }

    /// A new snapshot is taken, and driver and API agree about all.
    fn assert_works(&self) {
        if self.get("later").is_null() {
            self.want("later");
        }
        eventually("driver and API have the same snapshots", || {
            let contents = self.server.list(VSC);
            let all = contents.iter().all(|content| content["status"]["readyToUse"] == true);
            let there = self.driver().snapshots();
            let handle = |content: &Value| content["status"]["snapshotHandle"].as_str().map(str::to_owned);
            let known =
                contents.iter().all(|content| handle(content).is_some_and(|id| there.contains_key(&id)));
            all && known && contents.len() == there.len()
        });
        self.assert_kept();
    }
}

impl Calling for Cluster {
    fn script(&self, step: Step) {
        self.driver().script::<CreateSnapshotRequest>([step]);
    }

    fn calls(&self) -> usize {
        self.driver().count::<CreateSnapshotRequest>()
    }
}

impl Cluster {
    /// The snapshot that is there before any sidecar runs.
    fn keep(&mut self) {
        self.create(content(KEPT));
        self.driver().add_snapshot(KEPT, VOLUME, GIB);
        let status =
            json!({"snapshotHandle": KEPT, "readyToUse": true, "creationTime": 1, "restoreSize": GIB});
        self.server.patch_status(VSC, "", KEPT, &json!({"status": status})).unwrap();
        self.kept = self.kept_now();
    }

    /// What is to be as it was.
    fn kept_now(&self) -> Value {
        let content = self.get(KEPT);
        let metadata = &content["metadata"];
        json!({
            "content": [metadata["uid"], metadata["finalizers"], metadata["annotations"], content["status"]],
            "there": self.driver().snapshots().contains_key(KEPT),
        })
    }

    fn create(&self, object: Value) {
        self.server.create(&object).unwrap();
    }

    pub(crate) fn delete(&self, name: &str) {
        let marked = json!({"metadata": {"annotations": {annotations::BEING_DELETED: "yes"}}});
        self.server.patch(VSC, "", name, &marked).unwrap();
        self.server.delete(VSC, "", name).unwrap();
    }

    fn get(&self, name: &str) -> Value {
        self.server.get(VSC, "", name).unwrap_or(Value::Null)
    }

    pub(crate) fn ready(&self, name: &str) {
        eventually(&format!("{name} is ready"), || self.get(name)["status"]["readyToUse"] == true);
    }
}

fn content(name: &str) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC,
        "metadata": {"name": name, "finalizers": [finalizers::CONTENT_BOUND]},
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "volumeSnapshotClassName": "class",
            "source": {"volumeHandle": VOLUME},
            "volumeSnapshotRef": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
        },
    })
}

/// What upstream's roles grant (sheet, section 4).
fn rules() -> Vec<Rule> {
    let snapshots = "snapshot.storage.k8s.io";
    vec![
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new(snapshots, &["volumesnapshotclasses"], &["get", "list", "watch"]),
        Rule::new(snapshots, &["volumesnapshotcontents"], &["get", "list", "watch", "patch"]),
        Rule::new(snapshots, &["volumesnapshotcontents/status"], &["patch", "update"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}
