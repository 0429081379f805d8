//! The Identity service.

use csi_client::csi::identity_server::Identity;
use csi_client::csi::{self, plugin_capability};
use tonic::{Request, Response, Status, async_trait};

use super::{ScriptedDriver, no_key};

#[async_trait]
impl Identity for ScriptedDriver {
    async fn get_plugin_info(
        &self,
        request: Request<csi::GetPluginInfoRequest>,
    ) -> Result<Response<csi::GetPluginInfoResponse>, Status> {
        self.run(request, no_key, |_, config, _| {
            Ok(csi::GetPluginInfoResponse {
                name: config.name.clone(),
                vendor_version: "v1".to_owned(),
                ..Default::default()
            })
        })
        .await
    }

    async fn get_plugin_capabilities(
        &self,
        request: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Result<Response<csi::GetPluginCapabilitiesResponse>, Status> {
        self.run(request, no_key, |_, config, _| {
            let capabilities = config.plugin.iter().map(|kind| {
                let service = plugin_capability::Service { r#type: (*kind).into() };
                csi::PluginCapability { r#type: Some(plugin_capability::Type::Service(service)) }
            });
            Ok(csi::GetPluginCapabilitiesResponse { capabilities: capabilities.collect() })
        })
        .await
    }

    async fn probe(
        &self,
        request: Request<csi::ProbeRequest>,
    ) -> Result<Response<csi::ProbeResponse>, Status> {
        self.run(request, no_key, |_, _, _| Ok(csi::ProbeResponse { ready: Some(true) })).await
    }
}
