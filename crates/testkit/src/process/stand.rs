//! What a sidecar's binary is put between. Each part can be taken away and given back.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinSet};

use super::program::{Launch, eventually};
use crate::api::{ApiServer, Rule, Served};
use crate::driver::{DriverConfig, ScriptedDriver};

/// Name of the driver of a stand that has one.
pub const DRIVER: &str = "driver.example";

/// The token that is good at first.
pub(super) const FIRST_TOKEN: &str = "first";

/// What a sidecar is like, seen from outside.
#[derive(Clone, Copy)]
pub struct Profile {
    /// Path of the binary: `env!("CARGO_BIN_EXE_…")`.
    pub binary: &'static str,
    /// Logged when it begins to work.
    pub works: &'static str,
    /// Its service account, as the API server calls it.
    pub user: &'static str,
    /// Its Lease, in the namespace `default`.
    pub lease: &'static str,
    /// What upstream's roles grant, where it uses it (its sheet, section 4).
    pub rules: fn() -> Vec<Rule>,
}

/// An API server over HTTPS, and perhaps a driver behind a socket.
pub struct Stand {
    /// The API server.
    pub server: ApiServer,
    /// The sidecar.
    pub profile: Profile,
    directory: tempfile::TempDir,
    driver: Option<ScriptedDriver>,
    served: Served,
    /// What passes connections on to the server; none while it is cut off.
    front: Mutex<Option<AbortHandle>>,
    front_address: SocketAddr,
    /// Ports that are busy.
    held: Mutex<Vec<std::net::TcpListener>>,
    /// On which server and driver run.
    pub runtime: Runtime,
}

impl Stand {
    /// A stand for a sidecar that has no driver.
    pub fn alone(profile: Profile) -> Self {
        Self::build(profile, None)
    }

    /// A stand with a driver, which is called [`DRIVER`] whatever `config` says.
    pub fn with_driver(profile: Profile, config: DriverConfig) -> Self {
        let driver = ScriptedDriver::new(DriverConfig { name: DRIVER.into(), ..config });
        let stand = Self::build(profile, Some(driver));
        stand.start_driver();
        stand
    }

    fn build(profile: Profile, driver: Option<ScriptedDriver>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = ApiServer::new();
        let (listening, front_address, front) = runtime.block_on(async {
            let listening = server.serve_https().await.unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let front_address = listener.local_addr().unwrap();
            let front = forward(listener, listening.address);
            (listening, front_address, front)
        });
        server.set_rules(profile.user, (profile.rules)());
        server.add_token(FIRST_TOKEN, profile.user);
        let stand = Self {
            server,
            profile,
            directory: tempfile::tempdir().unwrap(),
            driver,
            served: listening,
            front: Mutex::new(Some(front)),
            front_address,
            held: Mutex::default(),
            runtime,
        };
        stand.write_token(FIRST_TOKEN);
        std::fs::write(stand.path("kubeconfig"), stand.kubeconfig(&stand.served)).unwrap();
        stand
    }

    /// The place of a file that goes with the stand.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the driver listens.
    pub fn socket(&self) -> PathBuf {
        self.path("csi.sock")
    }

    /// A start of the sidecar with everything right.
    pub fn launch(&self) -> Launch {
        let address = self.driver.iter().map(|_| format!("--csi-address={}", self.socket().display()));
        let flags = [
            format!("--kubeconfig={}", self.path("kubeconfig").display()),
            "-v=2".to_owned(),
            "--kube-api-qps=-1".to_owned(),
            "--retry-interval-start=100ms".to_owned(),
            "--retry-interval-max=1s".to_owned(),
        ];
        Launch::new(self.profile.binary, self.profile.works, address.chain(flags))
    }

    /// Keeps a port busy as long as the stand is there.
    pub fn hold(&self, listener: std::net::TcpListener) {
        self.held.lock().unwrap().push(listener);
    }

    // ---- the driver ----

    /// The driver. Panics if there is none.
    pub fn driver(&self) -> &ScriptedDriver {
        self.driver.as_ref().expect("this stand has no driver")
    }

    /// Lets the driver listen.
    pub fn start_driver(&self) {
        let _in_runtime = self.runtime.enter();
        self.driver().serve_unix(&self.socket()).unwrap();
    }

    /// The driver dies and leaves nothing, not even its socket.
    pub fn remove_driver(&self) {
        self.driver().kill();
        let _not_there = std::fs::remove_file(self.socket());
    }

    // ---- the API server ----

    /// Breaks every connection to the API server and refuses new ones.
    pub fn cut_off_server(&self) {
        if let Some(front) = self.front.lock().unwrap().take() {
            front.abort();
        }
        eventually("the API server is cut off", || std::net::TcpStream::connect(self.front_address).is_err());
    }

    /// Lets the API server be reached again.
    pub fn reconnect_server(&self) {
        let mut front = self.front.lock().unwrap();
        if front.is_none() {
            let listener = self.runtime.block_on(TcpListener::bind(self.front_address)).unwrap();
            let _in_runtime = self.runtime.enter();
            *front = Some(forward(listener, self.served.address));
        }
    }

    /// A kubeconfig for this server that trusts the authority of `served`.
    pub fn kubeconfig(&self, served: &Served) -> String {
        self.kubeconfig_of(served, &self.path("token"))
    }

    /// The kubeconfig of this server with another file for the token.
    pub fn kubeconfig_with_token(&self, file: &Path) -> String {
        self.kubeconfig_of(&self.served, file)
    }

    fn kubeconfig_of(&self, served: &Served, token: &Path) -> String {
        let mut config: Value = serde_json::from_str(&served.kubeconfig("")).unwrap();
        config["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", self.front_address));
        config["users"][0]["user"] = json!({"tokenFile": token});
        config.to_string()
    }

    /// Replaces the token in one step, as kubelet does.
    pub fn write_token(&self, token: &str) {
        std::fs::write(self.path("token.new"), token).unwrap();
        std::fs::rename(self.path("token.new"), self.path("token")).unwrap();
    }

    /// Takes one verb on one resource from the sidecar's service account.
    pub fn forbid(&self, resource: &str, verb: &str) {
        let mut rules = (self.profile.rules)();
        for rule in rules.iter_mut().filter(|rule| rule.resources.iter().any(|plural| plural == resource)) {
            rule.verbs.retain(|allowed| allowed != verb);
        }
        self.server.set_rules(self.profile.user, rules);
    }

    /// Gives back what was taken.
    pub fn allow_all(&self) {
        self.server.set_rules(self.profile.user, (self.profile.rules)());
    }

    /// Nothing was written to the API server by the sidecar.
    pub fn assert_nothing_written(&self) {
        let calls = self.server.calls();
        let ours = calls.iter().filter(|call| call.user == self.profile.user);
        let writes = ours.filter(|call| !["get", "list", "watch"].contains(&call.verb.as_str()));
        assert_eq!(writes.map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    }

    // ---- the Lease ----

    /// The Lease's holder; null if there is no Lease.
    pub fn holder(&self) -> Value {
        let lease = self.server.get("Lease", "default", self.profile.lease).unwrap_or(Value::Null);
        lease["spec"]["holderIdentity"].clone()
    }

    /// Somebody else, called `other`, holds the Lease for good.
    pub fn occupy_lease(&self) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.profile.lease, "namespace": "default"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3600, "leaseTransitions": 0},
        });
        self.server.create(&lease).unwrap();
    }
}

/// Passes connections on until aborted, which breaks them.
fn forward(listener: TcpListener, to: SocketAddr) -> AbortHandle {
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
