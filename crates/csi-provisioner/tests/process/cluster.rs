//! What the real binary is put between: an API server over HTTPS, its controllers, and a driver behind a socket. Each
//! part can be taken away and given back, and there is something that may not get lost.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use csi_client::csi::CreateVolumeRequest;
use csi_client::{CallOptions, Connection, ConnectionSettings};
use serde_json::{Value, json};
use testkit::api::{ApiServer, Rule, Served};
use testkit::driver::{DriverConfig, Fact, ScriptedDriver};
use testkit::kcm::{KubeControllers, KubeOptions};
use testkit::manifests;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::program::{Launch, eventually};

pub(crate) const DRIVER: &str = "driver.example";
/// Logged when the sidecar begins to work.
pub(crate) const WORKS: &str = "Started provisioner controller";
pub(crate) const CLASS: &str = "class";
pub(crate) const USER: &str = "system:serviceaccount:default:csi-provisioner";
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
    _controllers: KubeControllers,
    pub(crate) runtime: Runtime,
}

impl Cluster {
    /// A cluster in which one claim has its volume already, and everything works.
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let in_runtime = runtime.enter();
        let directory = tempfile::tempdir().unwrap();
        let server = ApiServer::new();
        let controllers = KubeControllers::start(&server, KubeOptions::default());
        let driver = ScriptedDriver::new(DriverConfig { name: DRIVER.into(), ..DriverConfig::default() });
        let listening = runtime.block_on(server.serve_https()).unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let front_address = listener.local_addr().unwrap();
        let front = Mutex::new(Some(forward(listener, listening.address)));
        server.create(&manifests::class(CLASS, DRIVER)).unwrap();
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
            _controllers: controllers,
            runtime,
        };
        cluster.write_token("first");
        let kubeconfig = cluster.kubeconfig(&cluster.served);
        std::fs::write(cluster.path("kubeconfig"), kubeconfig).unwrap();
        cluster.start_driver();
        cluster.keep();
        cluster
    }

    /// The claim that has its volume before any sidecar runs.
    fn keep(&mut self) {
        let claim = self.server.create(&manifests::claim(KEPT, CLASS)).unwrap();
        let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
        let connection = Connection::from_service(self.driver.service(), ConnectionSettings::default());
        let request = CreateVolumeRequest {
            name: name.clone(),
            volume_capabilities: vec![mount()],
            ..Default::default()
        };
        let made = self.runtime.block_on(connection.create_volume(request, CallOptions::default())).unwrap();
        let mut volume = manifests::volume(&name, DRIVER, &made.volume.unwrap().volume_id, CLASS);
        volume["metadata"]["annotations"] = json!({"pv.kubernetes.io/provisioned-by": DRIVER});
        volume["metadata"]["finalizers"] = json!(["external-provisioner.volume.kubernetes.io/finalizer"]);
        volume["spec"]["claimRef"] = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": KEPT,
            "uid": claim["metadata"]["uid"],
        });
        self.server.create(&volume).unwrap();
        self.bound(KEPT);
        self.kept = self.kept_now();
    }

    /// Claim, object and volume that are to be as they were.
    fn kept_now(&self) -> Value {
        let claim = self.get_claim(KEPT);
        let name = claim["spec"]["volumeName"].as_str().unwrap_or_default().to_owned();
        let volume = self.server.get("PersistentVolume", "", &name).unwrap_or(Value::Null);
        let handles: Vec<String> = self
            .driver
            .volumes()
            .into_iter()
            .filter(|made| made.name == name)
            .map(|made| made.id.clone())
            .collect();
        json!({
            "claim": [claim["metadata"]["uid"], claim["spec"], claim["status"]["phase"]],
            "volume": [volume["metadata"]["uid"], volume["metadata"]["finalizers"], volume["spec"]],
            "handles": handles,
        })
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
        Launch::new(env!("CARGO_BIN_EXE_csi-provisioner"), flags)
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

    /// The kubeconfig of this server with another file for the token.
    pub(crate) fn kubeconfig_with_token(&self, file: &Path) -> String {
        let mut config: Value = serde_json::from_str(&self.kubeconfig(&self.served)).unwrap();
        config["users"][0]["user"] = json!({"tokenFile": file});
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

    pub(crate) fn claim(&self, name: &str) {
        self.claim_of(name, CLASS);
    }

    pub(crate) fn claim_of(&self, name: &str, class: &str) {
        self.server.create(&manifests::claim(name, class)).unwrap();
    }

    pub(crate) fn get_claim(&self, name: &str) -> Value {
        self.server.get("PersistentVolumeClaim", "default", name).unwrap_or(Value::Null)
    }

    pub(crate) fn is_bound(&self, claim: &str) -> bool {
        self.get_claim(claim)["status"]["phase"] == "Bound"
    }

    pub(crate) fn bound(&self, claim: &str) {
        eventually(&format!("claim {claim} is bound"), || self.is_bound(claim));
    }

    /// How often the driver was asked for a volume since the one that is kept.
    pub(crate) fn creations(&self) -> usize {
        self.driver.count::<CreateVolumeRequest>() - 1
    }

    pub(crate) fn creation_in_flight(&self) {
        eventually("CreateVolume is in flight", || self.creations() > 0);
    }

    /// The Lease's holder; null if there is no Lease.
    pub(crate) fn holder(&self) -> Value {
        let lease = self.server.get("Lease", "default", "driver-example").unwrap_or(Value::Null);
        lease["spec"]["holderIdentity"].clone()
    }

    /// Somebody else holds the Lease for good.
    pub(crate) fn occupy_lease(&self) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "driver-example", "namespace": "default"},
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
        assert_eq!(self.driver.volumes().len(), 1);
        let writes: Vec<_> = self.server.calls().into_iter().filter(|call| call.user == USER).collect();
        let writes = writes.iter().filter(|call| !["get", "list", "watch"].contains(&call.verb.as_str()));
        assert_eq!(writes.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// A new claim gets its volume, every claim has exactly one, and the driver has no other.
    pub(crate) fn assert_works(&self) {
        self.claim("later");
        for claim in self.server.list("PersistentVolumeClaim") {
            self.bound(claim["metadata"]["name"].as_str().unwrap());
        }
        eventually("driver and API have the same volumes", || {
            let mut handles: Vec<String> = self
                .server
                .list("PersistentVolume")
                .iter()
                .map(|volume| volume["spec"]["csi"]["volumeHandle"].as_str().unwrap().to_owned())
                .collect();
            let mut made: Vec<String> =
                self.driver.volumes().into_iter().map(|volume| volume.id.clone()).collect();
            handles.sort();
            made.sort();
            handles == made
        });
        assert_eq!(
            self.server.list("PersistentVolume").len(),
            self.server.list("PersistentVolumeClaim").len(),
            "one volume per claim"
        );
        let mut names: Vec<String> = (self.driver.history().into_iter())
            .filter_map(|fact| match fact {
                Fact::VolumeCreated { name, .. } => Some(name),
                _ => None,
            })
            .collect();
        let made = names.len();
        names.sort();
        names.dedup();
        assert_eq!(made, names.len(), "no volume was made twice");
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

fn mount() -> csi_client::csi::VolumeCapability {
    use csi_client::csi::volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode};
    csi_client::csi::VolumeCapability {
        access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
        access_type: Some(AccessType::Mount(MountVolume::default())),
    }
}

/// What upstream's roles grant, where the sidecar uses it (sheet, section 4).
fn rules() -> Vec<Rule> {
    vec![
        Rule::new("", &["persistentvolumes"], &["get", "list", "watch", "create", "patch", "delete"]),
        Rule::new("", &["persistentvolumeclaims"], &["get", "list", "watch", "update"]),
        Rule::new("storage.k8s.io", &["storageclasses"], &["get", "list", "watch"]),
        Rule::new("storage.k8s.io", &["volumeattributesclasses"], &["get"]),
        Rule::new("", &["events"], &["create", "patch"]),
        Rule::new("", &["secrets"], &["get"]),
        Rule::new("storage.k8s.io", &["volumeattachments"], &["get", "list", "watch"]),
        Rule::new("coordination.k8s.io", &["leases"], &["get", "create", "update"]).in_namespace("default"),
    ]
}

/// A file in which everything may be read that stands at `path`, empty if there is none.
pub(crate) fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
