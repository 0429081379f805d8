//! A connection over a socket that is watched all the time.
//!
//! Upstream notices a dead driver only when it makes its next call, which on an idle sidecar can be hours later. Here
//! a task holds the HTTP/2 connection, sees it end at once and acts: it reports the loss, or dials again.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tower::util::BoxCloneSyncService;

use super::address::{Address, AddressError};
use super::dial::{ATTEMPT, Established, attempt};
use super::{Connection, ConnectionSettings, DEFAULT_MAX_RECEIVE_BYTES, status};
use crate::metrics::RpcMetrics;
use crate::verbose;

/// Decides what happens after a loss: true to dial again, false to give up.
pub type LossCallback = Arc<dyn Fn() -> bool + Send + Sync>;

/// What to do when a connection that was made breaks.
#[derive(Clone, Default)]
pub enum LossPolicy {
    /// Give up and complete [`Connection::lost`]; the sidecar then ends.
    Exit,
    /// Dial again until the driver is back.
    #[default]
    Reconnect,
    /// Ask, once per loss.
    Callback(LossCallback),
}

impl fmt::Debug for LossPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exit => "Exit",
            Self::Reconnect => "Reconnect",
            Self::Callback(_) => "Callback",
        })
    }
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long to wait for the driver; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// How long one attempt may take until the driver speaks. One that fails earlier is repeated a second after its
    /// start.
    pub attempt_timeout: Duration,
    /// End the wait, after at least one repetition, as soon as no further attempt fits into it. The error is the same, and
    /// nothing that would have worked is missed.
    pub end_when_hopeless: bool,
    /// What to do when the connection breaks later.
    pub on_loss: LossPolicy,
    /// Largest answer in bytes.
    pub max_receive_bytes: usize,
    /// Where a logged answer is cut, in bytes.
    pub max_log_length: Option<usize>,
    /// Where calls are recorded.
    pub metrics: Option<RpcMetrics>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Some(Duration::from_secs(30)),
            attempt_timeout: ATTEMPT,
            end_when_hopeless: false,
            on_loss: LossPolicy::default(),
            max_receive_bytes: DEFAULT_MAX_RECEIVE_BYTES,
            max_log_length: None,
            metrics: None,
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has no meaning.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The loss of such a connection cannot be acted upon.
    #[error("OnConnectionLoss callback only supported for unix:// addresses")]
    LossPolicy,
    /// The driver did not answer in time. The text is that of Go; `last` says what went wrong the last time.
    #[error("context deadline exceeded")]
    Deadline {
        /// The address that was dialled.
        address: Address,
        /// How the last attempt failed.
        last: Option<String>,
    },
}

impl ConnectError {
    /// What a person can do about it; the error itself has the words that upstream prints.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Address(_) | Self::LossPolicy => {
                "give the absolute path of the CSI driver's socket in --csi-address, for example \
                 /run/csi/socket"
                    .to_owned()
            }
            Self::Deadline { address, last } => {
                let last = last.as_deref().unwrap_or("no attempt was completed");
                format!(
                    "no CSI driver answers at {address} ({last}): check that its container runs and that \
                     --csi-address names its socket"
                )
            }
        }
    }
}

/// Dials the driver at `address`, waiting for it to appear.
///
/// Must be called inside a tokio runtime: a task watches the connection afterwards.
pub async fn connect(address: &str, options: ConnectOptions) -> Result<Connection, ConnectError> {
    let address = Address::parse(address)?;
    if !address.is_unix_url() && !matches!(options.on_loss, LossPolicy::Reconnect) {
        return Err(ConnectError::LossPolicy);
    }
    verbose!(5, %address, "Connecting");
    let established = first_dial(&address, &options).await?;

    let (link, link_seen) = watch::channel(Link::Ready(established.sender.clone()));
    let (reconnects, losses) = watch::channel(0);
    let lost = CancellationToken::new();
    let origin = origin_of(&address);
    let keeper = Keeper { address, policy: options.on_loss, link, reconnects, lost: lost.clone() };
    tokio::spawn(keeper.run(established));

    let settings = ConnectionSettings {
        max_receive_bytes: options.max_receive_bytes,
        max_log_length: options.max_log_length,
        metrics: options.metrics,
        lost,
    };
    let transport = BoxCloneSyncService::new(SocketTransport { link: link_seen });
    Ok(Connection { transport, settings: Arc::new(settings), origin, losses: Some(losses) })
}

/// `:authority` of every call.
fn origin_of(address: &Address) -> Uri {
    let uri = Uri::builder().scheme("http").authority(address.authority()).path_and_query("/").build();
    uri.unwrap_or_else(|_| Uri::from_static("http://localhost"))
}

