//! A cluster in this process: API server, claims that are bound, a sidecar that does as it is told, and as many controllers as a
//! test starts.

use std::time::Duration;

use serde_json::{Value, json};
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
pub(crate) use sidecar_testkit::{EPOCH, Sidecar as Controller, pass};
use sidecar_testkit::{api_server, command_line, context, events, rule_for_leases, until};
use snapshot_api::names::{annotations, finalizers};
use snapshot_controller::{Flags, run};
use testkit::api::{ApiServer, Failure, Rule};
pub(crate) use testkit::manifests::merge;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub(crate) const DRIVER: &str = "csi-mock-plugin";
pub(crate) const USER: &str = "snapshot-controller";

pub(crate) const VS: &str = "VolumeSnapshot";
pub(crate) const VSC: &str = "VolumeSnapshotContent";
pub(crate) const VGS: &str = "VolumeGroupSnapshot";
pub(crate) const VGSC: &str = "VolumeGroupSnapshotContent";
pub(crate) const PVC: &str = "PersistentVolumeClaim";

pub(crate) const AS_SOURCE: &str = finalizers::SNAPSHOT_SOURCE;
pub(crate) const BOUND: &str = finalizers::SNAPSHOT_BOUND;
pub(crate) const IN_GROUP: &str = finalizers::SNAPSHOT_IN_GROUP;
pub(crate) const CONTENT_BOUND: &str = finalizers::CONTENT_BOUND;
pub(crate) const ON_CLAIM: &str = finalizers::CLAIM_SOURCE;

pub(crate) struct Setup {
    pub(crate) server: ApiServer,
}

impl Setup {
    /// Classes `class` (Delete), `retain` (Retain) and `secret` (Delete, with a secret); no default.
    pub(crate) fn new() -> Self {
        let server = api_server();
        server.install("snapshot.storage.k8s.io");
        server.install("groupsnapshot.storage.k8s.io");
        server.set_rules(USER, rules());
        let setup = Self { server };
        setup.class("class", "Delete", &json!({}));
        setup.class("retain", "Retain", &json!({}));
        let secret = json!({
            "csi.storage.k8s.io/snapshotter-secret-name": "secret",
            "csi.storage.k8s.io/snapshotter-secret-namespace": "default",
        });
        setup.class("secret", "Delete", &json!({"parameters": secret}));
        setup
    }

    // ---- objects ----

    pub(crate) fn create(&self, manifest: &Value) -> Value {
        self.server.create(manifest).unwrap()
    }

    /// Creates an object with a status.
    pub(crate) fn create_with_status(&self, manifest: &Value) -> Value {
        let created = self.create(manifest);
        let Some(status) = manifest.get("status") else { return created };
        let meta = &created["metadata"];
        let (kind, namespace, name) = (&created["kind"], &meta["namespace"], &meta["name"]);
        let patch = json!({ "status": status });
        self.server.patch_status(&text(kind), &text(namespace), &text(name), &patch).unwrap()
    }

