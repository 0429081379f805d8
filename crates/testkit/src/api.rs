//! An API server in process. It keeps JSON objects with the semantics that sidecars rely on (versions,
//! conflicts, finalizers, watches, patches, status subresources) and answers with the real server's texts.
//!
//! [`ApiServer::service`] is a tower service for [`kube::Client::new`]: no sockets, no threads, deterministic
//! under paused time. The `conformance` list is run against this server and against a real one, which is what
//! keeps this one honest.

mod audit;
mod clock;
mod custom;
mod discovery;
pub mod doc;
mod failure;
mod handler;
mod listen;
mod patch;
mod rbac;
mod read;
mod request;
mod resources;
mod rules;
mod selector;
mod service;
mod store;
mod watch;
mod write;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub use audit::Call;
pub use clock::Clock;
pub use failure::{Cause, Failure};
pub use handler::Body;
pub use listen::Served;
pub use patch::PatchType;
pub use rbac::{ADMIN, Rule};
pub use resources::{RESOURCES, Resource, StatusSubresource};
pub use service::ApiService;
pub use store::{Delta, Object};
pub use write::DeleteOptions;

use store::{Signal, Store};
use write::Target;

/// Decides about a call before it is handled: `Some` refuses it.
type Intercept = Box<dyn FnMut(&Call) -> Option<Failure> + Send>;

pub(crate) struct State {
    store: Store,
    policy: rbac::Policy,
    hidden: BTreeSet<resources::Id>,
    calls: Vec<Call>,
    intercept: Option<Intercept>,
}

impl State {
    fn serves(&self, resource: &Resource) -> bool {
        !self.hidden.contains(&resource.id())
    }

    fn served(&self) -> impl Iterator<Item = &'static Resource> {
        RESOURCES.iter().filter(|row| self.serves(row))
    }
}

/// The API server; clones are handles to the same one.
#[derive(Clone)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
}

impl Default for ApiServer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ApiServer(at version {})", self.version())
    }
}

impl ApiServer {
    /// A server with the usual namespaces, wall-clock stamps and fixed UIDs.
    pub fn new() -> Self {
        Self::with(Clock::default(), 0)
    }

