//! The calls that every sidecar makes at its start (common-library sheet, section 5.2).

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tonic::{Code, Status};

use crate::capabilities::{
    ControllerCapabilities, GroupControllerCapabilities, NodeCapabilities, PluginCapabilities,
};
use crate::codes::{RpcError, status_text};
use crate::connection::{CallOptions, Connection};
use crate::csi;

/// Why the driver's name is not known.
#[derive(Debug, thiserror::Error)]
pub enum DriverNameError {
    /// The call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The driver has no name.
    #[error("driver name is empty")]
    Empty,
}

/// A driver that will not become ready.
#[derive(Debug, thiserror::Error)]
#[error("CSI driver probe failed: {}", status_text(.0))]
pub struct ProbeError(pub Status);

impl Connection {
    /// Asks the driver for its name.
    pub async fn driver_name(&self, options: CallOptions) -> Result<String, DriverNameError> {
        let info = self.get_plugin_info(csi::GetPluginInfoRequest {}, options).await.map_err(RpcError)?;
        if info.name.is_empty() {
            return Err(DriverNameError::Empty);
        }
        Ok(info.name)
    }

    /// Asks the driver once whether it is ready. A driver that does not say is.
    pub async fn is_ready(&self, options: CallOptions) -> Result<bool, Status> {
        let response = self.probe(csi::ProbeRequest {}, options).await?;
        Ok(response.ready.unwrap_or(true))
    }

    /// Asks until the driver is ready: at once and then every second, or right after an attempt that took longer.
    ///
    /// An attempt that takes longer than `timeout` is repeated; any other failure ends the waiting. Waits without
    /// limit otherwise, so the caller bounds it by dropping the future.
    pub async fn probe_forever(&self, timeout: Duration) -> Result<(), ProbeError> {
        let period = Duration::from_secs(1);
        let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tracing::info!("Probing CSI driver for readiness");
            match self.is_ready(CallOptions::timeout(timeout)).await {
                Ok(true) => return Ok(()),
                Ok(false) => tracing::info!("CSI driver is not ready"),
                Err(status) if status.code() == Code::DeadlineExceeded => {
                    tracing::info!("CSI driver probe timed out");
                }
                Err(status) => return Err(ProbeError(status)),
            }
            ticks.tick().await;
        }
    }

    /// What the plugin as a whole offers.
    pub async fn plugin_capabilities(&self, options: CallOptions) -> Result<PluginCapabilities, Status> {
        let request = csi::GetPluginCapabilitiesRequest {};
        Ok(self.get_plugin_capabilities(request, options).await?.into())
    }

    /// What its controller service offers.
    pub async fn controller_capabilities(
        &self,
        options: CallOptions,
    ) -> Result<ControllerCapabilities, Status> {
        let request = csi::ControllerGetCapabilitiesRequest {};
        Ok(self.controller_get_capabilities(request, options).await?.into())
    }

    /// What its group controller service offers.
    pub async fn group_controller_capabilities(
        &self,
        options: CallOptions,
    ) -> Result<GroupControllerCapabilities, Status> {
        let request = csi::GroupControllerGetCapabilitiesRequest {};
        Ok(self.group_controller_get_capabilities(request, options).await?.into())
    }

    /// What its node service offers.
    pub async fn node_capabilities(&self, options: CallOptions) -> Result<NodeCapabilities, Status> {
        let request = csi::NodeGetCapabilitiesRequest {};
        Ok(self.node_get_capabilities(request, options).await?.into())
    }
}
