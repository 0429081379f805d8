//! `/healthz`: would kubelet still reach us through the registration socket? (sheet node-driver-registrar 5.3)

use std::path::PathBuf;
use std::time::Duration;

use csi_client::registration::InfoRequest;
use csi_client::registration::registration_client::RegistrationClient;
use tonic::transport::Endpoint;

use crate::policy::{self, Health};
use crate::socket::{self, Found};

/// How long the socket may take to accept. Upstream waits 30 s, longer than any kubelet probe, so that a stale
/// socket shows only as a timeout of the probe (sheet 13.10).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks the registration socket the way kubelet would use it.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    path: PathBuf,
    driver: String,
    timeout: Duration,
}

impl HealthCheck {
    /// `timeout` bounds the `GetInfo` call (`--timeout`).
    pub fn new(path: PathBuf, driver: String, timeout: Duration) -> Self {
        Self { path, driver, timeout }
    }

    /// Looks at the path, calls `GetInfo` through it, and logs what is wrong.
    pub async fn run(&self) -> Health {
        let exists = socket::examine(&self.path).map(|found| found != Found::Absent).map_err(|error| error.to_string());
        let check = match exists {
            Ok(true) => Some(self.ask_ourselves().await),
            _ => None,
        };
        let health = policy::health(exists, check);
        match health.status {
            200 => csi_client::verbose!(5, "Health check succeeded"),
            404 => tracing::error!("Health check failed, registration socket does not exist"),
            _ => tracing::error!(err = health.body, "Health check failed"),
        }
        health
    }

    async fn ask_ourselves(&self) -> Result<(), String> {
        let path = self.path.display();
        csi_client::verbose!(4, socketfile = %path, "Attempting to open a gRPC connection");
        let connecting = |error: String| format!("error connecting to node-registrar socket {path}: {error}");
        let endpoint = Endpoint::try_from(format!("unix://{path}"))
            .map_err(|error| connecting(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT);
        let channel = tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect())
            .await
            .map_err(|_| connecting("context deadline exceeded".to_owned()))?
            .map_err(|error| connecting(chain(&error)))?;
        csi_client::verbose!(4, "Calling node registrar to check if it still responds");
        let mut client = RegistrationClient::new(channel);
        let asking = |error: String| format!("error getting info from node-registrar socket: {error}");
        let answer = tokio::time::timeout(self.timeout, client.get_info(InfoRequest {}))
            .await
            .map_err(|_| asking("rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned()))?
            .map_err(|status| asking(csi_client::status_text(&status)))?;
        policy::check_name(&self.driver, &answer.into_inner().name)
    }
}

/// An error with its causes; tonic's own text is only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
