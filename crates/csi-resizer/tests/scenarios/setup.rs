//! A cluster in this process: API server, driver, claims that are bound, and as many sidecars as a test starts.

use csi_client::csi::{ControllerExpandVolumeRequest, ControllerModifyVolumeRequest};
use csi_resizer::{Flags, run};
use serde_json::{Value, json};
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
use sidecar_core::quantity::Quantity;
pub(crate) use sidecar_testkit::{Sidecar, pass};
use sidecar_testkit::{api_server, command_line, connector, context, events, rule_for_leases, until};
use testkit::api::{ApiServer, Rule};
use testkit::driver::{ControllerCapability, DriverConfig, NodeCapability, ScriptedDriver};
use testkit::manifests::merge;

pub(crate) const DRIVER: &str = "foo";
pub(crate) const USER: &str = "csi-resizer";

pub(crate) struct Setup {
    pub(crate) server: ApiServer,
    pub(crate) driver: ScriptedDriver,
}

/// What the driver can do: expand in the controller, expand on nodes, modify.
pub(crate) fn able(controller: bool, node: bool, modify: bool) -> DriverConfig {
    let mut config = DriverConfig { name: DRIVER.into(), ..DriverConfig::default() };
    if controller {
        config.controller.push(ControllerCapability::ExpandVolume);
    }
    if node {
        config.node.push(NodeCapability::ExpandVolume);
    }
    if modify {
        config.controller.push(ControllerCapability::ModifyVolume);
    }
    config
}

impl Setup {
    /// The driver expands, also on nodes, and modifies.
    pub(crate) fn new() -> Self {
        Self::with(able(true, true, true))
    }

    /// The driver expands without the help of nodes, and modifies.
    pub(crate) fn without_nodes() -> Self {
        Self::with(able(true, false, true))
    }

    pub(crate) fn with(config: DriverConfig) -> Self {
        let server = api_server();
        server.set_rules(USER, rules());
        Self { server, driver: ScriptedDriver::new(config) }
    }

    // ---- objects ----

