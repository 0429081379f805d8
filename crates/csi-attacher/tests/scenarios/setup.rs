//! A cluster in this process, as upstream's fixtures have it: driver `csi/test`, volume `pv1` with handle `handle1`,
//! attachment `pv1-node1`, node `node1` with id `nodeID1`.

use csi_attacher::{Flags, run};
use csi_client::csi::{ControllerPublishVolumeRequest, ControllerUnpublishVolumeRequest};
use serde_json::{Value, json};
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
pub(crate) use sidecar_testkit::{Sidecar, pass};
use sidecar_testkit::{api_server, command_line, connector, context, rule_for_leases, until};
use testkit::api::{ApiServer, Call, Failure, Resource, Rule};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};
pub(crate) use testkit::manifests::both;
use testkit::manifests::merge;

pub(crate) const DRIVER: &str = "csi/test";
pub(crate) const F: &str = "external-attacher/csi-test";
pub(crate) const NODE_ID: &str = "csi.alpha.kubernetes.io/node-id";
pub(crate) const VA: &str = "pv1-node1";
/// Size of all volumes.
pub(crate) const GIB: i64 = 1 << 30;

/// What the fixture's driver can do.
pub(crate) const ABLE: [ControllerCapability; 2] =
    [ControllerCapability::PublishUnpublishVolume, ControllerCapability::PublishReadonly];

pub(crate) struct Setup {
    pub(crate) server: ApiServer,
    pub(crate) driver: ScriptedDriver,
}

impl Setup {
    /// The cluster with node `node1`, and nothing else.
    pub(crate) fn new() -> Self {
        Self::able(&ABLE)
    }

    pub(crate) fn able(controller: &[ControllerCapability]) -> Self {
        Self::with(DriverConfig {
            name: DRIVER.into(),
            controller: controller.into(),
            ..DriverConfig::default()
        })
    }

    /// The driver can also list what is attached where.
    pub(crate) fn listing() -> Self {
        let mut able = ABLE.to_vec();
        able.extend([ControllerCapability::ListVolumes, ControllerCapability::ListVolumesPublishedNodes]);
        Self::able(&able)
    }

    pub(crate) fn with(config: DriverConfig) -> Self {
        let setup = Self::bare(config);
        setup.node("node1", "nodeID1");
        setup
    }

    /// Without a node. The attacher may do what upstream's role allows, and read Secrets.
    pub(crate) fn bare(config: DriverConfig) -> Self {
        let server = api_server();
        server.set_rules(
            "csi-attacher",
            vec![
                Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
                Rule::new("storage.k8s.io", &["csinodes"], &["get", "list", "watch"]),
                Rule::new("storage.k8s.io", &["volumeattachments"], &["get", "list", "watch", "patch"]),
                Rule::new("storage.k8s.io", &["volumeattachments/status"], &["patch"]),
                Rule::new("", &["secrets"], &["get", "list"]),
                rule_for_leases(),
            ],
        );
        let driver = ScriptedDriver::new(config);
        driver.add_volume("handle1", GIB);
        Self { server, driver }
    }

    // ---- objects ----

