//! What is asked of the driver: its name once, and whether it is ready for each probe.

use std::time::Duration;

use csi_client::connection::ConnectError;
use csi_client::rpc::DriverNameError;
use csi_client::{CallOptions, ConnectOptions, Connection, RpcMetrics};
use sidecar_core::context::{Context, DriverConnector};
use sidecar_core::exit::Exit;
use tokio::time::Instant;

use crate::flags::Flags;
use crate::policy::{self, Verdict};

/// How long the driver may take to tell its name before it is asked again, over a new connection. Upstream waits for
/// ever (sheet 13.3).
const NAME_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before the name is asked for again.
const NAME_PAUSE: Duration = Duration::from_secs(1);

/// How often is said that the name is still being asked for, as for a connection.
const REMINDER: Duration = Duration::from_secs(10);

/// The driver behind its socket. Nothing is kept open between two questions.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    address: String,
    timeout: Duration,
    connector: DriverConnector,
    metrics: RpcMetrics,
}

impl Driver {
    pub(crate) fn new(flags: &Flags, context: &Context, metrics: RpcMetrics) -> Self {
        let connector = context.driver.clone();
        Self { address: flags.csi_address.clone(), timeout: flags.probe_timeout, connector, metrics }
    }

    /// The driver's name, waiting for the driver without limit: this process must not end because the driver is down.
    pub(crate) async fn name(&self) -> Result<String, Exit> {
        let mut told: Option<Instant> = None;
        loop {
            let connection = self
                .connect(None)
                .await
                .map_err(|error| no_connection(&error).with("advice", error.advice()))?;
            tracing::info!("Calling CSI driver to discover driver name");
            let error = match connection.driver_name(CallOptions::timeout(NAME_TIMEOUT)).await {
                Ok(name) => return Ok(name),
                Err(DriverNameError::Rpc(error)) if policy::name_may_come(error.code()) => error,
                Err(error) => return Err(Exit::failure(1, "Failed to get CSI driver name").because(error)),
            };
            if told.is_none_or(|told| told.elapsed() >= REMINDER) {
                told = Some(Instant::now());
                tracing::error!(err = %error, "Failed to get CSI driver name, trying again");
            }
            drop(connection);
            tokio::time::sleep(NAME_PAUSE).await;
        }
    }

    /// Probes the driver `name` once, within the probe timeout.
    ///
    /// Always over a new connection: an old one would outlive the socket file and hide that nobody else can connect
    /// (upstream issue 68).
    pub(crate) async fn probe(&self, name: &str) -> Verdict {
        if self.timeout.is_zero() {
            return Verdict::Unreachable {
                error: "context deadline exceeded".to_owned(),
                advice: "no probe can succeed with this --probe-timeout".to_owned(),
            };
        }
        let options = CallOptions::timeout(self.timeout);
        let connection = match self.connect(Some(self.timeout)).await {
            Ok(connection) => connection,
            Err(error) => {
                return Verdict::Unreachable { error: error.to_string(), advice: error.advice() };
            }
        };
        csi_client::verbose!(5, driver = name, "Sending probe request to CSI driver");
        match connection.is_ready(options).await {
            Ok(true) => Verdict::Ready,
            Ok(false) => Verdict::NotReady,
            Err(status) => Verdict::Failed(csi_client::status_text(&status)),
        }
    }

    async fn connect(&self, timeout: Option<Duration>) -> Result<Connection, ConnectError> {
        let mut options =
            ConnectOptions { timeout, metrics: Some(self.metrics.clone()), ..ConnectOptions::default() };
        if let Some(timeout) = timeout {
            // A driver that has much to do may take its time to accept.
            options.attempt_timeout = timeout;
            options.end_when_hopeless = true;
        }
        self.connector.connect(&self.address, options).await
    }
}

fn no_connection(error: &ConnectError) -> Exit {
    Exit::failure(1, "Failed to establish connection to CSI driver").because(error)
}
