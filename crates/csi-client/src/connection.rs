//! The connection to a driver: one place through which every call goes, whatever carries it.
//!
//! [`connect`] dials a socket as the sidecars do; [`Connection::from_service`] wires a server that runs in the same
//! process, for tests and for the simulation. Logging, metrics and deadlines are the same on both ways.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use prost::{Message, Name};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};

use crate::call_log;
use crate::codes::{code_name, deadline_exceeded};
use crate::metrics::RpcMetrics;

mod address;
mod dial;
mod socket;
mod status;

pub use address::Address;
pub use socket::{ConnectError, ConnectOptions, LossCallback, LossPolicy, connect};

#[allow(clippy::pedantic)]
mod calls {
    include!("gen/csi.calls.rs");
}

/// Any error, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What carries the calls. Its failures are already statuses.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// Largest answer that is accepted unless told otherwise: a ListVolumes of a big backend passes the 4 MiB at which
/// gRPC stops by default (csi-proto sheet, section 14).
pub const DEFAULT_MAX_RECEIVE_BYTES: usize = 64 << 20;

/// Text that goes to the termination log when a sidecar ends because its driver went away.
pub const LOST_CONNECTION: &str = "Lost connection to CSI driver, exiting";

/// How calls are made, apart from what carries them.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// Largest answer in bytes.
    pub max_receive_bytes: usize,
    /// Where a logged answer is cut, in bytes.
    pub max_log_length: Option<usize>,
    /// Where calls are recorded.
    pub metrics: Option<RpcMetrics>,
    /// Cancelled when the driver is gone for good; [`Connection::lost`] waits for it.
    pub lost: CancellationToken,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            max_receive_bytes: DEFAULT_MAX_RECEIVE_BYTES,
            max_log_length: None,
            metrics: None,
            lost: CancellationToken::new(),
        }
    }
}

/// What one call may be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// When the call is given up; it then fails with `DeadlineExceeded`.
    pub deadline: Option<Instant>,
    /// Value of the metric label `migrated`.
    pub migrated: Option<bool>,
}

impl CallOptions {
    /// A deadline this far from now.
    #[must_use]
    pub fn timeout(timeout: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(timeout), migrated: None }
    }

    /// With a value for the metric label `migrated`.
    #[must_use]
    pub fn migrated(mut self, migrated: bool) -> Self {
        self.migrated = Some(migrated);
        self
    }
}

/// A connection to a driver. Clones share it; it closes when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    transport: Transport,
    settings: Arc<ConnectionSettings>,
    origin: Uri,
    losses: Option<tokio::sync::watch::Receiver<u64>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Connection {
    /// Wires a gRPC server of this process. No socket, thread or task is involved.
    pub fn from_service<S>(service: S, settings: ConnectionSettings) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let transport = BoxCloneSyncService::new(service.map_err(|error| Status::from_error(error.into())));
        Self {
            transport,
            settings: Arc::new(settings),
            origin: Uri::from_static("http://localhost"),
            losses: None,
        }
    }

    /// Completes when the driver is gone and the connection will not come back.
    pub async fn lost(&self) {
        self.settings.lost.cancelled().await;
    }

    /// Completes the next time that a lost connection has been made again, for those who then look at the driver
    /// afresh. Never completes for a connection that does not reconnect.
    pub async fn reconnected(&mut self) {
        if let Some(losses) = &mut self.losses
            && losses.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Where calls are recorded.
    #[must_use]
    pub fn metrics(&self) -> Option<&RpcMetrics> {
        self.settings.metrics.as_ref()
    }

    /// One call with one answer.
    pub(crate) async fn unary<Q, A>(
        &self,
        method: &'static str,
        request: Q,
        options: CallOptions,
    ) -> Result<A, Status>
    where
        Q: Message + Name + Send + Sync + 'static,
        A: Message + Name + Default + Send + Sync + 'static,
    {
        call_log::request(method, &request);
        let start = Instant::now();
        let answer = self.send(method, request, options).await;
        if let Some(metrics) = &self.settings.metrics {
            let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
            metrics.record(method, code_name(code), start.elapsed(), options.migrated);
        }
        call_log::response(answer.as_ref(), self.settings.max_log_length);
        answer
    }

    async fn send<Q, A>(&self, method: &'static str, request: Q, options: CallOptions) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let request = with_deadline(request, options.deadline)?;
        let mut grpc = self.grpc();
        let call = async {
            grpc.ready().await?;
            grpc.unary(request, PathAndQuery::from_static(method), ProstCodec::default()).await
        };
        bounded(options.deadline, call).await
    }

    /// One call with a stream of answers. The deadline bounds the whole stream at the driver, and its opening here.
    pub(crate) async fn server_streaming<Q, A>(
        &self,
        method: &'static str,
        request: Q,
        options: CallOptions,
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + Name + Send + Sync + 'static,
        A: Message + Name + Default + Send + Sync + 'static,
    {
        call_log::request(method, &request);
        let request = with_deadline(request, options.deadline)?;
        let mut grpc = self.grpc();
        let call = async {
            grpc.ready().await?;
            grpc.server_streaming(request, PathAndQuery::from_static(method), ProstCodec::default()).await
        };
        let opened = bounded(options.deadline, call).await;
        call_log::stream_opened(opened.as_ref().map(|_| ()));
        opened
    }

    fn grpc(&self) -> Grpc<Transport> {
        Grpc::with_origin(self.transport.clone(), self.origin.clone())
            .max_decoding_message_size(self.settings.max_receive_bytes)
    }
}

/// A request that tells the driver its deadline. With a deadline in the past nothing is sent at all.
fn with_deadline<Q>(request: Q, deadline: Option<Instant>) -> Result<tonic::Request<Q>, Status> {
    let mut request = tonic::Request::new(request);
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(deadline_exceeded());
        }
        request.set_timeout(left);
    }
    Ok(request)
}

/// Ends the call when its deadline has passed, whatever the driver does.
async fn bounded<A>(
    deadline: Option<Instant>,
    call: impl Future<Output = Result<tonic::Response<A>, Status>>,
) -> Result<A, Status> {
    let answer = match deadline {
        None => call.await,
        Some(at) => tokio::time::timeout_at(at, call).await.unwrap_or_else(|_| Err(deadline_exceeded())),
    };
    answer.map(tonic::Response::into_inner).map_err(|status| status::as_go_reports(status, deadline))
}
