//! Between gRPC and the driver: the way that every call takes.
//!
//! Log, admission, validation, exclusivity, the driver's own code, metrics, log. The driver's code runs in a task of
//! its own: when a caller gives up or its deadline passes, gRPC drops the handler, and a volume half made would be
//! nobody's. So the call is carried through, keeps its exclusive key until then, and the caller's retry finds the
//! result.

mod methods;

use std::sync::Arc;

use csi_client::csi::{
    controller_server::ControllerServer, group_controller_server::GroupControllerServer,
    identity_server::IdentityServer, node_server::NodeServer,
};
use csi_client::metrics::RpcMetrics;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::call_log::CallLog;
use crate::driver::{Answer, Driver};
use crate::exclusivity::{Exclusive, Exclusivity, Held};
use crate::validate::{Limits, Validate};

/// What a driver may choose about the way its calls are handled.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Sizes that requests may have.
    pub limits: Limits,
    /// Give the driver a clone if it takes keys of its own.
    pub exclusivity: Exclusivity,
    /// Whether the line `gRPCCall`, which test suites read, contains secrets.
    pub log_secrets: bool,
    /// Where durations are counted; nowhere if absent.
    pub metrics: Option<RpcMetrics>,
}

/// A driver as a set of gRPC services. Clones share everything.
pub struct Service<D> {
    driver: Arc<D>,
    settings: Arc<Settings>,
    running: TaskTracker,
    more: Option<Arc<MoreRoutes>>,
}

type MoreRoutes = dyn Fn(Routes) -> Routes + Send + Sync;

impl<D> Clone for Service<D> {
    fn clone(&self) -> Self {
        Self {
            driver: self.driver.clone(),
            settings: self.settings.clone(),
            running: self.running.clone(),
            more: self.more.clone(),
        }
    }
}

impl<D> std::fmt::Debug for Service<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<D: Driver> Service<D> {
    /// Puts the common path in front of `driver`.
    pub fn new(driver: Arc<D>, settings: Settings) -> Self {
        Self { driver, settings: Arc::new(settings), running: TaskTracker::new(), more: None }
    }

    /// Serves more than the four services; `add` puts the others to them.
    #[must_use]
    pub fn with_routes(self, add: impl Fn(Routes) -> Routes + Send + Sync + 'static) -> Self {
        Self { more: Some(Arc::new(add)), ..self }
    }

    /// The services, for a server or for an in-process connection.
    pub fn routes(&self) -> Routes {
        let routes = Routes::new(IdentityServer::new(self.clone()))
            .add_service(ControllerServer::new(self.clone()))
            .add_service(NodeServer::new(self.clone()))
            .add_service(GroupControllerServer::new(self.clone()));
        match &self.more {
            None => routes,
            Some(add) => add(routes),
        }
    }

    /// Completes when the driver's code has finished every call, also those that nobody waits for any more.
    pub async fn finished(&self) {
        self.running.close();
        self.running.wait().await;
    }

    /// A call that goes through all checks.
    async fn checked<Q, A, F>(
        &self,
        method: &'static str,
        request: Request<Q>,
        admit: impl FnOnce(&D) -> Answer<()>,
        run: impl FnOnce(Arc<D>, Q) -> F,
    ) -> Answer<Response<A>>
    where
        Q: prost::Message + prost::Name + Clone + Validate + Exclusive + 'static,
        A: prost::Message + prost::Name + 'static,
        F: Future<Output = Answer<A>> + Send + 'static,
    {
        self.observed(method, request, |request| async move {
            admit(&self.driver)?;
            request.validate(&self.settings.limits)?;
            let held = request.key().map(|key| self.settings.exclusivity.acquire(key)).transpose()?;
            self.carry_through(held, run(self.driver.clone(), request)).await
        })
        .await
    }

    /// A call that needs no checks, but is logged and counted like any other.
    async fn observed<Q, A, F>(
        &self,
        method: &'static str,
        request: Request<Q>,
        run: impl FnOnce(Q) -> F,
    ) -> Answer<Response<A>>
    where
        Q: prost::Message + prost::Name + Clone,
        A: prost::Message + prost::Name,
        F: Future<Output = Answer<A>>,
    {
        let request = request.into_inner();
        let log = CallLog::begin(method, &request, self.settings.log_secrets);
        let start = Instant::now();
        let result = run(request).await;
        if let Some(metrics) = &self.settings.metrics {
            let code = result.as_ref().err().map_or(tonic::Code::Ok, Status::code);
            metrics.record(method, csi_client::code_name(code), start.elapsed(), None);
        }
        log.end(result.as_ref());
        result.map(Response::new)
    }

    async fn carry_through<A: Send + 'static>(
        &self,
        held: Option<Held>,
        call: impl Future<Output = Answer<A>> + Send + 'static,
    ) -> Answer<A> {
        let task = self.running.spawn(async move {
            let result = call.await;
            drop(held);
            result
        });
        task.await.unwrap_or_else(|error| Err(Status::internal(format!("the driver failed: {error}"))))
    }
}
