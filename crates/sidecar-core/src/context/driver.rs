//! How a process gets its connection to the driver: by dialling, or from whoever built the context.

use std::fmt;
use std::sync::Arc;

use csi_client::connection::{ConnectError, ConnectOptions, Connection, connect};
use futures::future::BoxFuture;

type Connect =
    dyn Fn(String, ConnectOptions) -> BoxFuture<'static, Result<Connection, ConnectError>> + Send + Sync;

/// Makes connections to CSI drivers. Clones share what is behind them.
#[derive(Clone)]
pub struct DriverConnector {
    connect: Arc<Connect>,
}

impl DriverConnector {
    /// Dials the address, as every real process does.
    pub fn dialling() -> Self {
        Self::new(|address, options| Box::pin(async move { connect(&address, options).await }))
    }

    /// Connects as `make` says; tests and the simulation hand out in-memory connections.
    pub fn new<F>(make: F) -> Self
    where
        F: Fn(String, ConnectOptions) -> BoxFuture<'static, Result<Connection, ConnectError>>
            + Send
            + Sync
            + 'static,
    {
        Self { connect: Arc::new(make) }
    }

    /// Connects to the driver at `address`, waiting for it to appear.
    pub async fn connect(&self, address: &str, options: ConnectOptions) -> Result<Connection, ConnectError> {
        (self.connect)(address.to_owned(), options).await
    }
}

impl Default for DriverConnector {
    fn default() -> Self {
        Self::dialling()
    }
}

impl fmt::Debug for DriverConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverConnector").finish_non_exhaustive()
    }
}
