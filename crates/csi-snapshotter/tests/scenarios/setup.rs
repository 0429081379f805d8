//! A cluster in this process, as upstream's fixtures have it: driver `mock`, class `class-gold`, volumes `volume-handle1` and
//! `volume-handle2`, contents named and bound by the tests.

use std::time::Duration;

use csi_client::csi::{CreateSnapshotRequest, DeleteSnapshotRequest, ListSnapshotsRequest};
use csi_snapshotter::{Flags, run};
use serde_json::{Value, json};
use sidecar_core::context::{Context, Variables};
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
pub(crate) use sidecar_testkit::{Sidecar, pass};
use sidecar_testkit::{api_server, command_line, connector, context, rule_for_leases, until};
use snapshot_api::names::{annotations, finalizers};
use testkit::api::{ApiServer, Rule};
use testkit::driver::{ControllerCapability, DriverConfig, GroupCapability, ScriptedDriver};
pub(crate) use testkit::manifests::both;
use testkit::manifests::merge;

pub(crate) const DRIVER: &str = "mock";
pub(crate) const CLASS: &str = "class-gold";
pub(crate) const VOLUME: &str = "volume-handle1";
pub(crate) const F: &str = finalizers::CONTENT_BOUND;
pub(crate) const GF: &str = finalizers::GROUP_CONTENT_BOUND;
pub(crate) const BEING_CREATED: &str = annotations::BEING_CREATED;
pub(crate) const BEING_DELETED: &str = annotations::BEING_DELETED;
pub(crate) const GROUP_BEING_CREATED: &str = annotations::GROUP_BEING_CREATED;
pub(crate) const GROUP_BEING_DELETED: &str = annotations::GROUP_BEING_DELETED;
pub(crate) const VSC: &str = "VolumeSnapshotContent";
pub(crate) const VGSC: &str = "VolumeGroupSnapshotContent";
/// A finalizer of somebody else: with it a content that we let go can still be looked at.
pub(crate) const FOREIGN: &str = "example.com/watched";
/// Size of all volumes.
pub(crate) const GIB: i64 = 1 << 30;
/// When the scripted driver cuts its snapshots, in nanoseconds.
pub(crate) const CUT: i64 = 1_700_000_000_000_000_000;
const USER: &str = "csi-snapshotter";

pub(crate) struct Setup {
    pub(crate) server: ApiServer,
    pub(crate) driver: ScriptedDriver,
}

/// What upstream's manifests allow, and Secrets.
pub(crate) fn rules() -> Vec<Rule> {
    let (snapshots, groups) = ("snapshot.storage.k8s.io", "groupsnapshot.storage.k8s.io");
    let (see, change) = (["get", "list", "watch"], ["get", "list", "watch", "patch"]);
    vec![
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new("", &["secrets"], &["get"]),
        Rule::new(snapshots, &["volumesnapshotclasses"], &see),
        Rule::new(snapshots, &["volumesnapshotcontents"], &change),
        Rule::new(snapshots, &["volumesnapshotcontents/status"], &["patch", "update"]),
        Rule::new(groups, &["volumegroupsnapshotclasses"], &see),
        Rule::new(groups, &["volumegroupsnapshotcontents"], &change),
        Rule::new(groups, &["volumegroupsnapshotcontents/status"], &["patch", "update"]),
        rule_for_leases(),
    ]
}

/// What the fixture's driver is like.
pub(crate) fn able() -> DriverConfig {
    DriverConfig {
        name: DRIVER.into(),
        controller: vec![ControllerCapability::CreateDeleteSnapshot, ControllerCapability::ListSnapshots],
        group: vec![GroupCapability::CreateDeleteGetVolumeGroupSnapshot],
        ..DriverConfig::default()
    }
}

impl Setup {
    /// The cluster with both kinds of snapshots.
    pub(crate) fn new() -> Self {
        Self::with(able())
    }

    pub(crate) fn with(config: DriverConfig) -> Self {
        let setup = Self::without_groups(config);
        setup.server.install("groupsnapshot.storage.k8s.io");
        setup.create(json!({
            "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshotClass",
            "metadata": {"name": CLASS}, "driver": DRIVER, "deletionPolicy": "Delete",
        }));
        setup
    }

    /// A cluster that knows no groups.
    pub(crate) fn without_groups(config: DriverConfig) -> Self {
        let server = api_server();
        server.install("snapshot.storage.k8s.io");
        server.set_rules(USER, rules());
        let driver = ScriptedDriver::new(config);
        driver.add_volume(VOLUME, GIB);
        driver.add_volume("volume-handle2", GIB);
        let setup = Self { server, driver };
        setup.class(json!({}));
        setup
    }

