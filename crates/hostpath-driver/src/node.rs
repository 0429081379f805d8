//! The Node service. Its calls are short bridges to the methods of [`Hostpath`], which are in `node/`.

mod publish;
pub(crate) mod shown;
mod stage;
mod stats;
pub(crate) mod target;

use std::collections::BTreeMap;

use csi_client::csi;
use csi_client::csi::node_service_capability::rpc::Type as Capability;
use csi_driver_kit::driver::{Answer, Node};

use crate::hostpath::Hostpath;
use crate::plugin::Plugin;

/// The only topology key of this driver.
const TOPOLOGY_KEY: &str = "topology.hostpath.csi/node";

impl Hostpath {
    /// Where volumes can be used: on this node.
    pub(crate) fn topology(&self) -> Option<csi::Topology> {
        let segments = BTreeMap::from([(TOPOLOGY_KEY.to_owned(), self.config.node_id.clone())]);
        self.config.enable_topology.then_some(csi::Topology { segments })
    }
}

impl Node for Plugin {
    /// Expansion gets its place here when the driver has it.
    fn node_capabilities(&self) -> Vec<Capability> {
        vec![
            Capability::StageUnstageVolume,
            Capability::VolumeCondition,
            Capability::GetVolumeStats,
            Capability::SingleNodeMultiWriter,
        ]
    }

    async fn node_info(&self) -> Answer<csi::NodeGetInfoResponse> {
        let config = self.driver.config();
        let limit = if config.attach_limit > 0 { config.attach_limit } else { config.max_volumes_per_node };
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
}
