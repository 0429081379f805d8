//! The Node service. Its calls are short bridges to the methods of [`Hostpath`], which are in `node/`.

mod expand;
mod publish;
pub(crate) mod shown;
mod stage;
mod stats;
pub(crate) mod target;

use std::collections::BTreeMap;

use csi_client::csi;
use csi_client::csi::node_service_capability::rpc::Type as Capability;
use csi_driver_kit::driver::{Answer, Node};

use tonic::Status;

use crate::hostpath::Hostpath;
use crate::plugin::Plugin;

/// The only topology key of this driver.
const TOPOLOGY_KEY: &str = "topology.hostpath.csi/node";

impl Hostpath {
    /// A number of 1 to 10, another one each time.
    fn some_limit(&self) -> i64 {
        i64::try_from(self.random.below(10)).unwrap_or_default() + 1
    }

    /// Where volumes can be used: on this node.
    pub(crate) fn topology(&self) -> Option<csi::Topology> {
        let segments = BTreeMap::from([(TOPOLOGY_KEY.to_owned(), self.config.node_id.clone())]);
        self.config.enable_topology.then_some(csi::Topology { segments })
    }
}

impl Node for Plugin {
    fn node_capabilities(&self) -> Vec<Capability> {
        let config = self.driver.config();
        let mut capabilities = vec![
            Capability::StageUnstageVolume,
            Capability::VolumeCondition,
            Capability::GetVolumeStats,
            Capability::SingleNodeMultiWriter,
        ];
        if config.enable_expansion && !config.disable_node_expansion {
            capabilities.push(Capability::ExpandVolume);
        }
        if config.enable_volume_health {
            capabilities.extend([Capability::GetVolumeHealth, Capability::GetStorageHealth]);
        }
        capabilities
    }

    /// Expansion that is only hidden still works (sheet, section 2).
    fn admit_node(&self, method: &str, needed: Capability) -> Answer<()> {
        if needed == Capability::ExpandVolume && self.driver.config().enable_expansion
            || self.node_capabilities().contains(&needed)
        {
            return Ok(());
        }
        Err(Status::unimplemented(format!("{method} is not supported")))
    }

    async fn node_info(&self) -> Answer<csi::NodeGetInfoResponse> {
        let config = self.driver.config();
        let limit = match config.attach_limit {
            // Upstream's way to play a driver whose limit changes (csi-driver-host-path PR 587).
            -1 => self.driver.some_limit(),
            limit if limit > 0 => limit,
            _ => config.max_volumes_per_node,
        };
        Ok(csi::NodeGetInfoResponse {
            node_id: config.node_id.clone(),
            max_volumes_per_node: limit.max(0),
            accessible_topology: self.driver.topology(),
        })
    }

    async fn node_stage_volume(
        &self,
        request: csi::NodeStageVolumeRequest,
    ) -> Answer<csi::NodeStageVolumeResponse> {
        self.run(move |driver| driver.stage(&request.volume_id, &request.staging_target_path)).await?;
        Ok(csi::NodeStageVolumeResponse {})
    }

    async fn node_unstage_volume(
        &self,
        request: csi::NodeUnstageVolumeRequest,
    ) -> Answer<csi::NodeUnstageVolumeResponse> {
        self.run(move |driver| driver.unstage(&request.volume_id, &request.staging_target_path)).await?;
        Ok(csi::NodeUnstageVolumeResponse {})
    }

    async fn node_publish_volume(
        &self,
        request: csi::NodePublishVolumeRequest,
    ) -> Answer<csi::NodePublishVolumeResponse> {
        self.run(move |driver| driver.publish(&request)).await?;
        Ok(csi::NodePublishVolumeResponse {})
    }

    async fn node_unpublish_volume(
        &self,
        request: csi::NodeUnpublishVolumeRequest,
    ) -> Answer<csi::NodeUnpublishVolumeResponse> {
        self.run(move |driver| driver.unpublish(&request.volume_id, &request.target_path)).await?;
        Ok(csi::NodeUnpublishVolumeResponse {})
    }

    async fn node_get_volume_stats(
        &self,
        request: csi::NodeGetVolumeStatsRequest,
    ) -> Answer<csi::NodeGetVolumeStatsResponse> {
        self.run(move |driver| driver.stats(&request.volume_id, &request.volume_path)).await
    }

    async fn node_expand_volume(
        &self,
        request: csi::NodeExpandVolumeRequest,
    ) -> Answer<csi::NodeExpandVolumeResponse> {
        self.run(move |driver| driver.node_expand_volume(&request)).await
    }

    async fn node_get_volume_health(
        &self,
        request: csi::NodeGetVolumeHealthRequest,
    ) -> Answer<csi::NodeGetVolumeHealthResponse> {
        let health = self.run(move |driver| driver.node_volume_health(&request)).await?;
        Ok(csi::NodeGetVolumeHealthResponse { volume_health: Some(health) })
    }

    async fn node_get_storage_health(
        &self,
        _: csi::NodeGetStorageHealthRequest,
    ) -> Answer<csi::NodeGetStorageHealthResponse> {
        let backend_health = self.run(|driver| Ok(driver.storage_health())).await?;
        Ok(csi::NodeGetStorageHealthResponse { backend_health })
    }
}