    /// A claim that is bound to a volume of this size, and a volume of the driver behind it. `claim` is merged over the
    /// claim, its status included, and `volume` over the volume object.
    pub(crate) fn bound(&self, name: &str, size: &str, claim: &Value, volume: &Value) {
        let mut manifest = testkit::manifests::claim(name, "class");
        manifest["spec"]["volumeName"] = json!(format!("pv-{name}"));
        manifest["spec"]["resources"]["requests"]["storage"] = json!(size);
        let mut claim = claim.clone();
        let status = claim.as_object_mut().and_then(|fields| fields.remove("status")).unwrap_or(json!({}));
        merge(&mut manifest, &claim);
        let created = self.server.create(&manifest).unwrap();
        let mut object =
            testkit::manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
        object["spec"]["capacity"]["storage"] = json!(size);
        object["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name,
            "uid": created["metadata"]["uid"],
        });
        merge(&mut object, volume);
        self.server.create(&object).unwrap();
        self.driver.add_volume(&format!("vol-{name}"), Quantity::parse(size).unwrap().value());
        let mut first = json!({"status": {"phase": "Bound", "capacity": {"storage": size}}});
        merge(&mut first, &json!({ "status": status }));
        self.server.patch_status("PersistentVolumeClaim", "default", name, &first).unwrap();
    }

    /// A claim of 1Gi that wants 2Gi.
    pub(crate) fn wanting(&self, name: &str) {
        self.bound(name, "1Gi", &wants("2Gi"), &json!({}));
    }

    pub(crate) fn claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    pub(crate) fn status(&self, name: &str) -> Value {
        self.claim(name)["status"].clone()
    }

    /// The volume object behind a claim.
    pub(crate) fn volume(&self, claim: &str) -> Value {
        self.server.get("PersistentVolume", "", &format!("pv-{claim}")).unwrap_or(Value::Null)
    }

    pub(crate) fn capacity(&self, claim: &str) -> String {
        text(&self.status(claim)["capacity"]["storage"])
    }

    pub(crate) fn allocated(&self, claim: &str) -> String {
        text(&self.status(claim)["allocatedResources"]["storage"])
    }

    pub(crate) fn progress(&self, claim: &str) -> String {
        text(&self.status(claim)["allocatedResourceStatuses"]["storage"])
    }

    /// Types of the claim's conditions.
    pub(crate) fn conditions(&self, claim: &str) -> Vec<String> {
        let status = self.status(claim);
        let list = status["conditions"].as_array().cloned().unwrap_or_default();
        list.iter().map(|condition| text(&condition["type"])).collect()
    }

    pub(crate) fn condition(&self, claim: &str, kind: &str) -> Value {
        let status = self.status(claim);
        let list = status["conditions"].as_array().cloned().unwrap_or_default();
        list.into_iter().find(|condition| condition["type"] == kind).unwrap_or(Value::Null)
    }

    pub(crate) fn patch(&self, claim: &str, patch: &Value) {
        self.server.patch("PersistentVolumeClaim", "default", claim, patch).unwrap();
    }

    pub(crate) fn patch_status(&self, claim: &str, patch: &Value) {
        self.server.patch_status("PersistentVolumeClaim", "default", claim, patch).unwrap();
    }

    /// The user asks for another size.
    pub(crate) fn want(&self, claim: &str, size: &str) {
        self.patch(claim, &wants(size));
    }

    /// What kubelet does at the end of its part.
    pub(crate) fn node_expanded(&self, claim: &str) {
        let size = self.volume(claim)["spec"]["capacity"]["storage"].clone();
        let status =
            json!({"capacity": {"storage": size}, "allocatedResourceStatuses": null, "conditions": null});
        self.patch_status(claim, &json!({ "status": status }));
    }

    pub(crate) fn attributes_class(&self, name: &str, parameters: &Value) {
        self.server
            .create(&json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass",
                "metadata": {"name": name}, "driverName": DRIVER, "parameters": parameters,
            }))
            .unwrap();
    }

    /// The user wants another attributes class; an empty one is none.
    pub(crate) fn want_class(&self, claim: &str, class: &str) {
        let class = if class.is_empty() { Value::Null } else { json!(class) };
        self.patch(claim, &json!({"spec": {"volumeAttributesClassName": class}}));
    }

    pub(crate) fn pod(&self, name: &str, claim: &str, phase: &str) {
        self.server.create(&testkit::manifests::pod(name, claim)).unwrap();
        self.phase(name, phase);
    }

    pub(crate) fn phase(&self, pod: &str, phase: &str) {
        self.server.patch_status("Pod", "default", pod, &json!({"status": {"phase": phase}})).unwrap();
    }

    // ---- what happens ----

    /// Waits until `condition` holds, at most two hours of paused time.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, 2, condition, || self.story()).await;
    }

    pub(crate) async fn until_progress(&self, claim: &str, progress: &str) {
        self.until(&format!("{claim} is {progress:?}"), || self.progress(claim) == progress).await;
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

    pub(crate) fn expansions(&self) -> Vec<ControllerExpandVolumeRequest> {
        self.driver.requests::<ControllerExpandVolumeRequest>()
    }

    /// Sizes that the driver was asked for.
    pub(crate) fn asked(&self) -> Vec<i64> {
        let range = |request: ControllerExpandVolumeRequest| request.capacity_range.unwrap_or_default();
        self.expansions().into_iter().map(|request| range(request).required_bytes).collect()
    }

    pub(crate) fn modifications(&self) -> Vec<ControllerModifyVolumeRequest> {
        self.driver.requests::<ControllerModifyVolumeRequest>()
    }

    /// Calls of the sidecars as `verb resource -> code`, watches left out.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.server.calls().into_iter();
        calls
            .filter(|call| call.user_agent.starts_with("csi-resizer/") && call.verb != "watch")
            .map(|call| format!("{} {} -> {}", call.verb, call.resource, call.code))
            .collect()
    }

    /// Writes of the sidecars into claims and volumes.
    pub(crate) fn writes(&self) -> usize {
        self.calls().iter().filter(|call| call.starts_with("patch persistent")).count()
    }

    /// What happened, for a failed test.
    pub(crate) fn story(&self) -> String {
        format!(
            "driver: {:?}\nclaims: {:#?}\nevents: {:#?}\nAPI:\n{}",
            self.driver.calls(),
            self.server
                .list("PersistentVolumeClaim")
                .iter()
                .map(|claim| claim["status"].clone())
                .collect::<Vec<_>>(),
            self.server.list("Event").iter().map(|event| text(&event["message"])).collect::<Vec<_>>(),
            self.calls().join("\n")
        )
    }

    // ---- sidecars ----

    /// Starts a sidecar with these flags on top of ones that keep tests short.
    pub(crate) fn start(&self, arguments: &[&str]) -> Sidecar {
        self.start_as("host-1", arguments)
    }

    pub(crate) fn start_as(&self, hostname: &str, arguments: &[&str]) -> Sidecar {
        let context = context(&self.server, USER, hostname).driver(connector(&self.driver)).build();
        Sidecar::start(command_line(&["--kube-api-qps=-1"], arguments), context, whole)
    }
}

/// Upstream's rules (sheet 4), with secrets, and nothing more.
pub(crate) fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch"]),
        Rule::new("", &["persistentvolumeclaims/status"], &["patch"]),
        Rule::new("", &["pods"], &["get", "list", "watch"]),
        Rule::new("", &["events"], &["list", "watch", "create", "update", "patch"]),
        Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["get", "list", "watch"]),
        Rule::new("", &["secrets"], &["get", "list", "watch"]),
        rule_for_leases(),
    ]
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Resizer, "csi-resizer", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A claim's wish for a size, to be merged over it.
pub(crate) fn wants(size: &str) -> Value {
    json!({"spec": {"resources": {"requests": {"storage": size}}}})
}

/// Bytes of a number of Gi.
pub(crate) const fn gi(number: i64) -> i64 {
    number << 30
}