    pub(crate) fn node(&self, name: &str, id: &str) {
        self.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name},
            "spec": {"drivers": [{"name": self.name(), "nodeID": id}]},
        }));
    }

    fn name(&self) -> String {
        let mut name = String::new();
        self.driver.configure(|config| name.clone_from(&config.name));
        name
    }

    /// `pv1` with our finalizer, `fields` on top.
    pub(crate) fn volume(&self, fields: Value) {
        let mut volume = testkit::manifests::volume("pv1", DRIVER, "handle1", "");
        let fixture = json!({"metadata": {"finalizers": [F]}, "spec": {"accessModes": ["ReadWriteMany"]}});
        merge(&mut volume, &fixture);
        merge(&mut volume, &fields);
        let going = volume["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
        let created = self.create(volume);
        if going {
            self.delete("PersistentVolume", created["metadata"]["name"].as_str().unwrap());
        }
    }

    /// `pv1-node1`, `fields` on top, its status and whether it is being deleted included.
    pub(crate) fn attachment(&self, fields: Value) {
        let mut attachment = attachment(VA, "pv1", "node1");
        merge(&mut attachment, &fields);
        let status = attachment.as_object_mut().unwrap().remove("status");
        let going = attachment["metadata"].as_object_mut().unwrap().remove("deletionTimestamp").is_some();
        let created = self.create(attachment);
        let name = created["metadata"]["name"].as_str().unwrap();
        if let Some(status) = status {
            self.server.patch_status("VolumeAttachment", "", name, &json!({"status": status})).unwrap();
        }
        if going {
            self.delete("VolumeAttachment", name);
        }
    }

    /// A volume of its own for an attachment of its own, in API and backend.
    pub(crate) fn pair(&self, number: usize, node: &str) -> String {
        let (volume, handle, name) =
            (format!("pv-{number}"), format!("handle-{number}"), format!("va-{number}"));
        self.driver.add_volume(&handle, GIB);
        let mut object = testkit::manifests::volume(&volume, DRIVER, &handle, "");
        object["metadata"]["finalizers"] = json!([F]);
        self.create(object);
        let mut object = attachment(&name, &volume, node);
        object["spec"]["attacher"] = json!(DRIVER);
        self.create(object);
        name
    }

    pub(crate) fn secret(&self, name: &str, data: Value) {
        self.create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": name},
            "data": data,
        }));
    }

    pub(crate) fn create(&self, object: Value) -> Value {
        self.server.create(&object).unwrap()
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        self.server.delete(kind, "", name).unwrap();
    }

    pub(crate) fn va(&self) -> Value {
        self.get_va(VA)
    }

    pub(crate) fn get_va(&self, name: &str) -> Value {
        self.server.get("VolumeAttachment", "", name).unwrap_or(Value::Null)
    }

    pub(crate) fn pv(&self) -> Value {
        self.server.get("PersistentVolume", "", "pv1").unwrap_or(Value::Null)
    }

    pub(crate) fn attach_error(&self) -> String {
        self.va()["status"]["attachError"]["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn detach_error(&self) -> String {
        self.va()["status"]["detachError"]["message"].as_str().unwrap_or_default().to_owned()
    }

    // ---- waiting ----

    /// Waits until `condition` holds, at most an hour of paused time.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, 1, condition, || self.story()).await;
    }

    pub(crate) async fn attached(&self) {
        self.until("attached", || is_attached(&self.va())).await;
        settle().await;
    }

    pub(crate) async fn gone(&self) {
        self.until("the attachment is gone", || self.va().is_null()).await;
        settle().await;
    }

    // ---- what happened ----

    pub(crate) fn published(&self) -> Vec<ControllerPublishVolumeRequest> {
        self.driver.requests()
    }

    pub(crate) fn unpublished(&self) -> Vec<ControllerUnpublishVolumeRequest> {
        self.driver.requests()
    }

    /// The attacher's writes and reads of single objects, in upstream's shorthand: `P` patches an attachment, `S` its
    /// status, `J` a volume, `G` gets a Secret; `!` and a code for one that was refused. Without UIDs, times and tests.
    pub(crate) fn actions(&self) -> Vec<String> {
        let calls = self.server.calls();
        let ours = calls.iter().filter(|call| call.user == "csi-attacher" && call.resource != "leases");
        ours.filter(|call| matches!(call.verb.as_str(), "patch" | "get" | "update")).map(action).collect()
    }

    fn story(&self) -> String {
        format!("driver: {:?}\nAPI:\n{}\n{}", self.driver.calls(), self.actions().join("\n"), self.va())
    }

    /// The next calls of this kind are refused, as upstream's fixtures refuse them.
    pub(crate) fn refuse(&self, resource: &str, times: usize) {
        let (kind, name) = match resource {
            "persistentvolumes" => ("PersistentVolume", "pv1"),
            _ => ("VolumeAttachment", VA),
        };
        let failure = Failure::forbidden(Resource::find(kind).unwrap(), name, "Mock error");
        self.server.fail_next("patch", resource, times, &failure);
    }

    // ---- sidecars ----

    /// Starts a sidecar with these flags on top of ones that keep tests short.
    pub(crate) fn start(&self, arguments: &[&str]) -> Sidecar {
        self.start_as("host-1", arguments)
    }

    pub(crate) fn start_as(&self, hostname: &str, arguments: &[&str]) -> Sidecar {
        let context = context(&self.server, "csi-attacher", hostname).driver(connector(&self.driver)).build();
        let arguments = command_line(&["--kube-api-qps=-1", "--default-fstype=ext4"], arguments);
        Sidecar::start(arguments, context, whole)
    }
}

