//! A CSI driver that remembers volumes as the specification asks for and otherwise does what the test says:
//! fail the third call, answer late, hang, leave something out, die and come back.
//!
//! It runs in process ([`ScriptedDriver::service`], for `Connection::from_service`) or behind a socket
//! ([`ScriptedDriver::serve_unix`]). What it has is kept over [`ScriptedDriver::kill`], as a real backend's is.

mod backend;
mod controller;
mod group;
mod identity;
mod node;
mod script;
mod service;
mod snapshots;
mod volumes;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use csi_client::csi::{controller_service_capability, node_service_capability, plugin_capability};
use prost::Name;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

pub use backend::{Fact, Volume};
pub use script::Step;
pub use service::DriverService;

use crate::net::Listening;
use backend::Backend;

/// Capabilities of the controller service.
pub use controller_service_capability::rpc::Type as ControllerCapability;
/// Capabilities of the group controller service.
pub use csi_client::csi::group_controller_service_capability::rpc::Type as GroupCapability;
/// Capabilities of the node service.
pub use node_service_capability::rpc::Type as NodeCapability;
/// Capabilities of the plugin.
pub use plugin_capability::service::Type as PluginCapability;

/// What the driver says about itself.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// Driver name.
    pub name: String,
    /// Plugin capabilities.
    pub plugin: Vec<PluginCapability>,
    /// Controller capabilities.
    pub controller: Vec<ControllerCapability>,
    /// Node capabilities.
    pub node: Vec<NodeCapability>,
    /// Group controller capabilities.
    pub group: Vec<GroupCapability>,
    /// Node id and topology segments that NodeGetInfo answers.
    pub node_id: String,
    /// Topology of this node and of every volume; empty for none.
    pub topology: BTreeMap<String, String>,
    /// Bytes that the backend can hand out.
    pub capacity: i64,
    /// Size of a volume when none is asked for.
    pub default_size: i64,
    /// Mutable parameters that make ControllerModifyVolume fail as invalid.
    pub refused_parameters: BTreeSet<String>,
    /// How long after it was cut a snapshot can be used.
    pub snapshot_time: Duration,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            name: "driver.example".to_owned(),
            plugin: vec![PluginCapability::ControllerService],
            controller: vec![ControllerCapability::CreateDeleteVolume],
            node: Vec::new(),
            group: Vec::new(),
            node_id: "node".to_owned(),
            topology: BTreeMap::new(),
            capacity: i64::MAX,
            default_size: 1 << 30,
            refused_parameters: BTreeSet::new(),
            snapshot_time: Duration::ZERO,
        }
    }
}

struct Inner {
    config: DriverConfig,
    backend: Backend,
    scripts: BTreeMap<&'static str, VecDeque<Step>>,
    standing: BTreeMap<&'static str, Step>,
    planner: Option<Planner>,
    calls: Vec<Recorded>,
    busy: BTreeSet<String>,
    /// Cancelled when the driver dies.
    life: CancellationToken,
    socket: Option<Listening>,
}

/// Chooses what happens to a call that no script speaks about: method and number of the call.
type Planner = Box<dyn FnMut(&'static str, usize) -> Step + Send>;

struct Recorded {
    method: &'static str,
    request: Arc<dyn Any + Send + Sync>,
}

/// The driver; clones are handles to the same one.
#[derive(Clone)]
pub struct ScriptedDriver {
    inner: Arc<Mutex<Inner>>,
}

impl Default for ScriptedDriver {
    fn default() -> Self {
        Self::new(DriverConfig::default())
    }
}

impl std::fmt::Debug for ScriptedDriver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ScriptedDriver({} volumes)", self.volumes().len())
    }
}

/// Name of the RPC of a request type: its name without `Request`.
fn method_of<Q: Name>() -> &'static str {
    Q::NAME.strip_suffix("Request").unwrap_or(Q::NAME)
}

