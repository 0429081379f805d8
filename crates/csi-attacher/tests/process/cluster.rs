//! What the real binary is put between: an API server over HTTPS and a driver behind a socket. Each part can be taken
//! away and given back, and there is an attachment that may not get lost.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use csi_client::csi::ControllerPublishVolumeRequest;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use serde_json::{Value, json};
use testkit::api::{ApiServer, Rule, Served};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};
use testkit::manifests;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::program::{Launch, eventually};

pub(crate) const DRIVER: &str = "driver.example";
/// Logged when the sidecar begins to work.
pub(crate) const WORKS: &str = "Starting CSI attacher";
pub(crate) const USER: &str = "system:serviceaccount:default:csi-attacher";
const LEASE: &str = "external-attacher-leader-driver-example";
const FINALIZER: &str = "external-attacher/driver-example";
const KEPT: &str = "kept";
const NODE_ID: &str = "id-node";
const GIB: i64 = 1 << 30;

pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    pub(crate) server: ApiServer,
    pub(crate) driver: ScriptedDriver,
    served: Served,
    front: Mutex<Option<tokio::task::AbortHandle>>,
    front_address: SocketAddr,
    kept: Value,
    /// Ports that are busy.
    held: Mutex<Vec<std::net::TcpListener>>,
    pub(crate) runtime: Runtime,
}

