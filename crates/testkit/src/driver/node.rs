//! The Node service: nothing is mounted, but what was asked for is remembered and checked
//! (csi-proto sheet, section 9.5).

use std::collections::BTreeMap;

use csi_client::csi::node_server::Node;
use csi_client::csi::{self, node_service_capability};
use tonic::{Request, Response, Status, async_trait};

use super::backend::Backend;
use super::{DriverConfig, NodeCapability, ScriptedDriver, no_key};

type Reply<A> = Result<Response<A>, Status>;

#[async_trait]
impl Node for ScriptedDriver {
    async fn node_stage_volume(
        &self,
        request: Request<csi::NodeStageVolumeRequest>,
    ) -> Reply<csi::NodeStageVolumeResponse> {
        self.run(request, |request| request.volume_id.clone(), stage).await
    }

    async fn node_unstage_volume(
        &self,
        request: Request<csi::NodeUnstageVolumeRequest>,
    ) -> Reply<csi::NodeUnstageVolumeResponse> {
        self.run(
            request,
            |request| request.volume_id.clone(),
            |backend, _, request| {
                backend.staged.remove(&request.staging_target_path);
                Ok(csi::NodeUnstageVolumeResponse {})
            },
        )
        .await
    }

    async fn node_publish_volume(
        &self,
        request: Request<csi::NodePublishVolumeRequest>,
    ) -> Reply<csi::NodePublishVolumeResponse> {
        self.run(request, |request| request.volume_id.clone(), publish).await
    }

    async fn node_unpublish_volume(
        &self,
        request: Request<csi::NodeUnpublishVolumeRequest>,
    ) -> Reply<csi::NodeUnpublishVolumeResponse> {
        self.run(
            request,
            |request| request.volume_id.clone(),
            |backend, _, request| {
                backend.mounted.remove(&request.target_path);
                Ok(csi::NodeUnpublishVolumeResponse {})
            },
        )
        .await
    }

    async fn node_get_volume_stats(
        &self,
        request: Request<csi::NodeGetVolumeStatsRequest>,
    ) -> Reply<csi::NodeGetVolumeStatsResponse> {
        self.run(request, no_key, stats).await
    }

    async fn node_get_volume_health(
        &self,
        request: Request<csi::NodeGetVolumeHealthRequest>,
    ) -> Reply<csi::NodeGetVolumeHealthResponse> {
        self.run(request, no_key, |_, _, _| Ok(csi::NodeGetVolumeHealthResponse::default())).await
    }

    async fn node_get_storage_health(
        &self,
        request: Request<csi::NodeGetStorageHealthRequest>,
    ) -> Reply<csi::NodeGetStorageHealthResponse> {
        self.run(request, no_key, |_, _, _| Ok(csi::NodeGetStorageHealthResponse::default())).await
    }

    async fn node_expand_volume(
        &self,
        request: Request<csi::NodeExpandVolumeRequest>,
    ) -> Reply<csi::NodeExpandVolumeResponse> {
        self.run(
            request,
            |request| request.volume_id.clone(),
            |_, _, request| {
                let capacity_bytes = request.capacity_range.map_or(0, |range| range.required_bytes);
                Ok(csi::NodeExpandVolumeResponse { capacity_bytes })
            },
        )
        .await
    }

    async fn node_get_capabilities(
        &self,
        request: Request<csi::NodeGetCapabilitiesRequest>,
    ) -> Reply<csi::NodeGetCapabilitiesResponse> {
        self.run(request, no_key, |_, config, _| {
            let capabilities = config.node.iter().map(|kind| {
                let rpc = node_service_capability::Rpc { r#type: (*kind).into() };
                csi::NodeServiceCapability { r#type: Some(node_service_capability::Type::Rpc(rpc)) }
            });
            Ok(csi::NodeGetCapabilitiesResponse { capabilities: capabilities.collect() })
        })
        .await
    }

    async fn node_get_info(
        &self,
        request: Request<csi::NodeGetInfoRequest>,
    ) -> Reply<csi::NodeGetInfoResponse> {
        self.run(request, no_key, |_, config, _| {
            let topology = csi::Topology { segments: config.topology.clone() };
            Ok(csi::NodeGetInfoResponse {
                node_id: config.node_id.clone(),
                accessible_topology: (!config.topology.is_empty()).then_some(topology),
                ..Default::default()
            })
        })
        .await
    }
}

fn stage(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::NodeStageVolumeRequest,
) -> Result<csi::NodeStageVolumeResponse, Status> {
    if request.volume_id.is_empty() || request.staging_target_path.is_empty() {
        return Err(Status::invalid_argument("volume id or staging path is missing"));
    }
    let wanted = (request.volume_id.clone(), request.volume_capability.clone());
    match backend.staged.get(&request.staging_target_path) {
        Some(existing) if *existing != wanted => {
            Err(Status::already_exists("staged there with other arguments"))
        }
        _ => {
            backend.staged.insert(request.staging_target_path.clone(), wanted);
            Ok(csi::NodeStageVolumeResponse {})
        }
    }
}

fn publish(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::NodePublishVolumeRequest,
) -> Result<csi::NodePublishVolumeResponse, Status> {
    if request.volume_id.is_empty() || request.target_path.is_empty() {
        return Err(Status::invalid_argument("volume id or target path is missing"));
    }
    let staged = backend.staged.contains_key(&request.staging_target_path);
    if config.node.contains(&NodeCapability::StageUnstageVolume) && !staged {
        return Err(Status::failed_precondition("the volume is not staged there"));
    }
    let wanted = csi::NodePublishVolumeRequest { secrets: BTreeMap::default(), ..request.clone() };
    match backend.mounted.get(&request.target_path) {
        Some(existing) if *existing != wanted => {
            Err(Status::already_exists("published there with other arguments"))
        }
        _ => {
            backend.mounted.insert(request.target_path.clone(), wanted);
            Ok(csi::NodePublishVolumeResponse {})
        }
    }
}

fn stats(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::NodeGetVolumeStatsRequest,
) -> Result<csi::NodeGetVolumeStatsResponse, Status> {
    let mounted = backend.mounted.get(&request.volume_path);
    if mounted.is_none_or(|mounted| mounted.volume_id != request.volume_id) {
        return Err(Status::not_found("the volume is not at that path"));
    }
    let total = backend.volumes.get(&request.volume_id).map_or(0, |volume| volume.capacity);
    let unit = csi::volume_usage::Unit::Bytes.into();
    let usage = vec![csi::VolumeUsage { available: total, total, used: 0, unit }];
    Ok(csi::NodeGetVolumeStatsResponse { usage, ..Default::default() })
}
