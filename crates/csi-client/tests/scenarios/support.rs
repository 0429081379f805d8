//! A driver made of a closure, served in process or on a socket, and a recorder of log lines.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once};
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use csi_client::{Connection, ConnectionSettings};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio::task::{JoinHandle, JoinSet};
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};

/// One call as it arrived at the driver.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
}

type Answer = Pin<Box<dyn Future<Output = Result<Vec<u8>, Status>> + Send>>;

/// A driver that answers every call with the same closure.
#[derive(Clone)]
pub(crate) struct Driver(Arc<dyn Fn(Call) -> Answer + Send + Sync>);

impl Driver {
    pub(crate) fn new<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Status>> + Send + 'static,
    {
        Self(Arc::new(move |call| Box::pin(answer(call))))
    }

    /// Answers every call with this message.
    pub(crate) fn fixed(message: &impl Message) -> Self {
        let bytes = message.encode_to_vec();
        Self::new(move |_| std::future::ready(Ok(bytes.clone())))
    }

    /// Fails every call.
    pub(crate) fn failing(status: Status) -> Self {
        Self::new(move |_| std::future::ready(Err(status.clone())))
    }

    /// Answers the calls one after the other; later calls are unimplemented.
    pub(crate) fn script(
        answers: impl IntoIterator<Item = Result<Vec<u8>, Status>>,
    ) -> (Self, Arc<Mutex<usize>>) {
        let answers: Vec<_> = answers.into_iter().collect();
        let count = Arc::new(Mutex::new(0));
        let seen = count.clone();
        let driver = Self::new(move |_| {
            let mut count = count.lock().unwrap();
            let answer = answers.get(*count).cloned();
            *count += 1;
            std::future::ready(answer.unwrap_or_else(|| Err(Status::unimplemented("end of script"))))
        });
        (driver, seen)
    }

    pub(crate) fn connection(self) -> Connection {
        Connection::from_service(self, ConnectionSettings::default())
    }
}

impl<B> Service<Request<B>> for Driver
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Debug,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let message = body.collect().await.unwrap().to_bytes().slice(5..);
            let authority = head.uri.authority().map(ToString::to_string).unwrap_or_default();
            let path = head.uri.path().to_owned();
            let call = Call { path, authority, headers: head.headers, message };
            Ok(match answer(call).await {
                Ok(message) => success(&message),
                Err(status) => failure(status),
            })
        })
    }
}

/// A failure; the metadata `x-raw-details` becomes the status details as it is.
fn failure(status: Status) -> Response<Body> {
    let mut response = status.into_http::<Body>();
    if let Some(details) = response.headers_mut().remove("x-raw-details") {
        response.headers_mut().insert("grpc-status-details-bin", details);
    }
    response
}

fn success(message: &[u8]) -> Response<Body> {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// A driver that listens; dropping it is its sudden death.
pub(crate) struct Served {
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) fn on(path: &Path, driver: Driver) -> Self {
        // A driver that died leaves its socket file behind.
        let _ = std::fs::remove_file(path);
        Self::accept(UnixListener::bind(path).unwrap(), driver)
    }

    pub(crate) fn accept(listener: UnixListener, driver: Driver) -> Self {
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, driver.clone()));
            }
        });
        Self { task }
    }

    /// Dies, and waits until its sockets are closed.
    pub(crate) async fn die(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one accepted connection.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, driver: Driver) {
    let service = TowerToHyperService::new(driver);
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Log lines as `LEVEL message key=value …`, in the order of the fields' names.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

thread_local! {
    static RECORDING: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// Ends the recording.
pub(crate) struct Recording;

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDING.set(None);
    }
}

impl Lines {
    /// Records what this thread logs until the guard is dropped.
    ///
    /// There is one subscriber for the process: with one per thread, tracing may remember for all threads that
    /// nobody on another thread wanted an event.
    pub(crate) fn record() -> (Self, Recording) {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            let subscriber = tracing_subscriber::registry().with(Recorder);
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let lines = Self::default();
        RECORDING.set(Some(lines.clone()));
        (lines, Recording)
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.all().iter().filter(|line| line.contains(text)).count()
    }
}

struct Recorder;

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if !event.metadata().target().starts_with("csi_client") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let mut line = format!("{} {message}", event.metadata().level());
        for (key, value) in fields.0 {
            line = format!("{line} {key}={value}");
        }
        RECORDING.with_borrow(|lines| {
            if let Some(lines) = lines {
                lines.0.lock().unwrap().push(line);
            }
        });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}
