//! Serving a driver on its endpoint, from the first byte to a clean end.

mod socket;
mod stream;

use std::time::Duration;

use csi_client::authority::NormalizedAuthority;
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::driver::Driver;
use crate::endpoint::Endpoint;
use crate::os_error::OsError;
use crate::service::Service;

pub use socket::{BoundSocket, SocketError};
pub use stream::Stream;

/// How long callers have to close their connections when no call is running any more.
const IDLE_CONNECTION_GRACE: Duration = Duration::from_secs(1);

/// Why a driver could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The Unix socket could not be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The TCP port could not be opened.
    #[error("listen on tcp://{address}: {error}")]
    Tcp {
        /// Host and port.
        address: String,
        /// What the kernel answered.
        error: std::io::Error,
    },
    /// The transport broke down while serving.
    #[error("serve: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl From<OsError> for ServeError {
    fn from(error: OsError) -> Self {
        Self::Socket(SocketError::Os(error))
    }
}

/// An open endpoint. Callers can connect from now on; they are answered once [`Listener::serve`] runs.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Unix(BoundSocket),
    Tcp(TcpListener),
}

impl Listener {
    /// Opens the endpoint. A socket that a dead process left behind is replaced.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, ServeError> {
        Ok(Self(match endpoint {
            Endpoint::Unix(path) => Kind::Unix(BoundSocket::bind(path)?),
            Endpoint::Tcp(address) => Kind::Tcp(bind_tcp(address).await?),
        }))
    }

    /// Takes one connection, for who does not serve calls but passes bytes on.
    pub async fn accept(&self) -> std::io::Result<Stream> {
        Ok(match &self.0 {
            Kind::Unix(socket) => Stream::Unix(socket.accept().await?),
            Kind::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
        })
    }

    /// The TCP address, if it is one; tells the port when the endpoint asked for any.
    pub fn tcp_address(&self) -> Option<std::net::SocketAddr> {
        match &self.0 {
            Kind::Unix(_) => None,
            Kind::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    /// Serves until `stop` completes, then lets running calls finish, for at most `grace`, and removes the socket.
    /// Callers are told to close their connections; those that do not are cut off soon after the last call.
    ///
    /// Answers whether everything finished in time.
    pub async fn serve<D: Driver>(
        self,
        service: Service<D>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<bool, ServeError> {
        let stopping = tokio_util::sync::CancellationToken::new();
        let router = Server::builder().add_routes(service.routes());
        let serving = self.run(router, stopping.clone().cancelled_owned());
        tokio::pin!(serving);
        tokio::select! {
            biased;
            result = &mut serving => return result.map(|()| true),
            () = stop => stopping.cancel(),
        }
        // A caller that keeps its connection open without a call must not hold up the end.
        let idle = async {
            service.finished().await;
            tokio::time::sleep(IDLE_CONNECTION_GRACE).await;
        };
        let drained = async {
            tokio::select! {
                biased;
                result = &mut serving => {
                    result?;
                    service.finished().await;
                }
                () = idle => {}
            }
            Ok(())
        };
        match tokio::time::timeout(grace, drained).await {
            Ok(result) => result.map(|()| true),
            Err(_elapsed) => Ok(false),
        }
    }

    async fn run(self, router: Router, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        match self.0 {
            Kind::Unix(mut socket) => {
                // Some Go tools send the path of the socket as the authority.
                let incoming = UnixListenerStream::new(socket.listener()?)
                    .map(|accepted| accepted.map(NormalizedAuthority::new));
                router.serve_with_incoming_shutdown(incoming, stop).await?;
                // `socket` lives until here: dropping it removes the file.
                drop(socket);
            }
            Kind::Tcp(listener) => {
                router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop).await?;
            }
        }
        Ok(())
    }
}

/// `:9000` means every address, as in Go.
async fn bind_tcp(address: &str) -> Result<TcpListener, ServeError> {
    let full = if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
    let result = match TcpListener::bind(&full).await {
        // A machine without IPv6.
        Err(_) if address.starts_with(':') => TcpListener::bind(format!("0.0.0.0{address}")).await,
        result => result,
    };
    result.map_err(|error| ServeError::Tcp { address: address.to_owned(), error })
}

#[cfg(test)]
mod tests;
