//! The only door to the outside world.
//!
//! [`Context`] carries what the parts of a process share. Production code gets one from [`crate::entry::main`]; a test
//! or the simulation builds one with [`Context::builder`], with seeded randomness, simulated time and in-memory
//! transports.

mod api;
mod driver;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use api::ApiAccess;
pub use driver::DriverConnector;

use crate::cache::Caches;
use crate::clock::Clock;
use crate::election::names;
use crate::http::Diagnostics;
use crate::metrics::Metrics;
use crate::random::Random;
use crate::shutdown::{Shutdown, TerminationLog};

/// What all parts of a process share. Clones share their state.
#[derive(Clone, Debug)]
pub struct Context {
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Environment variables.
    pub variables: Variables,
    /// The host's name; in a pod without host network, the pod's name.
    pub hostname: Arc<str>,
    /// The namespace of the service account that this pod runs as, if this is a pod.
    pub account_namespace: Option<Arc<str>>,
    /// The request to stop.
    pub shutdown: Shutdown,
    /// Where last words go.
    pub termination_log: TerminationLog,
    /// The way to the API server.
    pub api: ApiAccess,
    /// Makes connections to the driver.
    pub driver: DriverConnector,
    /// What the watches have shown, each kind once per process.
    pub caches: Caches,
    /// What Prometheus may scrape.
    pub metrics: Metrics,
    /// The diagnostics server.
    pub http: Diagnostics,
}

impl Context {
    /// A context of chosen parts; what is not chosen is deterministic and touches nothing outside the process.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The context of a real process.
    pub fn production() -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::builder()
            .clock(Clock::system())
            .random(Random::system())
            .variables(Variables::system())
            .hostname(&hostname)
            .account_namespace(names::service_account_namespace())
            .build()
    }
}

/// Puts a [`Context`] together.
#[derive(Debug, Default)]
pub struct Builder {
    clock: Option<Clock>,
    random: Option<Random>,
    variables: Variables,
    hostname: Option<String>,
    account_namespace: Option<String>,
    shutdown: Shutdown,
    termination_log: TerminationLog,
    api: ApiAccess,
    driver: DriverConnector,
    caches: Option<Caches>,
    metrics: Metrics,
    http: Diagnostics,
}

impl Builder {
    /// Time; the system's clock if not given.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Randomness; seeded with 0 if not given.
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// Environment variables; none if not given.
    #[must_use]
    pub fn variables(mut self, variables: Variables) -> Self {
        self.variables = variables;
        self
    }

    /// The host's name; `localhost` if not given.
    #[must_use]
    pub fn hostname(mut self, hostname: &str) -> Self {
        self.hostname = Some(hostname.to_owned());
        self
    }

    /// The namespace of the service account; as outside of a pod if not given.
    #[must_use]
    pub fn account_namespace(mut self, namespace: Option<String>) -> Self {
        self.account_namespace = namespace;
        self
    }

    /// The request to stop; nobody's if not given.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Where last words go; kubelet's usual place if not given.
    #[must_use]
    pub fn termination_log(mut self, log: TerminationLog) -> Self {
        self.termination_log = log;
        self
    }

    /// The way to the API server; the flags decide if not given.
    #[must_use]
    pub fn api(mut self, api: ApiAccess) -> Self {
        self.api = api;
        self
    }

    /// Caches shared with other parts of the process; own ones if not given.
    #[must_use]
    pub fn caches(mut self, caches: Caches) -> Self {
        self.caches = Some(caches);
        self
    }

    /// Makes connections to the driver; dials if not given.
    #[must_use]
    pub fn driver(mut self, driver: DriverConnector) -> Self {
        self.driver = driver;
        self
    }

    /// The metrics; an empty set if not given.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The diagnostics server; one without listeners if not given.
    #[must_use]
    pub fn http(mut self, http: Diagnostics) -> Self {
        self.http = http;
        self
    }

    /// The finished context.
    pub fn build(self) -> Context {
        let random = self.random.unwrap_or_else(|| Random::seeded(0));
        let caches = self.caches.unwrap_or_else(|| Caches::new(random.fork()));
        self.metrics.register(caches.skipped_objects());
        Context {
            clock: self.clock.unwrap_or_else(Clock::system),
            caches,
            random,
            api: self.api,
            variables: self.variables,
            hostname: self.hostname.unwrap_or_else(|| "localhost".to_owned()).into(),
            account_namespace: self.account_namespace.map(Into::into),
            shutdown: self.shutdown,
            termination_log: self.termination_log,
            driver: self.driver,
            metrics: self.metrics,
            http: self.http,
        }
    }
}

/// Environment variables, as they were when the process started.
#[derive(Clone, Default)]
pub struct Variables {
    values: Arc<BTreeMap<String, String>>,
}

impl Variables {
    /// The process's own. Variables that are not UTF-8 are left out.
    pub fn system() -> Self {
        let utf8 = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { values: Arc::new(utf8.collect()) }
    }

    /// Exactly these.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { values: Arc::new(owned.collect()) }
    }

    /// A variable's value, which may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A variable's value, if it is set and not empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Variables {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}
