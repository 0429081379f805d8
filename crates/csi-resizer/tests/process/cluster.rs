//! What the real binary is put between: an API server over HTTPS and a driver behind a socket. Each part can be taken
//! away and given back, and there is something that may not be touched.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use csi_client::csi::ControllerExpandVolumeRequest;
use serde_json::{Value, json};
use testkit::api::{ApiServer, Rule, Served};
use testkit::driver::{ControllerCapability, DriverConfig, ScriptedDriver};
use testkit::manifests;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::program::{Launch, eventually};

pub(crate) const DRIVER: &str = "driver.example";
pub(crate) const USER: &str = "system:serviceaccount:default:csi-resizer";
const LEASE: &str = "external-resizer-driver-example";
const KEPT: &str = "kept";

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
    /// A cluster in which one claim has what it wants, and everything works.
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let in_runtime = runtime.enter();
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::new();
        let mut config = DriverConfig { name: DRIVER.into(), ..DriverConfig::default() };
        config.controller.extend([ControllerCapability::ExpandVolume, ControllerCapability::ModifyVolume]);
        let driver = ScriptedDriver::new(config);
        let listening = runtime.block_on(server.serve_https()).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let front_address = listener.local_addr().unwrap();
        let front = Mutex::new(Some(forward(listener, listening.address)));
        server.set_rules(USER, rules());
        server.add_token("first", USER);
        drop(in_runtime);
        let mut cluster = Self {
            directory,
            server,
            driver,
            served: listening,
            front,
            front_address,
            kept: Value::Null,
            held: Mutex::default(),
            runtime,
        };
        cluster.write_token("first");
        let kubeconfig = cluster.kubeconfig(&cluster.served);
        std::fs::write(cluster.path("kubeconfig"), kubeconfig).unwrap();
        cluster.start_driver();
        cluster.bind(KEPT, "1Gi", &Value::Null);
        cluster.kept = cluster.kept_now();
        cluster
    }

    /// A claim that is bound to a volume of 1 Gi with this secret, and asks for this size.
    fn bind(&self, name: &str, wanted: &str, secret: &Value) {
        let mut claim = manifests::claim(name, "class");
        claim["spec"]["volumeName"] = json!(format!("pv-{name}"));
        claim["spec"]["resources"]["requests"]["storage"] = json!(wanted);
        let claim = self.server.create(&claim).unwrap();
        let mut volume = manifests::volume(&format!("pv-{name}"), DRIVER, &format!("vol-{name}"), "class");
        volume["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": name,
            "uid": claim["metadata"]["uid"],
        });
        if !secret.is_null() {
            volume["spec"]["csi"]["controllerExpandSecretRef"] = secret.clone();
        }
        self.server.create(&volume).unwrap();
        self.driver.add_volume(&format!("vol-{name}"), 1 << 30);
        let status = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
        self.server.patch_status("PersistentVolumeClaim", "default", name, &status).unwrap();
    }

    /// Claim, object and volume that are to be as they were.
    fn kept_now(&self) -> Value {
        let claim = self.get_claim(KEPT);
        let volume = self.server.get("PersistentVolume", "", &format!("pv-{KEPT}")).unwrap_or(Value::Null);
        json!([claim["spec"], claim["status"], volume["spec"], self.real_size(KEPT)])
    }

    fn real_size(&self, claim: &str) -> i64 {
        let id = format!("vol-{claim}");
        self.driver.volumes().iter().find(|volume| volume.id == id).map_or(0, |volume| volume.capacity)
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
        Launch::new(env!("CARGO_BIN_EXE_csi-resizer"), flags)
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

    // ---- claims ----

    /// A claim of 1 Gi that wants 2.
    pub(crate) fn claim(&self, name: &str) {
        self.bind(name, "2Gi", &Value::Null);
    }

    /// A claim whose expansion takes a secret.
    pub(crate) fn secretive_claim(&self, name: &str) {
        let secret = json!({"kind": "Secret", "metadata": {"name": "secret", "namespace": "default"}});
        self.server.create(&secret).unwrap();
        self.bind(name, "2Gi", &json!({"namespace": "default", "name": "secret"}));
    }

    pub(crate) fn get_claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    pub(crate) fn has_grown(&self, claim: &str) -> bool {
        self.get_claim(claim)["status"]["capacity"]["storage"] == "2Gi"
    }

    pub(crate) fn grown(&self, claim: &str) {
        eventually(&format!("claim {claim} has grown"), || self.has_grown(claim));
    }

    /// How often the driver was asked to expand a volume.
    pub(crate) fn expansions(&self) -> usize {
        self.driver.count::<ControllerExpandVolumeRequest>()
    }

    pub(crate) fn expansion_in_flight(&self) {
        eventually("ControllerExpandVolume is in flight", || self.expansions() > 0);
    }

    /// The Lease's holder; null if there is no Lease.
    pub(crate) fn holder(&self) -> Value {
        let lease = self.server.get("Lease", "default", LEASE).unwrap_or(Value::Null);
        lease["spec"]["holderIdentity"].clone()
    }

    /// Somebody else holds the Lease for good.
    pub(crate) fn occupy_lease(&self) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": "default"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3600, "leaseTransitions": 0},
        });
        self.server.create(&lease).unwrap();
    }

    // ---- nothing lost ----

    /// What was there is there as it was.
    pub(crate) fn assert_kept(&self) {
        assert_eq!(self.kept_now(), self.kept);
    }

    /// Nothing was written, to the API server or in the driver.
    pub(crate) fn assert_untouched(&self) {
        self.assert_kept();
        assert_eq!(self.expansions(), 0);
        let writes: Vec<_> = self.server.calls().into_iter().filter(|call| call.user == USER).collect();
        let writes = writes.iter().filter(|call| !["get", "list", "watch"].contains(&call.verb.as_str()));
        assert_eq!(writes.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// A new claim grows, so does every other that wants to, and what is said is what there is.
    pub(crate) fn assert_works(&self) {
        self.claim("later");
        for claim in self.server.list("PersistentVolumeClaim") {
            let name = claim["metadata"]["name"].as_str().unwrap();
            if name != KEPT {
                self.grown(name);
                assert_eq!(self.real_size(name), 2 << 30);
                let volume = self.server.get("PersistentVolume", "", &format!("pv-{name}")).unwrap();
                assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
                assert!(self.get_claim(name)["status"]["conditions"].as_array().is_none_or(Vec::is_empty));
            }
        }
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

/// What upstream's roles grant, where the sidecar uses it (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "patch"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch"]),
        Rule::new("", &["persistentvolumeclaims/status"], &["patch"]),
        Rule::new("", &["pods"], &["get", "list", "watch"]),
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new("", &["secrets"], &["get"]),
        Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["get", "list", "watch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}

/// A file in which everything may be read that stands at `path`, empty if there is none.
pub(crate) fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