/// An attachment of the fixture's driver.
pub(crate) fn attachment(name: &str, volume: &str, node: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
        "spec": {"attacher": DRIVER, "nodeName": node, "source": {"persistentVolumeName": volume}},
    })
}

/// Replaces the reference to `pv1` by the volume itself, `csi` on top.
pub(crate) fn inline(csi: Value) -> Value {
    let mut source = json!({"driver": "com.test.foo", "volumeHandle": "handle1"});
    merge(&mut source, &csi);
    let spec = json!({"accessModes": ["ReadWriteOnce"], "csi": source});
    json!({"spec": {"source": {"persistentVolumeName": null, "inlineVolumeSpec": spec}}})
}

/// A going attachment that is attached and has finalizer and annotation, `fields` on top.
pub(crate) fn detaching(fields: Value) -> Value {
    let mut going = json!({
        "metadata": {"finalizers": [F], "annotations": {NODE_ID: "nodeID1"}, "deletionTimestamp": "now"},
        "status": {"attached": true},
    });
    merge(&mut going, &fields);
    going
}

pub(crate) fn is_attached(attachment: &Value) -> bool {
    attachment["status"]["attached"] == true
}

fn action(call: &Call) -> String {
    let letter = match (call.verb.as_str(), call.resource.as_str()) {
        ("patch", "volumeattachments") => "P",
        ("patch", "volumeattachments/status") => "S",
        ("patch", "persistentvolumes") => "J",
        ("get", "secrets") => "G",
        _ => panic!("upstream makes no such call: {call}"),
    };
    let refused = if call.succeeded() { String::new() } else { format!("!{}", call.code) };
    format!("{letter}{refused} {}", shorthand(&call.body)).trim_end().to_owned()
}

fn shorthand(body: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(body) else { return String::new() };
    if let Some(operations) = body.as_array() {
        let kept = operations.iter().filter(|operation| operation["op"] != "test");
        return Value::Array(kept.cloned().collect()).to_string();
    }
    let fields = body.as_object_mut().unwrap();
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        assert!(metadata.remove("uid").is_some(), "every patch names its object");
        if metadata.is_empty() {
            fields.remove("metadata");
        }
    }
    for error in ["attachError", "detachError"] {
        if let Some(error) = body.pointer_mut(&format!("/status/{error}")).and_then(Value::as_object_mut) {
            assert!(error.remove("time").is_some(), "every error has its time");
        }
    }
    body.to_string()
}

/// What the rows call P(+F,+A).
pub(crate) fn marked() -> String {
    format!("P {}", json!({"metadata": {"annotations": {NODE_ID: "nodeID1"}, "finalizers": [F]}}))
}

/// What the rows call S(attached); the scripted driver tells the device.
pub(crate) fn saved(handle: &str) -> String {
    let metadata = json!({"device": format!("/dev/{handle}")});
    format!(
        "S {}",
        json!({"status": {"attached": true, "attachmentMetadata": metadata, "attachError": null}})
    )
}

/// What the rows call S(attachError).
pub(crate) fn attach_failed(message: &str, code: Option<i32>) -> String {
    format!("S {}", json!({"status": {"attachError": {"message": message, "errorCode": code}}}))
}

/// What the rows call S(detachError).
pub(crate) fn detach_failed(message: &str) -> String {
    format!("S {}", json!({"status": {"detachError": {"message": message}}}))
}

/// What the rows call P(-F).
pub(crate) fn released() -> String {
    format!("P {}", json!([{"op": "remove", "path": "/metadata/finalizers/0"}]))
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Attacher, "csi-attacher", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}

/// Long enough for everything that follows from something, and for a retry that should not come.
pub(crate) async fn settle() {
    pass(30).await;
}