    /// A server with a clock of its own; `seed` decides UIDs and generated names.
    pub fn with(clock: Clock, seed: u64) -> Self {
        let state = State {
            store: Store::new(clock, seed),
            policy: rbac::Policy::default(),
            hidden: RESOURCES.iter().filter(|row| row.custom).map(Resource::id).collect(),
            calls: Vec::new(),
            intercept: None,
        };
        let server = Self { state: Arc::new(Mutex::new(state)) };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            server.add_namespace(name);
        }
        server
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a test that held the lock leaves whole objects behind: every write is one insert.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_store<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.lock().store)
    }

    /// A service that acts as whoever the request's credentials name.
    pub fn service(&self) -> ApiService {
        ApiService::new(self.clone(), None)
    }

    /// A service that acts as `user`.
    pub fn service_as(&self, user: &str) -> ApiService {
        ApiService::new(self.clone(), Some(user.into()))
    }

    /// A client without a rate limit that may do everything.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// A client that acts as `user`.
    pub fn client_as(&self, user: &str) -> kube::Client {
        kube::Client::new(self.service_as(user), "default")
    }

    /// The version of the last write.
    pub fn version(&self) -> u64 {
        self.with_store(|store| store.version())
    }

    /// Notified whenever something is written. Unlike [`ApiServer::versions`] it wakes in the order of waiting.
    pub fn written(&self) -> Arc<tokio::sync::Notify> {
        self.with_store(|store| store.written())
    }

    /// Tells the version whenever something is written. Not for simulations with more than one waiter: tokio wakes
    /// the receivers of a watch channel in random order.
    pub fn versions(&self) -> tokio::sync::watch::Receiver<u64> {
        self.with_store(|store| store.versions())
    }

    /// Everything that is written from now on, in order.
    pub fn deltas(&self) -> tokio::sync::mpsc::UnboundedReceiver<Delta> {
        self.with_store(Store::subscribe)
    }

    // ---- what the server serves and to whom ----

    /// Serves a group of custom resources, `snapshot.storage.k8s.io` for example.
    pub fn install(&self, group: &str) {
        self.lock().hidden.retain(|id| id.0 != group);
    }

    /// Stops serving a kind, as a server does that is too old for it.
    pub fn hide(&self, kind: &str) {
        if let Some(row) = Resource::find(kind) {
            self.lock().hidden.insert(row.id());
        }
    }

    /// From now on `user` may do what `rules` say and nothing else.
    pub fn set_rules(&self, user: &str, rules: Vec<Rule>) {
        self.lock().policy.set_rules(user, rules);
    }

    /// Makes `token` the bearer token of `user`.
    pub fn add_token(&self, token: &str, user: &str) {
        self.lock().policy.set_token(token, Some(user));
    }

    /// Makes `token` worthless.
    pub fn revoke_token(&self, token: &str) {
        self.lock().policy.set_token(token, None);
    }

    /// Asks `intercept` about every call before it is handled; `Some` is the answer the client gets.
    pub fn intercept(&self, intercept: impl FnMut(&Call) -> Option<Failure> + Send + 'static) {
        self.lock().intercept = Some(Box::new(intercept));
    }

    /// Ends interception.
    pub fn pass(&self) {
        self.lock().intercept = None;
    }

    /// Refuses the next `times` calls of this verb on this resource (`plural` or `plural/status`).
    pub fn fail_next(&self, verb: &str, resource: &str, times: usize, failure: &Failure) {
        let (verb, resource, failure) = (verb.to_owned(), resource.to_owned(), failure.clone());
        let mut left = times;
        self.intercept(move |call| {
            if left == 0 || !call.is(&verb, &resource) {
                return None;
            }
            left -= 1;
            Some(failure.clone())
        });
    }

    // ---- what happened ----

    /// All calls so far, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many calls of this verb on this resource there were; an empty string stands for anything.
    pub fn count(&self, verb: &str, resource: &str) -> usize {
        self.lock().calls.iter().filter(|call| call.is(verb, resource)).count()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    // ---- watches ----

    /// How many watches of a kind are running.
    pub fn watchers(&self, kind: &str) -> usize {
        Resource::find(kind).map_or(0, |row| self.with_store(|store| store.watchers(row)))
    }

    /// Breaks the connections of all watches of a kind.
    pub fn break_watches(&self, kind: &str) {
        self.signal(kind, &Signal::Break);
    }

    /// Ends all watches of a kind with 410 in the stream.
    pub fn expire_watches(&self, kind: &str) {
        self.signal(kind, &Signal::Expire);
    }

    fn signal(&self, kind: &str, signal: &Signal) {
        if let Some(row) = Resource::find(kind) {
            self.with_store(|store| store.end_watches(row, signal));
        }
    }

    /// Forgets the history: watches and pages that start before now get 410.
    pub fn compact(&self) {
        self.with_store(Store::compact);
    }

    // ---- objects, directly: neither authorised nor in the audit log ----

    /// Creates a namespace unless it is there.
    pub fn add_namespace(&self, name: &str) {
        // The only possible failure is that it exists.
        let _ = self.create(&json!({"kind": "Namespace", "metadata": {"name": name}}));
    }

    /// Creates the object of a manifest; its kind says where.
    pub fn create(&self, manifest: &Value) -> Result<Value, Failure> {
        let mut target = target_of(manifest)?;
        target.name = String::new();
        self.with_store(|store| store.create(&target, manifest.clone())).map(|object| object.value.clone())
    }

    /// One object; `namespace` is empty for cluster-scoped kinds.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let row = Resource::find(kind)?;
        self.with_store(|store| store.get(row, namespace, name).map(|object| object.value.clone()))
    }

    /// One object without a copy.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Object>> {
        let row = Resource::find(kind)?;
        self.with_store(|store| store.get(row, namespace, name).map(Arc::clone))
    }

    /// All objects of a kind without copies, by namespace and name.
    pub fn objects(&self, kind: &str) -> Vec<Arc<Object>> {
        let Some(row) = Resource::find(kind) else { return Vec::new() };
        self.with_store(|store| store.all(row).map(Arc::clone).collect())
    }

    /// All objects of a kind in all namespaces, by namespace and name.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let Some(row) = Resource::find(kind) else { return Vec::new() };
        self.with_store(|store| store.all(row).map(|object| object.value.clone()).collect())
    }

    /// Replaces an object by the manifest; its status is not touched.
    pub fn update(&self, manifest: &Value) -> Result<Value, Failure> {
        let target = target_of(manifest)?;
        self.with_store(|store| store.update(&target, manifest.clone()))
            .map(|(object, _)| object.value.clone())
    }

    /// Applies a merge patch to an object.
    pub fn patch(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Result<Value, Failure> {
        self.merge(kind, namespace, name, patch, false)
    }

    /// Applies a merge patch to the status subresource of an object.
    pub fn patch_status(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, Failure> {
        self.merge(kind, namespace, name, patch, true)
    }

    fn merge(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
        status: bool,
    ) -> Result<Value, Failure> {
        let target = Target { status, ..target(kind, namespace, name)? };
        self.with_store(|store| store.patch(&target, PatchType::Merge, patch))
            .map(|object| object.value.clone())
    }

    /// Deletes an object, or marks it when finalizers hold it.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<(), Failure> {
        let target = target(kind, namespace, name)?;
        self.with_store(|store| store.delete(&target, &DeleteOptions::default())).map(|_| ())
    }
}

fn target(kind: &str, namespace: &str, name: &str) -> Result<Target, Failure> {
    let resource = Resource::find(kind)
        .ok_or_else(|| Failure::bad_request(format!("the server knows no kind {kind:?}")))?;
    let namespace = if resource.namespaced { namespace } else { "" };
    Ok(Target { resource, namespace: namespace.to_owned(), name: name.to_owned(), status: false })
}

fn target_of(manifest: &Value) -> Result<Target, Failure> {
    let namespace = match doc::text(manifest, "/metadata/namespace") {
        "" => "default",
        given => given,
    };
    target(doc::text(manifest, "/kind"), namespace, doc::text(manifest, "/metadata/name"))
}