impl Cluster {
    /// A cluster in which one volume is attached already, and everything works.
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let in_runtime = runtime.enter();
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::new();
        let controller = vec![ControllerCapability::PublishUnpublishVolume];
        let config = DriverConfig { name: DRIVER.into(), controller, ..DriverConfig::default() };
        let driver = ScriptedDriver::new(config);
        let listening = runtime.block_on(server.serve_https()).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let front_address = listener.local_addr().unwrap();
        let front = Mutex::new(Some(forward(listener, listening.address)));
        server.set_rules(USER, rules());
        server.add_token("first", USER);
        drop(in_runtime);
        let held = Mutex::default();
        let mut cluster = Self {
            directory,
            server,
            driver,
            served: listening,
            front,
            front_address,
            kept: Value::Null,
            held,
            runtime,
        };
        cluster.write_token("first");
        std::fs::write(cluster.path("kubeconfig"), cluster.kubeconfig(&cluster.served)).unwrap();
        cluster.start_driver();
        cluster.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": "node"},
            "spec": {"drivers": [{"name": DRIVER, "nodeID": NODE_ID}]},
        }));
        cluster.keep();
        cluster
    }

    /// The attachment that is there before any sidecar runs.
    fn keep(&mut self) {
        self.want(KEPT, json!([FINALIZER]));
        let status = json!({"status": {"attached": true, "attachmentMetadata": {"device": "/dev/kept"}}});
        self.server.patch_status("VolumeAttachment", "", KEPT, &status).unwrap();
        let connection = Connection::from_service(self.driver.service(), ConnectionSettings::default());
        let request = ControllerPublishVolumeRequest {
            volume_id: KEPT.into(),
            node_id: NODE_ID.into(),
            volume_capability: Some(csi_client::csi::VolumeCapability::default()),
            ..Default::default()
        };
        let publish = connection.controller_publish_volume(request, CallOptions::default());
        self.runtime.block_on(publish).unwrap();
        self.kept = self.kept_now();
    }

    /// Attachment, volume and what the driver has, that are to be as they were.
    fn kept_now(&self) -> Value {
        let attachment = self.get(KEPT);
        let volume = self.server.get("PersistentVolume", "", KEPT).unwrap_or(Value::Null);
        json!({
            "attachment": [attachment["metadata"]["uid"], attachment["metadata"]["finalizers"], attachment["status"]],
            "volume": [volume["metadata"]["uid"], volume["metadata"]["finalizers"], volume["spec"]],
            "attached": self.published().contains(KEPT),
        })
    }

    /// Handles of what the driver has attached.
    fn published(&self) -> BTreeSet<String> {
        let volumes = self.driver.volumes();
        let attached = volumes.iter().filter(|volume| volume.published.contains_key(NODE_ID));
        attached.map(|volume| volume.id.clone()).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("csi.sock")
    }

    /// A start of the sidecar with everything right.
    pub(crate) fn launch(&self) -> Launch {
        let flags = [
            format!("--csi-address={}", self.socket().display()),
            format!("--kubeconfig={}", self.path("kubeconfig").display()),
            "-v=2".to_owned(),
            "--kube-api-qps=-1".to_owned(),
            "--retry-interval-start=100ms".to_owned(),
            "--retry-interval-max=1s".to_owned(),
        ];
        Launch::new(env!("CARGO_BIN_EXE_csi-attacher"), flags)
    }

    // ---- the driver ----

    pub(crate) fn start_driver(&self) {
        let _in_runtime = self.runtime.enter();
        self.driver.serve_unix(&self.socket()).unwrap();
    }

    /// The driver dies and leaves nothing, not even its socket.
    pub(crate) fn remove_driver(&self) {
        self.driver.kill();
        let _not_there = std::fs::remove_file(self.socket());
    }

    // ---- the API server ----

    /// Breaks every connection to the API server and refuses new ones.
    pub(crate) fn cut_off_server(&self) {
        if let Some(front) = self.front.lock().unwrap().take() {
            front.abort();
        }
        eventually("the API server is cut off", || std::net::TcpStream::connect(self.front_address).is_err());
    }

    pub(crate) fn reconnect_server(&self) {
        let mut front = self.front.lock().unwrap();
        if front.is_none() {
            let listener = self.runtime.block_on(TcpListener::bind(self.front_address)).unwrap();
            let _in_runtime = self.runtime.enter();
            *front = Some(forward(listener, self.served.address));
        }
    }

    /// A kubeconfig for this server that trusts the authority of `served`.
    pub(crate) fn kubeconfig(&self, served: &Served) -> String {
        let mut config: Value = serde_json::from_str(&served.kubeconfig("")).unwrap();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", self.front_address));
        config["users"][0]["user"] = json!({"tokenFile": self.path("token")});
        config.to_string()
    }

    /// Keeps a port busy as long as the cluster lives.
    pub(crate) fn hold(&self, listener: std::net::TcpListener) {
        self.held.lock().unwrap().push(listener);
    }

    pub(crate) fn write_token(&self, token: &str) {
        // In one step, as kubelet does.
        std::fs::write(self.path("token.new"), token).unwrap();
        std::fs::rename(self.path("token.new"), self.path("token")).unwrap();
    }

    /// Takes one verb on one resource from the sidecar's service account.
    pub(crate) fn forbid(&self, resource: &str, verb: &str) {
        let mut rules = rules();
        for rule in rules.iter_mut().filter(|rule| rule.resources.iter().any(|plural| plural == resource)) {
            rule.verbs.retain(|allowed| allowed != verb);
        }
        self.server.set_rules(USER, rules);
    }

    pub(crate) fn allow_all(&self) {
        self.server.set_rules(USER, rules());
    }

    // ---- attachments ----

    fn create(&self, object: Value) {
        self.server.create(&object).unwrap();
    }

    /// A volume, and its attachment, of this name.
    pub(crate) fn attach(&self, name: &str) {
        self.want(name, Value::Null);
    }

    fn want(&self, name: &str, finalizers: Value) {
        self.driver.add_volume(name, GIB);
        let mut volume = manifests::volume(name, DRIVER, name, "");
        volume["metadata"]["finalizers"] = finalizers.clone();
        self.create(volume);
        self.create(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
            "metadata": {"name": name, "finalizers": finalizers},
            "spec": {"attacher": DRIVER, "nodeName": "node", "source": {"persistentVolumeName": name}},
        }));
    }

    pub(crate) fn detach(&self, name: &str) {
        self.server.delete("VolumeAttachment", "", name).unwrap();
    }

    pub(crate) fn get(&self, name: &str) -> Value {
        self.server.get("VolumeAttachment", "", name).unwrap_or(Value::Null)
    }

    pub(crate) fn attached(&self, name: &str) {
        eventually(&format!("{name} is attached"), || self.get(name)["status"]["attached"] == true);
    }

    /// How often the driver was asked to attach since the one that is kept.
    pub(crate) fn calls(&self) -> usize {
        self.driver.count::<ControllerPublishVolumeRequest>() - 1
    }

    pub(crate) fn call_in_flight(&self) {
        eventually("ControllerPublishVolume is in flight", || self.calls() > 0);
    }

    /// The Lease's holder; null if there is no Lease.
    pub(crate) fn holder(&self) -> Value {
        let lease = self.server.get("Lease", "default", LEASE).unwrap_or(Value::Null);
        lease["spec"]["holderIdentity"].clone()
    }

    /// Somebody else holds the Lease for good.
    pub(crate) fn occupy_lease(&self) {
        self.create(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": "default"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3600, "leaseTransitions": 0},
        }));
    }

    // ---- nothing lost ----

    /// What was there is there as it was.
    pub(crate) fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    /// Nothing was written, to the API server or in the driver.
    pub(crate) fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.published().len(), 1);
        let calls = self.server.calls();
        let ours = calls.iter().filter(|call| call.user == USER);
        let writes = ours.filter(|call| !["get", "list", "watch"].contains(&call.verb.as_str()));
        assert_eq!(writes.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// A new attachment is carried out, and driver and API agree about all.
    pub(crate) fn assert_works(&self) {
        if self.get("later").is_null() {
            self.attach("later");
        }
        eventually("driver and API have the same attachments", || {
            let attachments = self.server.list("VolumeAttachment");
            let all = attachments.iter().all(|attachment| attachment["status"]["attached"] == true);
            let names =
                attachments.iter().map(|found| found["metadata"]["name"].as_str().unwrap().to_owned());
            all && names.collect::<BTreeSet<_>>() == self.published()
        });
        self.assert_kept();
    }
}

/// Passes connections on until aborted, which breaks them.
fn forward(listener: TcpListener, to: SocketAddr) -> tokio::task::AbortHandle {
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                if let Ok(mut far) = TcpStream::connect(to).await {
                    let _broken = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    task.abort_handle()
}

/// What upstream's roles grant (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        Rule::new("storage.k8s.io", &["csinodes"], &["get", "list", "watch"]),
        Rule::new("storage.k8s.io", &["volumeattachments"], &["get", "list", "watch", "patch"]),
        Rule::new("storage.k8s.io", &["volumeattachments/status"], &["patch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}

/// A file in which everything may be read that stands at `path`, empty if there is none.
pub(crate) fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
