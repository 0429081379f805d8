//! `/healthz`: would kubelet still reach us through the registration socket? (sheet node-driver-registrar 5.3)

use std::path::PathBuf;
use std::time::Duration;

use csi_client::registration::InfoRequest;
use csi_client::registration::registration_client::RegistrationClient;
use sidecar_core::context::Context;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::http::{Reply, serve_documented};
use tonic::transport::Endpoint;

use crate::policy::{self, Health};
use crate::socket::{self, Found};

/// How long the socket may take to accept. Upstream waits 30 s, longer than any kubelet probe, so that a stale
/// socket shows only as a timeout of the probe (sheet 13.10).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves `/healthz` and, if asked for, profiles at `address`, and what the documented flags name.
///
/// # Errors
/// An address that cannot be listened on; upstream prints that error without a message.
pub(crate) async fn serve(
    address: Option<&str>,
    parsed: &Parsed,
    context: &Context,
    check: HealthCheck,
) -> Result<(), Exit> {
    serve_documented(parsed, context).await?;
    let Some(address) = address else {
        tracing::info!("Skipping HTTP server");
        return Ok(());
    };
    tracing::info!(endpoint = address, "Starting HTTP server");
    let endpoint = context.http.listen(address).await.map_err(|error| Exit::failure(1, "").because(error))?;
    if parsed.bool("enable-pprof") {
        tracing::info!(endpoint = address, "Starting profiling");
        endpoint.serve_profiles();
    }
    let answer = move |_| {
        let check = check.clone();
        async move {
            let health = check.run().await;
            Reply::text(health.status, health.body)
        }
    };
    endpoint.routes().add("/healthz", answer).map_err(|error| Exit::usage(error.to_string()))
}

/// Checks the registration socket the way kubelet would use it.
#[derive(Debug, Clone)]
pub(crate) struct HealthCheck {
    path: PathBuf,
    driver: String,
    timeout: Duration,
}

impl HealthCheck {
    /// `timeout` bounds the `GetInfo` call (`--timeout`).
    pub(crate) fn new(path: PathBuf, driver: String, timeout: Duration) -> Self {
        Self { path, driver, timeout }
    }

    /// Looks at the path, calls `GetInfo` through it, and logs what is wrong.
    pub(crate) async fn run(&self) -> Health {
        let exists = socket::examine(&self.path)
            .map(|found| found != Found::Absent)
            .map_err(|error| error.to_string());
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
            .map_err(|error| connecting(csi_client::with_causes(&error)))?;
        csi_client::verbose!(4, "Calling node registrar to check if it still responds");
        let mut client = RegistrationClient::new(channel);
        let asking = |error: String| format!("error getting info from node-registrar socket: {error}");
        let answer = tokio::time::timeout(self.timeout, client.get_info(InfoRequest {}))
            .await
            .map_err(|_| {
                asking("rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned())
            })?
            .map_err(|status| asking(csi_client::status_text(&status)))?;
        policy::check_name(&self.driver, &answer.into_inner().name)
    }
}
