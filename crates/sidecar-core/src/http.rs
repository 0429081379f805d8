//! The diagnostics server: metrics, health, status, profiles.
//!
//! A process has one [`Diagnostics`]; each address that flags name becomes an [`Endpoint`], and flags that name the same
//! address share one. Routes can be added while it serves, because the server has to be up before the driver is there,
//! and what some paths answer is only known later (sheet `common-library`, 3.3).

mod address;
mod controller;
mod gzip;
mod health;
mod pprof;
mod reply;
mod routes;
mod server;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Mutex;

pub use address::ListenError;
pub use controller::{Served, serve_controller, serve_documented, serve_metrics};
pub use health::{Health, Readiness};
pub use reply::{Asked, Reply};
pub use routes::{PatternError, Routes};

use crate::flags::Parsed;
use crate::metrics::{self, Metrics};

/// The diagnostics server of a process. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    endpoints: Arc<Mutex<BTreeMap<String, Endpoint>>>,
    health: Health,
}

/// One address that is listened on. Clones share their state.
#[derive(Clone, Debug)]
pub struct Endpoint {
    routes: Routes,
    local: SocketAddr,
}

impl Diagnostics {
    /// Listens on `address`, in Go's form (`:8080`, `host:port`), from now until the process ends. An address that is listened on already
    /// gives the same endpoint.
    ///
    /// Must be called inside a tokio runtime.
    pub async fn listen(&self, address: &str) -> Result<Endpoint, ListenError> {
        let mut endpoints = self.endpoints.lock().await;
        let wanted = address::Address::parse(address)?;
        let key = wanted.key();
        if let Some(endpoint) = key.as_ref().and_then(|key| endpoints.get(key)) {
            return Ok(endpoint.clone());
        }
        let listener = wanted.bind().await?;
        let local = listener.local_addr().map_err(|error| ListenError::bind(address, &error))?;
        let endpoint = Endpoint { routes: Routes::default(), local };
        tokio::spawn(server::serve(listener, endpoint.routes.clone()));
        endpoints.insert(key.unwrap_or_else(|| local.to_string()), endpoint.clone());
        Ok(endpoint)
    }

    /// What `/healthz/leader-election`, `/readyz` and `/statusz` answer.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

impl Endpoint {
    /// The address that is listened on; its port is the one the system chose if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// What is answered, and where to add to it.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Serves metrics at `pattern`. `start` fills the header with the process's start time that most sidecars send.
    pub fn serve_metrics(
        &self,
        pattern: &str,
        metrics: &Metrics,
        start: Option<f64>,
    ) -> Result<(), PatternError> {
        let metrics = metrics.clone();
        let start = start.map(metrics::go_float);
        self.routes.add_sync(pattern, move |asked| {
            let mut reply = Reply::text(200, metrics.text()).with_type(metrics::CONTENT_TYPE);
            if let Some(start) = &start {
                reply = reply.with_header("process-start-time-unix", start);
            }
            gzip::compress_if_accepted(reply, asked)
        })
    }

    /// Serves `/debug/pprof/`.
    pub fn serve_profiles(&self) {
        pprof::add_routes(&self.routes);
    }

    /// Serves `/healthz/leader-election`.
    pub fn serve_leader_health(&self, health: &Health) {
        let health = health.clone();
        self.routes.add_fixed("/healthz/leader-election", move |_| health.leader_reply());
    }

    /// Serves `/healthz` (the process is alive) and `/readyz` (it can do its work).
    pub fn serve_health(&self, health: &Health) {
        self.routes.add_fixed("/healthz", |_| Reply::text(200, "ok"));
        let health = health.clone();
        self.routes.add_fixed("/readyz", move |_| health.ready_reply());
    }

    /// Serves `/statusz` and `/flagz`.
    pub fn serve_status(&self, health: &Health, parsed: &Parsed) {
        let lines: Vec<String> = parsed.values().map(|(name, value)| format!("{name}={value}\n")).collect();
        let lines = lines.concat();
        let heading = format!("{} flags\n\n", parsed.binary.name());
        self.routes.add_fixed("/flagz", move |_| Reply::text(200, format!("{heading}{lines}")));
        let health = health.clone();
        let heading = format!("{} {}\n\n", parsed.binary.name(), crate::entry::VERSION);
        self.routes.add_fixed("/statusz", move |_| Reply::text(200, format!("{heading}{}", health.status())));
    }
}