    /// A driver whose snapshots take this long to become ready.
    pub(crate) fn slow(time: Duration) -> Self {
        Self::with(DriverConfig { snapshot_time: time, ..able() })
    }

    // ---- objects ----

    /// `class-gold` with `fields` on top.
    pub(crate) fn class(&self, fields: Value) -> Value {
        let mut class = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {"name": CLASS}, "driver": DRIVER, "deletionPolicy": "Delete",
        });
        merge(&mut class, &fields);
        self.create(class)
    }

    /// A content of `volume-handle1` for snapshot `snap-<name>` with UID `snapuid-<name>`, with our finalizer, `fields` on
    /// top, its status and whether it is being deleted included.
    pub(crate) fn content(&self, name: &str, fields: Value) -> Value {
        self.put(content(name), fields)
    }

    /// The same for a group of both volumes.
    pub(crate) fn group(&self, name: &str, fields: Value) -> Value {
        self.put(group(name), fields)
    }

    fn put(&self, mut object: Value, fields: Value) -> Value {
        merge(&mut object, &fields);
        let status = object.as_object_mut().unwrap().remove("status");
        let going = object["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
        let (kind, name) = (object["kind"].clone(), object["metadata"]["name"].clone());
        let (kind, name) = (kind.as_str().unwrap(), name.as_str().unwrap());
        self.create(object);
        if let Some(status) = status {
            self.server.patch_status(kind, "", name, &json!({"status": status})).unwrap();
        }
        if going {
            self.server.delete(kind, "", name).unwrap();
        }
        self.get(kind, name)
    }

    pub(crate) fn secret(&self, name: &str) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": name},
            "data": {"foo": "YmFy"},
        }));
    }

    pub(crate) fn create(&self, object: Value) -> Value {
        self.server.create(&object).unwrap()
    }

    /// What the snapshot controller does when the snapshot is deleted: it marks the content, then deletes it.
    pub(crate) fn unwanted(&self, kind: &str, name: &str) {
        let annotation = if kind == VSC { BEING_DELETED } else { GROUP_BEING_DELETED };
        self.patch(kind, name, &json!({"metadata": {"annotations": {annotation: "yes"}}}));
        self.server.delete(kind, "", name).unwrap();
    }

    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        self.server.patch(kind, "", name, patch).unwrap();
    }

    /// An object, null if there is none.
    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        self.server.get(kind, "", name).unwrap_or(Value::Null)
    }

    pub(crate) fn vsc(&self, name: &str) -> Value {
        self.get(VSC, name)
    }

    pub(crate) fn vgsc(&self, name: &str) -> Value {
        self.get(VGSC, name)
    }

    /// The error in a status, empty if there is none.
    pub(crate) fn error(&self, kind: &str, name: &str) -> String {
        self.get(kind, name)["status"]["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    // ---- waiting ----

    /// Waits until `condition` holds, at most an hour of paused time.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, 1, condition, || self.story()).await;
    }

    pub(crate) async fn ready(&self, kind: &str, name: &str) {
        self.until("it is ready", || is_ready(&self.get(kind, name))).await;
        settle().await;
    }

    pub(crate) async fn gone(&self, kind: &str, name: &str) {
        self.until("the content is gone", || self.get(kind, name).is_null()).await;
        settle().await;
    }

    /// Until the content has failed.
    pub(crate) async fn failed(&self, kind: &str, name: &str) {
        self.until("it has failed", || !self.error(kind, name).is_empty()).await;
        pass(0).await;
    }

    // ---- what happened ----

    pub(crate) fn created(&self) -> Vec<CreateSnapshotRequest> {
        self.driver.requests()
    }

    pub(crate) fn deleted(&self) -> Vec<DeleteSnapshotRequest> {
        self.driver.requests()
    }

    pub(crate) fn listed(&self) -> Vec<ListSnapshotsRequest> {
        self.driver.requests()
    }

    /// The snapshotter's calls but those for leases, lists and watches: verb, resource and code.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.server.calls();
        let ours = calls.iter().filter(|call| call.user == USER && call.resource != "leases");
        let ours = ours.filter(|call| !matches!(call.verb.as_str(), "list" | "watch"));
        ours.map(|call| format!("{} {} -> {}", call.verb, call.resource, call.code)).collect()
    }

    /// How many of these were writes of contents.
    pub(crate) fn writes(&self) -> usize {
        self.calls().iter().filter(|call| call.contains("contents")).count()
    }

    /// Reasons and messages of the events about a content, repetitions counted once.
    pub(crate) fn events(&self, name: &str) -> Vec<(String, String)> {
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let events = self.server.objects("Event").into_iter();
        let about = events.filter(|event| event["involvedObject"]["name"] == name);
        about
            .map(|event| {
                assert_eq!(event["type"], "Warning");
                assert_eq!(event["metadata"]["namespace"], "default");
                assert_eq!(event["source"]["component"], format!("csi-snapshotter {DRIVER}"));
                (text(&event, "reason"), text(&event, "message"))
            })
            .collect()
    }

    pub(crate) fn reasons(&self, name: &str) -> Vec<String> {
        self.events(name).into_iter().map(|(reason, _)| reason).collect()
    }

    fn story(&self) -> String {
        let objects = [VSC, VGSC].map(|kind| format!("{:#?}", self.server.objects(kind)));
        format!(
            "driver: {:?}\nAPI:\n{}\n{}",
            self.driver.calls(),
            self.calls().join("\n"),
            objects.join("\n")
        )
    }

    // ---- sidecars ----

    /// Starts a sidecar with these flags on top of ones that keep tests short, and metadata as upstream's fixtures have it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Sidecar {
        self.start_as("host-1", arguments)
    }

    pub(crate) fn start_as(&self, hostname: &str, arguments: &[&str]) -> Sidecar {
        let context = context(&self.server, USER, hostname)
            .variables(Variables::from_pairs([("NODE_NAME", hostname)]))
            .driver(connector(&self.driver))
            .build();
        let arguments = command_line(&["--kube-api-qps=-1", "--extra-create-metadata"], arguments);
        Sidecar::start(arguments, context, whole)
    }
}

