//! Sockets: for programs that cannot be wired in process, Go ones and our own binaries.

use std::io;
use std::path::Path;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinSet};
use tower::{BoxError, Service};

/// A listener with its connections; all of them end when this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    task: AbortHandle,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    /// Accepts with `accept` and serves every connection until dropped.
    pub(crate) fn start<A, F, I, S, B>(mut accept: A, service: S) -> Self
    where
        A: FnMut() -> F + Send + 'static,
        F: Future<Output = io::Result<I>> + Send,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let task = tokio::spawn(async move {
            // Dropping the set ends the connections.
            let mut connections = JoinSet::new();
            loop {
                let Ok(stream) = accept().await else { continue };
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { task: task.abort_handle() }
    }
}

/// Serves on a Unix socket; a file that is in the way is removed.
pub(crate) fn serve_unix<S, B>(path: &Path, service: S) -> io::Result<Listening>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::sync::Arc::new(tokio::net::UnixListener::bind(path)?);
    let accept = move || {
        let listener = std::sync::Arc::clone(&listener);
        async move { listener.accept().await.map(|(stream, _)| stream) }
    };
    Ok(Listening::start(accept, service))
}
