//! Makes API clients, each with a budget of its own.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use tower::{BoxError, Service, ServiceExt};

use super::bucket::{Budget, Throttle};
use super::config::ConfigError;
use super::credentials::TokenFile;
use super::error::DeadlineExceeded;
use super::gate::Gate;
use super::retry;
use super::transport::{self, Transport, TransportBody};

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The controllers' reads and writes, and their watches.
    Work,
    /// Events: a bucket of their own, so that they cannot starve work.
    Events,
    /// Leases: a connection of their own, no retries and short deadlines, since a late renewal is a lost one.
    Leases,
}

impl Purpose {
    fn deadline(self) -> Duration {
        match self {
            Self::Work | Self::Events => Duration::from_secs(30),
            // Half the renew deadline, so that a hanging call leaves time for another.
            Self::Leases => Duration::from_secs(5),
        }
    }

    fn retries(self) -> u32 {
        match self {
            Self::Work | Self::Events => retry::MAX_RETRIES,
            Self::Leases => 0,
        }
    }
}

/// Where clients come from. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Connector {
    source: Source,
    user_agent: HeaderValue,
    namespace: Arc<str>,
}

#[derive(Clone)]
enum Source {
    Server { config: Arc<kube::Config>, token: Option<TokenFile>, shared: Arc<OnceLock<(Transport, Gate)>> },
    Service { transport: Transport },
    Nothing,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server { config, .. } => write!(f, "Server({})", config.cluster_url),
            Self::Service { .. } => f.write_str("Service"),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// What upstream's binaries send: their name, and a client-go version that nobody stamped.
pub fn user_agent(binary: &str) -> String {
    format!("{binary}/v0.0.0 (linux/amd64) kubernetes/$Format")
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("csi-sidecars"))
}

impl Connector {
    /// Clients of the server that `config` names. `binary` goes into the user agent.
    pub fn from_config(mut config: kube::Config, binary: &str) -> Self {
        // The token file is ours to read again; everything else kube's own layer knows better.
        let auth = &mut config.auth_info;
        let own = auth.token.is_none() && auth.exec.is_none() && auth.auth_provider.is_none();
        let token = auth.token_file.take_if(|_| own).map(|path| TokenFile::new(PathBuf::from(path)));
        let namespace = config.default_namespace.as_str().into();
        let source = Source::Server { config: Arc::new(config), token, shared: Arc::default() };
        Self { source, user_agent: header(&user_agent(binary)), namespace }
    }

    /// Clients of a service in this process, such as the API server of the testkit.
    pub fn from_service<S, B>(service: S, binary: &str) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let source = Source::Service { transport: transport::wrap(service) };
        Self { source, user_agent: header(&user_agent(binary)), namespace: "default".into() }
    }

    /// For processes that never talk to an API server: every client is refused.
    pub fn none() -> Self {
        Self { source: Source::Nothing, user_agent: header("csi-sidecars"), namespace: "default".into() }
    }

    /// A client with a budget of its own. Must be called inside a tokio runtime.
    pub fn client(&self, budget: Budget, purpose: Purpose) -> Result<kube::Client, ConfigError> {
        let throttle = Throttle::new(budget)?;
        let (transport, gate, token) = self.transport(purpose)?;
        let stack = Stack { transport, gate, token, throttle, purpose, user_agent: self.user_agent.clone() };
        Ok(kube::Client::new(stack, self.namespace.to_string()))
    }

    fn transport(&self, purpose: Purpose) -> Result<(Transport, Gate, Option<TokenFile>), ConfigError> {
        match &self.source {
            Source::Nothing => Err(ConfigError::NotInCluster),
            Source::Service { transport } => Ok((transport.clone(), Gate::open(), None)),
            Source::Server { config, token, .. } if purpose == Purpose::Leases => {
                Ok((transport::dial(config)?, Gate::default(), token.clone()))
            }
            Source::Server { config, token, shared } => {
                if shared.get().is_none() {
                    let _lost_race = shared.set((transport::dial(config)?, Gate::default()));
                }
                let (transport, gate) = shared.get().cloned().ok_or(ConfigError::NotInCluster)?;
                Ok((transport, gate, token.clone()))
            }
        }
    }
}

/// The layers above the transport, in one service.
#[derive(Clone)]
struct Stack {
    transport: Transport,
    gate: Gate,
    token: Option<TokenFile>,
    throttle: Throttle,
    purpose: Purpose,
    user_agent: HeaderValue,
}

impl Service<Request<Body>> for Stack {
    type Response = Response<TransportBody>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let stack = self.clone();
        Box::pin(async move { stack.run(request).await })
    }
}

impl Stack {
    /// The whole call, with the retries the server asks for.
    async fn run(self, request: Request<Body>) -> Result<Response<TransportBody>, BoxError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        parts.headers.insert(USER_AGENT, self.user_agent.clone());
        if is_watch(&parts) {
            // Since 1.37 servers compress each event by itself, which decoders of a whole stream do not expect.
            parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let mut retries = self.purpose.retries();
        loop {
            self.throttle.wait(&parts.method, &parts.uri).await;
            let response = self.attempt(&parts, &body).await?;
            let Some(wait) = retry::wait_asked_for(&response).filter(|_| retries > 0) else {
                return Ok(response);
            };
            retries -= 1;
            let status = response.status().as_u16();
            drop(response);
            tracing::info!(v = 4, status, url = %parts.uri, "Got a Retry-After response");
            tokio::time::sleep(wait).await;
        }
    }

    /// One attempt, repeated once with a newer token if ours was refused.
    async fn attempt(&self, parts: &Parts, body: &Bytes) -> Result<Response<TransportBody>, BoxError> {
        let header = self.token.as_ref().and_then(TokenFile::header);
        let response = self.bounded(parts, body, header.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.token.as_ref().and_then(|token| token.header_instead_of(header.as_ref())) {
            Some(newer) => self.bounded(parts, body, Some(&newer)).await,
            None => Ok(response),
        }
    }

    /// One exchange. Except for watches, it ends within the deadline, body included.
    async fn bounded(
        &self,
        parts: &Parts,
        body: &Bytes,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response<TransportBody>, BoxError> {
        let mut request = request_of(parts, body);
        if let Some(header) = authorization {
            request.headers_mut().insert(AUTHORIZATION, header.clone());
        }
        let deadline = self.purpose.deadline();
        let watch = is_watch(parts);
        let exchange = async {
            let response = self.send(request).await?;
            if watch { Ok(response) } else { collect(response).await }
        };
        // The headers of a watch arrive at once; only its body may take its time.
        tokio::time::timeout(deadline, exchange).await.unwrap_or_else(|_| {
            self.gate.report(false);
            Err(DeadlineExceeded(deadline).into())
        })
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<TransportBody>, BoxError> {
        let pass = self.gate.enter().await;
        let result = self.transport.clone().oneshot(request).await;
        self.gate.report(result.is_ok());
        drop(pass);
        result
    }
}

fn is_watch(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

fn request_of(parts: &Parts, body: &Bytes) -> Request<Body> {
    Request::from_parts(parts.clone(), Body::from(body.clone()))
}

async fn collect(response: Response<TransportBody>) -> Result<Response<TransportBody>, BoxError> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(bytes).map_err(|never| match never {}).boxed_unsync()))
}

#[cfg(test)]
mod tests;
