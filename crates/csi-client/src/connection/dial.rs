//! One attempt to reach a driver, from the socket to its first HTTP/2 frame.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::body::Body;

use super::address::{Address, Target};
use crate::codes::system_text;

/// How long one attempt may take unless told otherwise, and how long after its start the next one begins.
///
/// gRPC's back-off starts and is capped at one second here, with a jitter of a fifth; a socket has one client, so
/// there is no crowd to spread.
pub(super) const ATTEMPT: Duration = Duration::from_secs(1);

/// Error messages of a driver come in trailers; Go accepts this much.
const MAX_HEADER_BYTES: u32 = 16 << 20;

/// A connection on which the driver has spoken HTTP/2.
pub(super) struct Established {
    /// Sends requests.
    pub(super) sender: SendRequest<Body>,
    /// Completes when the connection has ended; must be polled.
    pub(super) connection: Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>,
}

/// Tries once. The error says what failed, in the words of Go's client.
pub(super) async fn attempt(address: &Address, deadline: Option<Instant>) -> Result<Established, String> {
    let Some(deadline) = deadline else { return attempt_unbounded(address).await };
    match tokio::time::timeout_at(deadline, attempt_unbounded(address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err("error reading server preface: context deadline exceeded".to_owned()),
    }
}

async fn attempt_unbounded(address: &Address) -> Result<Established, String> {
    match address.target() {
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            handshake(stream.map_err(|error| format!("dial unix {}: {}", path.display(), reason(&error)))?)
                .await
        }
        Target::Tcp(endpoint) => {
            let stream = TcpStream::connect(endpoint).await;
            handshake(stream.map_err(|error| format!("dial tcp {endpoint}: {}", reason(&error)))?).await
        }
    }
}

fn reason(error: &io::Error) -> String {
    format!("connect: {}", system_text(error))
}

async fn handshake<S>(stream: S) -> Result<Established, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (heard, first_bytes) = oneshot::channel();
    let io = TokioIo::new(FirstBytes { stream, seen: Vec::new(), heard: Some(heard) });
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .max_header_list_size(MAX_HEADER_BYTES)
        .handshake(io)
        .await
        .map_err(|error| format!("error writing client preface: {error}"))?;
    let mut connection: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(connection);
    tokio::select! {
        biased;
        heard = first_bytes => match heard {
            Ok(true) => {}
            Ok(false) => return Err("error reading server preface: this is not an HTTP/2 server".to_owned()),
            Err(_) => return Err("error reading server preface: EOF".to_owned()),
        },
        ended = &mut connection => {
            let reason = ended.err().map_or_else(|| "EOF".to_owned(), |error| error.to_string());
            return Err(format!("error reading server preface: {reason}"));
        }
    }
    Ok(Established { sender, connection })
}

/// Reports the first bytes that arrive: a server opens with a settings frame, so that proves that it is serving and
/// not only listening, and that it speaks HTTP/2.
struct FirstBytes<S> {
    stream: S,
    seen: Vec<u8>,
    heard: Option<oneshot::Sender<bool>>,
}

/// Where the type of a frame stands in its header.
const FRAME_TYPE: usize = 3;
/// The type of a settings frame.
const SETTINGS: u8 = 4;

impl<S> FirstBytes<S> {
    fn look_at(&mut self, arrived: &[u8]) {
        if self.heard.is_none() {
            return;
        }
        self.seen.extend_from_slice(arrived.get(..arrived.len().min(FRAME_TYPE + 1)).unwrap_or_default());
        if let Some(frame_type) = self.seen.get(FRAME_TYPE)
            && let Some(heard) = self.heard.take()
        {
            // Nobody listens when the attempt has been given up.
            let _ = heard.send(*frame_type == SETTINGS);
            self.seen = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.look_at(buffer.filled().get(before..).unwrap_or_default());
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