impl ScriptedDriver {
    /// A driver with an empty backend.
    pub fn new(config: DriverConfig) -> Self {
        let inner = Inner {
            config,
            backend: Backend::default(),
            scripts: BTreeMap::new(),
            standing: BTreeMap::new(),
            planner: None,
            calls: Vec::new(),
            busy: BTreeSet::new(),
            life: CancellationToken::new(),
            socket: None,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gRPC services in process.
    pub fn service(&self) -> DriverService {
        DriverService::new(self.clone())
    }

    /// Serves on a Unix socket until the driver is killed or dropped; an old socket file is replaced.
    pub fn serve_unix(&self, path: &Path) -> std::io::Result<()> {
        let listening = crate::net::serve_unix(path, self.service())?;
        let mut inner = self.lock();
        inner.life = CancellationToken::new();
        inner.socket = Some(listening);
        Ok(())
    }

    /// The driver dies: connections break, what it was doing stops, later calls find nobody. The backend stays.
    pub fn kill(&self) {
        let mut inner = self.lock();
        inner.life.cancel();
        inner.busy.clear();
        inner.socket = None;
    }

    /// The driver is back, in process; over a socket it comes back with [`ScriptedDriver::serve_unix`].
    pub fn restart(&self) {
        self.lock().life = CancellationToken::new();
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lock().life.is_cancelled()
    }

    /// Changes what the driver says about itself from now on.
    pub fn configure(&self, change: impl FnOnce(&mut DriverConfig)) {
        change(&mut self.lock().config);
    }

    // ---- scripting ----

    /// What the next calls of this RPC do, one step each; after that they are normal again.
    pub fn script<Q: Name>(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().scripts.entry(method_of::<Q>()).or_default().extend(steps);
    }

    /// What every call of this RPC does that no script speaks about.
    pub fn always<Q: Name>(&self, step: Step) {
        self.lock().standing.insert(method_of::<Q>(), step);
    }

    /// Chooses a step for every call that neither a script nor [`ScriptedDriver::always`] speaks about.
    pub fn plan(&self, planner: impl FnMut(&'static str, usize) -> Step + Send + 'static) {
        self.lock().planner = Some(Box::new(planner));
    }

    /// Forgets all scripts.
    pub fn behave(&self) {
        let mut inner = self.lock();
        inner.scripts.clear();
        inner.standing.clear();
        inner.planner = None;
    }

    // ---- what happened ----

    /// The requests of a type, oldest first.
    pub fn requests<Q: Name + Any + Clone>(&self) -> Vec<Q> {
        self.lock().calls.iter().filter_map(|call| call.request.downcast_ref::<Q>().cloned()).collect()
    }

    /// How often an RPC was called.
    pub fn count<Q: Name>(&self) -> usize {
        let method = method_of::<Q>();
        self.lock().calls.iter().filter(|call| call.method == method).count()
    }

    /// The names of all RPCs called, oldest first.
    pub fn calls(&self) -> Vec<&'static str> {
        self.lock().calls.iter().map(|call| call.method).collect()
    }

    /// Puts a volume into the backend that nobody asked for, as one from before the test.
    pub fn add_volume(&self, id: &str, capacity: i64) {
        let volume = Volume {
            id: id.to_owned(),
            name: id.to_owned(),
            capacity,
            request: csi_client::csi::CreateVolumeRequest::default(),
            published: BTreeMap::new(),
        };
        self.lock().backend.volumes.insert(id.to_owned(), Arc::new(volume));
    }

    /// Puts a snapshot into the backend that nobody asked for, as one from before the test. It can be used.
    pub fn add_snapshot(&self, id: &str, source: &str, size_bytes: i64) {
        snapshots::add(&mut self.lock().backend, id, source, size_bytes);
    }

    /// Ids and names of the snapshots that exist, those of groups included.
    pub fn snapshots(&self) -> BTreeMap<String, String> {
        let inner = self.lock();
        inner.backend.snapshots.iter().map(|(id, snapshot)| (id.clone(), snapshot.name.clone())).collect()
    }

    /// Ids and names of the groups of snapshots that exist.
    pub fn groups(&self) -> BTreeMap<String, String> {
        let inner = self.lock();
        inner.backend.groups.iter().map(|(id, group)| (id.clone(), group.name.clone())).collect()
    }

    /// Takes a snapshot out of the backend behind everybody's back.
    pub fn lose_snapshot(&self, id: &str) {
        snapshots::remove(&mut self.lock().backend, id);
    }

    /// Somebody uses a volume, or nobody does any more: in use it cannot be expanded.
    pub fn set_in_use(&self, id: &str, in_use: bool) {
        let used = &mut self.lock().backend.in_use;
        if in_use {
            used.insert(id.to_owned());
        } else {
            used.remove(id);
        }
    }

    /// The volumes that exist, by id.
    pub fn volumes(&self) -> Vec<Arc<Volume>> {
        self.lock().backend.volumes.values().cloned().collect()
    }

    /// Takes a volume off a node behind everybody's back.
    pub fn lose_attachment(&self, id: &str, node: &str) {
        let mut inner = self.lock();
        if let Some(volume) = inner.backend.volumes.get_mut(id).map(Arc::make_mut)
            && volume.published.remove(node).is_some()
        {
            let (id, node) = (id.to_owned(), node.to_owned());
            inner.backend.history.push(Fact::Unpublished { id, node });
        }
    }

    /// Everything that ever happened to the backend, oldest first.
    pub fn history(&self) -> Vec<Fact> {
        self.lock().backend.history.clone()
    }

    /// How many facts the history has, which is cheaper to ask than the history.
    pub fn history_len(&self) -> usize {
        self.lock().backend.history.len()
    }

    // ---- the way of a call ----

    /// Handles one call: records it, asks the script, does the work in the background (a caller that gives up does
    /// not stop it, as with most drivers), answers.
    async fn run<Q, A>(
        &self,
        request: Request<Q>,
        key: impl FnOnce(&Q) -> String,
        effect: fn(&mut Backend, &DriverConfig, &Q) -> Result<A, Status>,
    ) -> Result<Response<A>, Status>
    where
        Q: Name + Clone + Any + Send + Sync,
        A: Any + Send,
    {
        let asked = request.extensions().get::<Step>().cloned();
        let request = request.into_inner();
        let scripted = self.record(&request);
        let step = asked.unwrap_or(scripted);
        let life = self.lock().life.clone();
        let key = key(&request);
        if !key.is_empty() && !self.lock().busy.insert(key.clone()) {
            return Err(Status::aborted(format!("an operation with the given id {key} already exists")));
        }
        let (driver, alive) = (self.clone(), life.clone());
        let work = async move {
            let answer = step.perform(|| {
                let mut inner = driver.lock();
                let Inner { backend, config, .. } = &mut *inner;
                effect(backend, config, &request)
            });
            let answer = tokio::select! {
                biased;
                () = alive.cancelled() => return Err(died()),
                answer = answer => answer,
            };
            driver.lock().busy.remove(&key);
            answer
        };
        match tokio::spawn(work).await {
            Ok(Ok(Some(answer))) => Ok(Response::new(answer)),
            Ok(Ok(None)) => {
                life.cancelled().await;
                Err(died())
            }
            Ok(Err(status)) => Err(status),
            Err(error) => Err(Status::internal(format!("the driver panicked: {error}"))),
        }
    }

    fn record<Q: Name + Clone + Any + Send + Sync>(&self, request: &Q) -> Step {
        let method = method_of::<Q>();
        let mut inner = self.lock();
        inner.calls.push(Recorded { method, request: Arc::new(request.clone()) });
        if let Some(step) = inner.scripts.get_mut(method).and_then(VecDeque::pop_front) {
            return step;
        }
        if let Some(step) = inner.standing.get(method) {
            return step.clone();
        }
        let number = inner.calls.len();
        inner.planner.as_mut().map_or(Step::Normal, |planner| planner(method, number))
    }
}

/// What a client sees of a driver that is not there.
fn died() -> Status {
    Status::unavailable("connection error: connection refused")
}

/// For calls that have nothing for themselves: any number of them may run.
fn no_key<Q>(_request: &Q) -> String {
    String::new()
}
