//! The server as a tower service over any request body: kube's in process, hyper's over sockets.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::Service;

use super::ApiServer;
use super::failure::Failure;
use super::handler::{self, Body};

/// A way into an [`ApiServer`] for one identity.
#[derive(Debug, Clone)]
pub struct ApiService {
    server: ApiServer,
    user: Option<Arc<str>>,
}

impl ApiService {
    pub(crate) fn new(server: ApiServer, user: Option<Arc<str>>) -> Self {
        Self { server, user }
    }
}

impl<B> Service<Request<B>> for ApiService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { server, user } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            Ok(match body.collect().await {
                Ok(body) => handler::handle(&server, user.as_deref(), &parts, &body.to_bytes()),
                Err(error) => Failure::bad_request(format!("unexpected EOF: {error}")).into_response(),
            })
        })
    }
}
