//! The registration service kubelet calls (sheet node-driver-registrar 5.2).

use csi_client::registration::registration_server::Registration;
use csi_client::registration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use sidecar_core::clock::Clock;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::metrics::RegistrationMetrics;

/// The only plugin type a CSI driver registers as.
const PLUGIN_TYPE: &str = "CSIPlugin";
/// The registration API's version, whatever CSI version the driver speaks (sheet section 5.2).
const SUPPORTED_VERSION: &str = "1.0.0";

/// What kubelet has told us so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Kubelet has not called yet.
    Unknown,
    /// Kubelet uses the driver.
    Yes,
    /// Kubelet refused it, with its reason.
    Refused(String),
}

/// Answers kubelet with constant facts and passes its verdict on.
#[derive(Debug)]
pub(crate) struct RegistrationService {
    driver: String,
    endpoint: String,
    verdict: watch::Sender<Registered>,
    metrics: RegistrationMetrics,
    clock: Clock,
}

impl RegistrationService {
    /// `endpoint` is the driver's socket as kubelet sees it, sent verbatim.
    pub(crate) fn new(
        driver: String,
        endpoint: String,
        verdict: watch::Sender<Registered>,
        metrics: RegistrationMetrics,
        clock: Clock,
    ) -> Self {
        Self { driver, endpoint, verdict, metrics, clock }
    }
}

#[tonic::async_trait]
impl Registration for RegistrationService {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        csi_client::verbose!(4, request = "", "Received GetInfo call");
        Ok(Response::new(PluginInfo {
            r#type: PLUGIN_TYPE.to_owned(),
            name: self.driver.clone(),
            endpoint: self.endpoint.clone(),
            supported_versions: vec![SUPPORTED_VERSION.to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        request: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        let status = request.into_inner();
        tracing::info!(status = text(&status), "Received NotifyRegistrationStatus call");
        self.metrics.notified(status.plugin_registered, self.clock.now());
        let verdict =
            if status.plugin_registered { Registered::Yes } else { Registered::Refused(status.error) };
        self.verdict.send_replace(verdict);
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

/// The message as Go's protobuf library prints it: only fields that are set.
fn text(status: &RegistrationStatus) -> String {
    let mut parts = Vec::new();
    if status.plugin_registered {
        parts.push("plugin_registered:true".to_owned());
    }
    if !status.error.is_empty() {
        parts.push(format!("error:{:?}", status.error));
    }
    parts.join(" ")
}
