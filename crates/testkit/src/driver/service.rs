//! All services of the driver as one tower service.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use csi_client::csi::controller_server::ControllerServer;
use csi_client::csi::group_controller_server::GroupControllerServer;
use csi_client::csi::identity_server::IdentityServer;
use csi_client::csi::node_server::NodeServer;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{BoxError, Service};

use super::ScriptedDriver;

/// The driver's gRPC services; a dead driver refuses the connection.
#[derive(Debug, Clone)]
pub struct DriverService {
    driver: ScriptedDriver,
}

impl DriverService {
    pub(super) fn new(driver: ScriptedDriver) -> Self {
        Self { driver }
    }

    async fn answer<B>(driver: ScriptedDriver, request: Request<B>) -> Result<Response<Body>, Infallible>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError> + Send + 'static,
    {
        match request.uri().path().split('/').nth(1) {
            Some("csi.v1.Identity") => IdentityServer::new(driver).call(request).await,
            Some("csi.v1.Controller") => ControllerServer::new(driver).call(request).await,
            Some("csi.v1.Node") => NodeServer::new(driver).call(request).await,
            Some("csi.v1.GroupController") => GroupControllerServer::new(driver).call(request).await,
            other => {
                let text = format!("unknown service {}", other.unwrap_or_default());
                Ok(Status::unimplemented(text).into_http())
            }
        }
    }
}

impl<B> Service<Request<B>> for DriverService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let driver = self.driver.clone();
        Box::pin(async move {
            if driver.is_dead() {
                // As a status, so that a client sees Unavailable like after a refused dial.
                return Err(super::died().into());
            }
            Self::answer(driver, request).await.map_err(|never| match never {})
        })
    }
}
