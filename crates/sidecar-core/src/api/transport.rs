//! The bottom of the stack: one HTTP/2 connection to the API server, or whatever a test puts in its place.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

use super::config::ConfigError;

/// A response body of any origin.
pub type TransportBody = UnsyncBoxBody<Bytes, BoxError>;

/// Sends one request. Cheap to clone.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<TransportBody>, BoxError>;

/// client-go's values: a ping after 30 s without traffic, and 15 s for its answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Wraps any service, such as an API server in the same process.
pub(super) fn wrap<S, B>(service: S) -> Transport
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let boxed = service
        .map_err(Into::into)
        .map_response(|response: Response<B>| response.map(|body| body.map_err(Into::into).boxed_unsync()));
    BoxCloneSyncService::new(boxed)
}

/// A connection of its own to the server of `config`, made at the first call and again after a loss.
pub(super) fn dial(config: &Config) -> Result<Transport, ConfigError> {
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(https_connector(config)?);
    let credentials = config.auth_layer().map_err(ConfigError::client)?;
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(config.extra_headers_layer().map_err(ConfigError::client)?)
        .map_err(BoxError::from)
        .option_layer(credentials)
        .map_err(BoxError::from)
        .service(client);
    Ok(wrap(stack))
}

fn https_connector(config: &Config) -> Result<HttpsConnector<HttpConnector>, ConfigError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(config.connect_timeout.unwrap_or(CONNECT_TIMEOUT)));
    let tls = config.rustls_client_config().map_err(ConfigError::client)?;
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = name.clone().try_into().map_err(|_| ConfigError::ServerName(name.clone()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_all_versions().wrap_connector(connector))
}
