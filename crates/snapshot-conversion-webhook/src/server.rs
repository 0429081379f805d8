//! The HTTPS server: both versions of HTTP, with upstream's limits of time.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use sidecar_core::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;
use crate::policy::{self, Answer};

/// Longest time for reading a request, and for writing an answer.
const TRANSFER: Duration = Duration::from_secs(10);

/// A connection without requests for this long is closed.
const IDLE: Duration = Duration::from_secs(15);

/// Pause after a failed accept, for example when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The largest review: the API server sends whole pages of a list at once.
const LARGEST: usize = 256 << 20;

/// Listens on all addresses of the machine.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        // A machine without IPv6.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// Answers until a stop is asked for; then the requests that are under way still are.
pub(crate) async fn serve(listener: TcpListener, certificate: Arc<Certificate>, shutdown: &Shutdown) {
    let acceptor = match config(certificate) {
        Ok(config) => TlsAcceptor::from(Arc::new(config)),
        Err(error) => return tracing::error!(err = %error, "Failed to set up TLS"),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::error!(err = %error, "Failed to accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

fn config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shutdown: Shutdown) {
    let stream = match timeout(TRANSFER, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        // Port scans and probes, above all.
        Ok(Err(error)) => return tracing::debug!(err = %error, "A connection did not become TLS"),
        Err(_) => return,
    };
    let (activity, seen) = watch::channel(0_usize);
    let service = service_fn(|request| {
        let busy = Busy::new(activity.clone());
        async move {
            let response = respond(request).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        biased;
        ended = &mut served => {
            if let Err(error) = ended {
                tracing::debug!(err = %error, "A connection ended early");
            }
            return;
        }
        () = shutdown.requested() => {}
        () = idle(seen) => {}
    }
    served.as_mut().graceful_shutdown();
    let _whatever_is_left = timeout(TRANSFER, served).await;
}

/// Counts the requests of a connection that are being worked on.
struct Busy(watch::Sender<usize>);

impl Busy {
    fn new(activity: watch::Sender<usize>) -> Self {
        activity.send_modify(|count| *count += 1);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Completes when nothing was asked for long.
async fn idle(mut activity: watch::Receiver<usize>) {
    loop {
        let busy = *activity.borrow_and_update() > 0;
        let quiet = timeout(IDLE, activity.changed()).await.is_err();
        if quiet && !busy {
            return;
        }
    }
}

async fn respond(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let answer = match request.uri().path() {
        "/readyz" => text(200, "ok"),
        "/convert" => convert(request).await,
        _ => text(404, "404 page not found\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}

async fn convert(request: Request<Incoming>) -> Answer {
    let header = |name: HeaderName| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (content_type, accept) = (header(header::CONTENT_TYPE), header(header::ACCEPT));
    match timeout(TRANSFER, Limited::new(request.into_body(), LARGEST).collect()).await {
        Ok(Ok(body)) => policy::answer(&content_type, &accept, &body.to_bytes()),
        Ok(Err(error)) => text(400, &format!("the request cannot be read: {error}\n")),
        Err(_) => text(408, "the request did not come to its end in time\n"),
    }
}

fn text(status: u16, body: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
}