/// A content of `volume-handle1` for snapshot `snap-<name>`.
pub(crate) fn content(name: &str) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC,
        "metadata": {"name": name, "finalizers": [F]},
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "volumeSnapshotClassName": CLASS,
            "source": {"volumeHandle": VOLUME},
            "volumeSnapshotRef": {
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "name": format!("snap-{name}"), "namespace": "default", "uid": format!("snapuid-{name}"),
            },
        },
    })
}

/// A content of a group of both volumes for group snapshot `snap-<name>`.
pub(crate) fn group(name: &str) -> Value {
    json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGSC,
        "metadata": {"name": name, "finalizers": [GF]},
        "spec": {
            "driver": DRIVER, "deletionPolicy": "Delete", "volumeGroupSnapshotClassName": CLASS,
            "source": {"volumeHandles": [VOLUME, "volume-handle2"]},
            "volumeGroupSnapshotRef": {
                "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": "VolumeGroupSnapshot",
                "name": format!("snap-{name}"), "namespace": "default", "uid": format!("snapuid-{name}"),
            },
        },
    })
}

/// The source of a content whose snapshot was there first.
pub(crate) fn given(handle: &str) -> Value {
    json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": handle}}})
}

/// The same of a group.
pub(crate) fn given_group(group: &str, snapshots: &[&str]) -> Value {
    let handles = json!({"volumeGroupSnapshotHandle": group, "volumeSnapshotHandles": snapshots});
    json!({"spec": {"source": {"volumeHandles": null, "groupSnapshotHandles": handles}}})
}

/// A content whose snapshot is no longer wanted, and which somebody else holds too, `fields` on top.
pub(crate) fn unwanted(fields: Value) -> Value {
    let going = json!({"metadata": {
        "finalizers": [FOREIGN, F], "annotations": {BEING_DELETED: "yes"}, "deletionTimestamp": "now",
    }});
    both(going, fields)
}

/// Annotations that name a secret for taking and deleting.
pub(crate) fn secret_annotations(name: &str, namespace: &str) -> Value {
    json!({"metadata": {"annotations": {
        annotations::SECRET_NAME: name, annotations::SECRET_NAMESPACE: namespace,
    }}})
}

pub(crate) fn is_ready(content: &Value) -> bool {
    content["status"]["readyToUse"] == true
}

pub(crate) fn has_annotation(object: &Value, key: &str) -> bool {
    object["metadata"]["annotations"].get(key).is_some()
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Snapshotter, "csi-snapshotter", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates, &context.variables)?, context).await
}

/// Long enough for everything that follows from something, and for a retry that should not come.
pub(crate) async fn settle() {
    pass(30).await;
}
