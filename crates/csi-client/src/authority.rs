//! Makes calls of some Go clients acceptable to a Rust HTTP/2 server.
//!
//! Who dials a socket without naming an authority lets its gRPC library send the percent-encoded path of the socket as
//! `:authority`: kubelet at the registration socket (kubernetes#108254, sheet node-driver-registrar 5.2), grpcurl and
//! tests of drivers at the driver's (csi-proto 10). The `http` crate rejects `%` and `/` in a host, so the server below
//! would reset every stream. [`NormalizedAuthority`] sits between the socket and the server and rewrites that one
//! pseudo-header; everything else passes through untouched.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::Rewriter;

mod frames;

/// How much is read from the peer at once.
const READ_CHUNK: usize = 4096;

/// A server-side connection on which every request's `:authority` reads `localhost`.
#[derive(Debug)]
pub struct NormalizedAuthority<S> {
    inner: S,
    rewriter: Rewriter,
    ready: Bytes,
}

impl<S> NormalizedAuthority<S> {
    /// Wraps a freshly accepted connection; nothing may have been read from it yet.
    pub fn new(inner: S) -> Self {
        Self { inner, rewriter: Rewriter::new(), ready: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NormalizedAuthority<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.ready.is_empty() {
            let mut chunk = [0_u8; READ_CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let mut rewritten = BytesMut::new();
            self.rewriter.push(chunk.filled(), &mut rewritten)?;
            self.ready = rewritten.freeze();
        }
        let length = self.ready.len().min(out.remaining());
        out.put_slice(self.ready.get(..length).unwrap_or_default());
        self.ready.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NormalizedAuthority<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S> tonic::transport::server::Connected for NormalizedAuthority<S> {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}
