//! A cluster in this process: API server, controllers, driver, and as many sidecars as a test starts.

use std::time::Duration;

use csi_client::csi;
use csi_client::{Connection, ConnectionSettings};
use csi_provisioner::{Flags, run};
use serde_json::{Value, json};
use sidecar_core::api::Connector;
use sidecar_core::clock::Clock;
use sidecar_core::context::{ApiAccess, Context, DriverConnector};
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{self, Binary};
use sidecar_core::metrics::Metrics;
use sidecar_core::random::Random;
use sidecar_core::shutdown::{Reason, Shutdown};
use testkit::api::ApiServer;
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests::merge;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

pub(crate) const DRIVER: &str = "test-driver";
pub(crate) const CLASS: &str = "fake-sc";
pub(crate) const FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
const EPOCH: &str = "2026-11-21T05:00:00Z";

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
        let server = ApiServer::with(testkit::api::Clock::starting_at(EPOCH.parse().unwrap()), 0);
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
        let deadline = Instant::now() + Duration::from_secs(3600);
        while !condition() {
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.story());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Type, reason, message and count of every event about objects of this name.
    pub(crate) fn events(&self, object: &str) -> Vec<(String, String, String, u64)> {
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        self.server
            .list("Event")
            .iter()
            .filter(|event| event["involvedObject"]["name"] == object)
            .map(|event| {
                let count = event["count"].as_u64().unwrap_or(1);
                (text(event, "type"), text(event, "reason"), text(event, "message"), count)
            })
            .collect()
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
        let driver = self.driver.clone();
        let connect = DriverConnector::new(move |_, options| {
            let settings =
                ConnectionSettings { metrics: options.metrics.clone(), ..ConnectionSettings::default() };
            let connection = Connection::from_service(driver.service(), settings);
            Box::pin(async move { Ok(connection) })
        });
        let service = self.server.service_as("csi-provisioner");
        let context = Context::builder()
            .clock(Clock::simulated(EPOCH.parse().unwrap()))
            .random(Random::seeded(1))
            .hostname(hostname)
            .shutdown(Shutdown::default())
            .api(ApiAccess::through(Connector::from_service(service, "csi-provisioner")))
            .driver(connect)
            .build();
        let defaults = ["--kube-api-qps=-1", "--default-fstype=ext4"];
        let arguments: Vec<String> = defaults.iter().chain(arguments).map(|a| (*a).to_owned()).collect();
        let (metrics, shutdown) = (context.metrics.clone(), context.shutdown.clone());
        let task = tokio::spawn(whole(arguments, context));
        Sidecar { metrics, shutdown, task }
    }
}

/// What `main` does with a command line.
pub(crate) async fn whole(arguments: Vec<String>, context: Context) -> Result<(), Exit> {
    let parsed = flags::parse(Binary::Provisioner, "csi-provisioner", &arguments, &context.variables)?;
    let gates = entry::prologue(&parsed, &context)?;
    run(Flags::read(&parsed, gates)?, context).await
}

/// A running sidecar; dropping it kills it.
pub(crate) struct Sidecar {
    pub(crate) metrics: Metrics,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Exit>>,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sidecar {
    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.shutdown.request(Reason::Terminate);
    }

    /// Waits for the end.
    pub(crate) async fn end(mut self) -> Result<(), Exit> {
        let limit = Duration::from_secs(3600);
        tokio::time::timeout(limit, &mut self.task)
            .await
            .expect("the sidecar ends")
            .expect("it does not panic")
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// The value of a series, written as it is printed; 0 if it is not there.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.metrics.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Lets everything that can happen now happen, and `seconds` of paused time pass.
pub(crate) async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}
