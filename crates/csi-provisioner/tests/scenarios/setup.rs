//! A cluster in this process: API server, controllers, driver, and as many sidecars as a test starts.

use csi_client::csi;
use csi_provisioner::{Flags, run};
use serde_json::{Value, json};
use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
pub(crate) use sidecar_testkit::{Sidecar, pass};
use sidecar_testkit::{api_server, command_line, connector, context, events, until};
use testkit::api::ApiServer;
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests::merge;

pub(crate) const DRIVER: &str = "test-driver";
pub(crate) const CLASS: &str = "fake-sc";
pub(crate) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";

pub(crate) struct Setup {
    pub(crate) server: ApiServer,
    pub(crate) driver: ScriptedDriver,
    controllers: Option<KubeControllers>,
}

impl Setup {
    /// An empty cluster with a class `fake-sc` of the driver.
    pub(crate) fn new() -> Self {
        Self::with(DriverConfig { name: DRIVER.into(), ..DriverConfig::default() })
    }

    /// The driver has these capabilities as well.
    pub(crate) fn able(capabilities: &[ControllerCapability]) -> Self {
        let mut controller = vec![ControllerCapability::CreateDeleteVolume];
        controller.extend(capabilities);
        Self::with(DriverConfig { name: DRIVER.into(), controller, ..DriverConfig::default() })
    }

    pub(crate) fn with(config: DriverConfig) -> Self {
        let server = api_server();
        let options = KubeOptions { protection: true, ..KubeOptions::default() };
        let controllers = KubeControllers::start(&server, options);
        let setup = Self { server, driver: ScriptedDriver::new(config), controllers: Some(controllers) };
        setup.class(CLASS, json!({}));
        setup
    }

    /// From now on nobody binds, releases or protects anything.
    pub(crate) fn stop_controllers(&mut self) {
        self.controllers = None;
    }

    /// Creates a class of the driver with `fields` on top.
    pub(crate) fn class(&self, name: &str, fields: Value) {
        let mut class = testkit::manifests::class(name, DRIVER);
        merge(&mut class, &fields);
        self.server.create(&class).unwrap();
    }

    /// Creates a claim of 100 bytes, `fields` on top.
    pub(crate) fn claim(&self, name: &str, fields: Value) -> Value {
        let mut claim = testkit::manifests::claim(name, CLASS);
        merge(&mut claim, &json!({"spec": {"resources": {"requests": {"storage": "100"}}}}));
        merge(&mut claim, &fields);
        self.server.create(&claim).unwrap()
    }

    pub(crate) fn get_claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    pub(crate) fn delete_claim(&self, name: &str) {
        self.server.delete("PersistentVolumeClaim", "default", name).unwrap();
    }

    pub(crate) fn volumes(&self) -> Vec<Value> {
        self.server.list("PersistentVolume")
    }

    pub(crate) fn get_volume(&self, name: &str) -> Option<Value> {
        self.server.get("PersistentVolume", "", name)
    }

    /// Waits until the claim is bound and returns the name of its volume.
    pub(crate) async fn bound(&self, claim: &str) -> String {
        self.until(&format!("claim {claim} is bound"), || {
            self.get_claim(claim)["status"]["phase"] == "Bound"
        })
        .await;
        self.get_claim(claim)["spec"]["volumeName"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn no_volumes(&self) {
        self.until("no volume is left", || self.volumes().is_empty()).await;
    }

    /// Waits until `condition` holds, at most an hour of paused time.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, 1, condition, || self.story()).await;
    }

    /// Type, reason, message and count of every event about objects of this name.
    pub(crate) fn events(&self, object: &str) -> Vec<(String, String, String, u64)> {
        events(&self.server, object)
    }

    /// Waits for an event about an object.
    pub(crate) async fn event(&self, object: &str, reason: &str, text: &str) {
        self.until(&format!("event {reason} {text:?} about {object}"), || {
            self.events(object).iter().any(|(_, r, message, _)| r == reason && message.contains(text))
        })
        .await;
    }

    pub(crate) fn creations(&self) -> Vec<csi::CreateVolumeRequest> {
        self.driver.requests::<csi::CreateVolumeRequest>()
    }

    pub(crate) fn deletions(&self) -> Vec<csi::DeleteVolumeRequest> {
        self.driver.requests::<csi::DeleteVolumeRequest>()
    }

    /// Calls of the sidecars as `verb resource -> code`, watches left out.
    pub(crate) fn calls(&self) -> Vec<String> {
        let calls = self.server.calls().into_iter();
        calls
            .filter(|call| call.user_agent.starts_with("csi-provisioner/") && call.verb != "watch")
            .map(|call| format!("{} {} -> {}", call.verb, call.resource, call.code))
            .collect()
    }

    /// What happened, for a failed test.
    fn story(&self) -> String {
        format!("driver: {:?}\nAPI:\n{}", self.driver.calls(), self.calls().join("\n"))
    }

    /// Starts a sidecar with these flags on top of ones that keep tests short.
    pub(crate) fn start(&self, arguments: &[&str]) -> Sidecar {
        self.start_as("host-1", arguments)
    }

    pub(crate) fn start_as(&self, hostname: &str, arguments: &[&str]) -> Sidecar {
        let context =
            context(&self.server, "csi-provisioner", hostname).driver(connector(&self.driver)).build();
        let arguments = command_line(&["--kube-api-qps=-1", "--default-fstype=ext4"], arguments);
        Sidecar::start(arguments, context, whole)
    }
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Provisioner, "csi-provisioner", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}