    pub(crate) fn class(&self, name: &str, policy: &str, overlay: &Value) -> Value {
        let mut manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": name},
            "driver": DRIVER, "deletionPolicy": policy,
        });
        merge(&mut manifest, overlay);
        self.create(&manifest)
    }

    /// A claim that is bound to the volume `pv-<name>` of the driver, with the handle `vol-<name>`. `claim` and `volume` are
    /// merged over the objects.
    pub(crate) fn claim_with(&self, name: &str, claim: &Value, volume: &Value) {
        let mut manifest = testkit::manifests::claim(name, "class");
        manifest["spec"]["volumeName"] = json!(format!("pv-{name}"));
        manifest["status"] = json!({"phase": "Bound"});
        merge(&mut manifest, claim);
        let created = self.create_with_status(&manifest);
        let mut object =
            testkit::manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
        object["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": PVC, "namespace": "default", "name": name,
            "uid": created["metadata"]["uid"],
        });
        merge(&mut object, volume);
        self.create(&object);
    }

    pub(crate) fn claim(&self, name: &str) {
        self.claim_with(name, &json!({}), &json!({}));
    }

    /// A snapshot `name` of the claim `claim` with the class `class`, `overlay` merged over it, status included.
    pub(crate) fn snapshot(&self, name: &str, claim: &str, overlay: &Value) -> Value {
        let mut manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VS,
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"source": {"persistentVolumeClaimName": claim}, "volumeSnapshotClassName": "class"},
        });
        merge(&mut manifest, overlay);
        self.create_with_status(&manifest)
    }

    /// The content of a snapshot of the volume `vol-<claim>`, as the controller would make it.
    pub(crate) fn content_of(&self, snapshot: &Value, claim: &str, overlay: &Value) -> Value {
        let uid = text(&snapshot["metadata"]["uid"]);
        let mut manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC,
            "metadata": {"name": format!("snapcontent-{uid}"), "finalizers": [CONTENT_BOUND]},
            "spec": {
                "deletionPolicy": "Delete", "driver": DRIVER, "volumeSnapshotClassName": "class",
                "source": {"volumeHandle": format!("vol-{claim}")},
                "volumeSnapshotRef": {
                    "kind": VS, "namespace": "default", "name": snapshot["metadata"]["name"], "uid": uid,
                },
            },
        });
        merge(&mut manifest, overlay);
        self.create_with_status(&manifest)
    }

    /// A content made by hand for the snapshot `snapshot`, not bound yet.
    pub(crate) fn content_by_hand(&self, name: &str, snapshot: &str, overlay: &Value) -> Value {
        let mut manifest = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VSC, "metadata": {"name": name},
            "spec": {
                "deletionPolicy": "Delete", "driver": DRIVER, "source": {"snapshotHandle": format!("snap-{name}")},
                "volumeSnapshotRef": {"kind": VS, "namespace": "default", "name": snapshot},
            },
        });
        merge(&mut manifest, overlay);
        self.create_with_status(&manifest)
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let namespace = if [VS, VGS, PVC].contains(&kind) { "default" } else { "" };
        self.server.get(kind, namespace, name).unwrap_or(Value::Null)
    }

    pub(crate) fn vs(&self, name: &str) -> Value {
        self.get(VS, name)
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.vs(name)["status"].clone()
    }

    /// Message of the error in the snapshot's status.
    pub(crate) fn error(&self, name: &str) -> String {
        text(&self.status(name)["error"]["message"])
    }

    pub(crate) fn is_ready(&self, name: &str) -> bool {
        self.status(name)["readyToUse"] == true
    }

    /// The content that the snapshot is bound to.
    pub(crate) fn content(&self, snapshot: &str) -> Value {
        self.get(VSC, &text(&self.status(snapshot)["boundVolumeSnapshotContentName"]))
    }

    pub(crate) fn finalizers(&self, kind: &str, name: &str) -> Vec<String> {
        strings(&self.get(kind, name)["metadata"]["finalizers"])
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        let namespace = if [VS, VGS, PVC].contains(&kind) { "default" } else { "" };
        self.server.delete(kind, namespace, name).unwrap();
    }

    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        let namespace = if [VS, VGS, PVC].contains(&kind) { "default" } else { "" };
        self.server.patch(kind, namespace, name, patch).unwrap();
    }

    pub(crate) fn patch_status(&self, kind: &str, name: &str, status: &Value) {
        let namespace = if [VS, VGS, PVC].contains(&kind) { "default" } else { "" };
        self.server.patch_status(kind, namespace, name, &json!({ "status": status })).unwrap();
    }

    // ---- the sidecar ----

    /// The driver has cut a snapshot.
    pub(crate) fn cut(&self, content: &str, ready: bool) {
        self.patch_status(VSC, content, &cut_status(content, ready));
    }

    /// Plays the driver's sidecar from now on: cuts what is to be cut, deletes what is to be deleted.
    pub(crate) fn play_sidecar(&self) -> Played {
        let server = self.server.clone();
        Played(tokio::spawn(async move {
            loop {
                for content in server.list(VSC) {
                    act(&server, &content);
                }
                sleep(Duration::from_millis(20)).await;
            }
        }))
    }

    // ---- what happens ----

    /// Waits until `condition` holds, at most two hours of paused time.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, 2, condition, || self.story()).await;
    }

    pub(crate) async fn until_ready(&self, snapshot: &str) {
        self.until(&format!("{snapshot} is ready"), || self.is_ready(snapshot)).await;
    }

    pub(crate) async fn until_gone(&self, kind: &str, name: &str) {
        self.until(&format!("{kind} {name} is gone"), || self.get(kind, name).is_null()).await;
    }

    pub(crate) async fn until_error(&self, snapshot: &str, message: &str) {
        let what = format!("{snapshot} says {message:?}");
        self.until(&what, || self.error(snapshot) == message).await;
    }

    /// Type, reason, message and count of every event about objects of this name.
    pub(crate) fn events(&self, object: &str) -> Vec<(String, String, String, u64)> {
        events(&self.server, object)
    }

    pub(crate) fn reasons(&self, object: &str) -> Vec<String> {
        self.events(object).into_iter().map(|(_, reason, _, _)| reason).collect()
    }

    /// Waits for an event about an object.
    pub(crate) async fn event(&self, object: &str, reason: &str, text: &str) {
        self.until(&format!("event {reason} {text:?} about {object}"), || {
            self.events(object).iter().any(|(_, r, message, _)| r == reason && message == text)
        })
        .await;
    }

    /// Calls of the controllers as `verb resource -> code`, watches and lists left out.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.server.calls().into_iter();
        calls
            .filter(|call| call.user_agent.starts_with("snapshot-controller/"))
            .filter(|call| !["watch", "list"].contains(&call.verb.as_str()))
            .map(|call| format!("{} {} -> {}", call.verb, call.resource, call.code))
            .collect()
    }

    /// Calls that change something, events left out.
    pub(crate) fn writes(&self) -> Vec<String> {
        let calls = self.calls().into_iter();
        calls.filter(|call| !call.starts_with("get ") && !call.contains(" events ")).collect()
    }

    /// Refuses every call of this verb on this resource from now on.
    pub(crate) fn refuse(&self, verb: &str, resource: &str, message: &str) {
        let failure = Failure::internal(message);
        self.server.fail_next(verb, resource, usize::MAX, &failure);
    }

    /// What happened, for a failed test.
    pub(crate) fn story(&self) -> String {
        let brief = |kind: &str| -> Vec<String> {
            let list = self.server.list(kind);
            list.iter().map(|object| format!("{} {}", object["metadata"], object["status"])).collect()
        };
        format!(
            "VS: {:#?}\nVSC: {:#?}\nVGS: {:#?}\nVGSC: {:#?}\nevents: {:#?}\nAPI:\n{}",
            brief(VS),
            brief(VSC),
            brief(VGS),
            brief(VGSC),
            self.server.list("Event").iter().map(|event| text(&event["message"])).collect::<Vec<_>>(),
            self.calls().join("\n")
        )
    }

    // ---- controllers ----

    /// Starts a controller with these flags on top of ones that keep tests short.
    pub(crate) fn start(&self, arguments: &[&str]) -> Controller {
        self.start_as("host-1", arguments)
    }

    pub(crate) fn start_as(&self, hostname: &str, arguments: &[&str]) -> Controller {
        let context = context(&self.server, USER, hostname).build();
        Controller::start(command_line(&["--kube-api-qps=-1"], arguments), context, whole)
    }
}