/// Dials until it works. Every ten seconds a line says that it is still being tried.
///
/// A socket that accepts but does not answer counts as not there yet. (Upstream takes the accept for a connection
/// and the failed handshake for its loss, so that some sidecars exit after two seconds; the time to wait is the same
/// for a driver that is slow after `listen` as for one that is slow before.)
async fn first_dial(address: &Address, options: &ConnectOptions) -> Result<Established, ConnectError> {
    let mut last = None;
    let start = Instant::now();
    let deadline = options.timeout.and_then(|timeout| start.checked_add(timeout));
    let expired = async {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    let remind = async {
        let period = Duration::from_secs(10);
        let mut reminder = tokio::time::interval_at(start + period, period);
        loop {
            reminder.tick().await;
            tracing::info!(%address, "Still connecting");
        }
    };
    let outcome = tokio::select! {
        biased;
        established = dial_while_hopeful(address, options, deadline, &mut last) => established,
        // Before the end, so that a wait of 30 s has its third line.
        () = remind => None,
        () = expired => None,
    };
    outcome.ok_or_else(|| ConnectError::Deadline { address: address.clone(), last })
}

/// Dials about once a second until it works, or has no chance to work any more for those who want to know.
async fn dial_while_hopeful(
    address: &Address,
    options: &ConnectOptions,
    deadline: Option<Instant>,
    last: &mut Option<String>,
) -> Option<Established> {
    let mut first = true;
    loop {
        let start = Instant::now();
        let next = start + ATTEMPT;
        // To the very end of the wait and not a moment longer, so that its error is always there to be told.
        let limits = [start.checked_add(options.attempt_timeout), deadline];
        match attempt(address, limits.into_iter().flatten().min()).await {
            Ok(established) => return Some(established),
            Err(error) => *last = Some(error),
        }
        let another_fits = deadline.is_none_or(|deadline| next.max(Instant::now()) < deadline);
        if !another_fits && options.end_when_hopeless && !first {
            return None;
        }
        if !another_fits {
            // One without any time would only hide why the last one failed; the caller's clock ends the wait.
            std::future::pending::<()>().await;
        }
        first = false;
        tokio::time::sleep_until(next).await;
    }
}

/// Dials about once a second until it works.
async fn dial_until_ready(address: &Address, mut failed: impl FnMut(String)) -> Established {
    loop {
        let next = Instant::now() + ATTEMPT;
        match attempt(address, Some(next)).await {
            Ok(established) => return established,
            Err(error) => failed(error),
        }
        tokio::time::sleep_until(next).await;
    }
}

/// What calls see of the connection.
#[derive(Clone)]
enum Link {
    /// Being made again; calls wait for the outcome.
    Connecting,
    /// Usable.
    Ready(SendRequest<Body>),
    /// Not there; calls fail with this text until a later attempt works.
    Failed(Arc<str>),
}

/// The task that holds the connection.
struct Keeper {
    address: Address,
    policy: LossPolicy,
    link: watch::Sender<Link>,
    reconnects: watch::Sender<u64>,
    lost: CancellationToken,
}

impl Keeper {
    async fn run(self, mut established: Established) {
        loop {
            tokio::select! {
                biased;
                () = self.link.closed() => return,
                _ = established.connection => {}
            }
            tracing::error!(address = %self.address, "Lost connection");
            let again = match &self.policy {
                LossPolicy::Exit => false,
                LossPolicy::Reconnect => true,
                LossPolicy::Callback(callback) => callback(),
            };
            if !again {
                self.fail("connection lost, reconnecting disabled");
                self.lost.cancel();
                return;
            }
            self.link.send_replace(Link::Connecting);
            established = tokio::select! {
                biased;
                () = self.link.closed() => return,
                established = dial_until_ready(&self.address, |error| self.fail(&error)) => established,
            };
            self.link.send_replace(Link::Ready(established.sender.clone()));
            self.reconnects.send_modify(|count| *count += 1);
        }
    }

    fn fail(&self, reason: &str) {
        let text = format!("connection error: desc = \"transport: Error while dialing: {reason}\"");
        self.link.send_replace(Link::Failed(text.into()));
    }
}

/// Sends calls over whatever connection there is at the moment.
#[derive(Clone)]
struct SocketTransport {
    link: watch::Receiver<Link>,
}

impl Service<Request<Body>> for SocketTransport {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let link = self.link.clone();
        let agent = HeaderValue::from_static(concat!("csi-sidecars/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(http::header::USER_AGENT, agent);
        Box::pin(async move {
            let mut sender = usable(link).await?;
            sender.ready().await.map_err(status::of_transport)?;
            let response = sender.send_request(request).await.map_err(status::of_transport)?;
            Ok(readable(response))
        })
    }
}

async fn usable(mut link: watch::Receiver<Link>) -> Result<SendRequest<Body>, Status> {
    let link = link.wait_for(|link| !matches!(link, Link::Connecting)).await;
    match link.as_deref() {
        Ok(Link::Ready(sender)) => Ok(sender.clone()),
        Ok(Link::Failed(reason)) => Err(Status::unavailable(&**reason)),
        Ok(Link::Connecting) | Err(_) => Err(Status::unavailable("the client connection is closing")),
    }
}

/// The response with errors that tonic can read, and without the status details: CSI forbids them, nobody reads
/// them here, and malformed ones would make tonic panic.
fn readable(mut response: Response<Incoming>) -> Response<Body> {
    fn strip(headers: &mut HeaderMap) {
        headers.remove("grpc-status-details-bin");
    }
    strip(response.headers_mut());
    response.map(|body| {
        Body::new(body.map_err(status::of_transport).map_frame(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                strip(trailers);
            }
            frame
        }))
    })
}