/// What the driver's sidecar writes when a snapshot has been cut.
pub(crate) fn cut_status(content: &str, ready: bool) -> Value {
    json!({
        "snapshotHandle": format!("handle-{content}"), "creationTime": 1_795_237_200_123_456_789_i64,
        "restoreSize": 1 << 30, "readyToUse": ready,
    })
}

/// One look of the driver's sidecar at a content.
fn act(server: &ApiServer, content: &Value) {
    let meta = &content["metadata"];
    let name = text(&meta["name"]);
    let annotated = |key: &str| meta["annotations"].get(key).is_some();
    if !meta["deletionTimestamp"].is_null() {
        if annotated(annotations::BEING_DELETED) {
            let mut rest = strings(&meta["finalizers"]);
            rest.retain(|finalizer| finalizer != CONTENT_BOUND);
            // It may have gone since.
            let _ = server.patch(VSC, "", &name, &json!({"metadata": {"finalizers": rest}}));
        }
    } else if content["status"].is_null()
        && !annotated(annotations::GROUP_HANDLE)
        && !content["spec"]["volumeSnapshotRef"]["uid"].is_null()
    {
        let _ = server.patch_status(VSC, "", &name, &json!({"status": cut_status(&name, true)}));
    }
}

/// Upstream's rules (sheet 4), and nothing more.
pub(crate) fn rules() -> Vec<Rule> {
    const SNAPSHOTS: &str = "snapshot.storage.k8s.io";
    const GROUPS: &str = "groupsnapshot.storage.k8s.io";
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch", "update"]),
        Rule::new("", &["events"], &["list", "watch", "create", "update", "patch"]),
        Rule::new("", &["nodes"], &["get", "list", "watch"]),
        Rule::new(SNAPSHOTS, &["volumesnapshotclasses"], &["get", "list", "watch"]),
        Rule::new(
            SNAPSHOTS,
            &["volumesnapshotcontents"],
            &["create", "get", "list", "watch", "update", "delete", "patch"],
        ),
        Rule::new(SNAPSHOTS, &["volumesnapshotcontents/status"], &["patch"]),
        Rule::new(
            SNAPSHOTS,
            &["volumesnapshots"],
            &["create", "get", "list", "watch", "update", "patch", "delete"],
        ),
        Rule::new(SNAPSHOTS, &["volumesnapshots/status"], &["update", "patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshotclasses"], &["get", "list", "watch"]),
        Rule::new(
            GROUPS,
            &["volumegroupsnapshotcontents"],
            &["create", "get", "list", "watch", "update", "delete", "patch"],
        ),
        Rule::new(GROUPS, &["volumegroupsnapshotcontents/status"], &["patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshots"], &["get", "list", "watch", "update", "patch"]),
        Rule::new(GROUPS, &["volumegroupsnapshots/status"], &["update", "patch"]),
        rule_for_leases(),
    ]
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let binary = Binary::SnapshotController;
    let parsed = flags::parse(binary, "snapshot-controller", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}

/// A sidecar that is being played; dropping it ends the play.
pub(crate) struct Played(JoinHandle<()>);

impl Drop for Played {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// One overlay after the other; what removes something goes on doing so.
pub(crate) fn sum(parts: &[&Value]) -> Value {
    let mut sum = json!({});
    for part in parts {
        overlay(&mut sum, part);
    }
    sum
}

fn overlay(base: &mut Value, part: &Value) {
    match (base, part) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                overlay(fields.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (base, part) => *base = part.clone(),
    }
}
