//! The Controller service: each call names the object that it has for itself and the effect on the backend.

use csi_client::csi::controller_server::Controller;
use csi_client::csi::{self, controller_service_capability};
use tonic::{Request, Response, Status, async_trait};

use super::{ScriptedDriver, no_key, snapshots, volumes};

type Reply<A> = Result<Response<A>, Status>;

#[async_trait]
impl Controller for ScriptedDriver {
    async fn create_volume(
        &self,
        request: Request<csi::CreateVolumeRequest>,
    ) -> Reply<csi::CreateVolumeResponse> {
        self.run(request, |request| request.name.clone(), volumes::create).await
    }

    async fn delete_volume(
        &self,
        request: Request<csi::DeleteVolumeRequest>,
    ) -> Reply<csi::DeleteVolumeResponse> {
        self.run(request, |request| request.volume_id.clone(), volumes::delete).await
    }

    async fn controller_publish_volume(
        &self,
        request: Request<csi::ControllerPublishVolumeRequest>,
    ) -> Reply<csi::ControllerPublishVolumeResponse> {
        let key = |request: &csi::ControllerPublishVolumeRequest| {
            format!("{} {}", request.volume_id, request.node_id)
        };
        self.run(request, key, volumes::publish).await
    }

    async fn controller_unpublish_volume(
        &self,
        request: Request<csi::ControllerUnpublishVolumeRequest>,
    ) -> Reply<csi::ControllerUnpublishVolumeResponse> {
        let key = |request: &csi::ControllerUnpublishVolumeRequest| {
            format!("{} {}", request.volume_id, request.node_id)
        };
        self.run(request, key, volumes::unpublish).await
    }

    async fn validate_volume_capabilities(
        &self,
        request: Request<csi::ValidateVolumeCapabilitiesRequest>,
    ) -> Reply<csi::ValidateVolumeCapabilitiesResponse> {
        self.run(request, no_key, volumes::validate).await
    }

    async fn list_volumes(
        &self,
        request: Request<csi::ListVolumesRequest>,
    ) -> Reply<csi::ListVolumesResponse> {
        self.run(request, no_key, volumes::list).await
    }

    async fn controller_list_volume_health(
        &self,
        request: Request<csi::ControllerListVolumeHealthRequest>,
    ) -> Reply<csi::ControllerListVolumeHealthResponse> {
        self.run(request, no_key, |_, _, _| Ok(csi::ControllerListVolumeHealthResponse::default())).await
    }

    async fn controller_get_volume_health(
        &self,
        request: Request<csi::ControllerGetVolumeHealthRequest>,
    ) -> Reply<csi::ControllerGetVolumeHealthResponse> {
        self.run(request, no_key, |backend, _, request| {
            volumes::find(backend, &request.volume_id)?;
            Ok(csi::ControllerGetVolumeHealthResponse::default())
        })
        .await
    }

    async fn get_capacity(
        &self,
        request: Request<csi::GetCapacityRequest>,
    ) -> Reply<csi::GetCapacityResponse> {
        self.run(request, no_key, |backend, config, _| {
            Ok(csi::GetCapacityResponse {
                available_capacity: config.capacity - backend.used(),
                ..Default::default()
            })
        })
        .await
    }

    async fn controller_get_capabilities(
        &self,
        request: Request<csi::ControllerGetCapabilitiesRequest>,
    ) -> Reply<csi::ControllerGetCapabilitiesResponse> {
        self.run(request, no_key, |_, config, _| {
            let capabilities = config.controller.iter().map(|kind| {
                let rpc = controller_service_capability::Rpc { r#type: (*kind).into() };
                let kind = controller_service_capability::Type::Rpc(rpc);
                csi::ControllerServiceCapability { r#type: Some(kind) }
            });
            Ok(csi::ControllerGetCapabilitiesResponse { capabilities: capabilities.collect() })
        })
        .await
    }

    async fn create_snapshot(
        &self,
        request: Request<csi::CreateSnapshotRequest>,
    ) -> Reply<csi::CreateSnapshotResponse> {
        self.run(request, |request| request.name.clone(), snapshots::create).await
    }

    async fn delete_snapshot(
        &self,
        request: Request<csi::DeleteSnapshotRequest>,
    ) -> Reply<csi::DeleteSnapshotResponse> {
        self.run(request, |request| request.snapshot_id.clone(), snapshots::delete).await
    }

    async fn list_snapshots(
        &self,
        request: Request<csi::ListSnapshotsRequest>,
    ) -> Reply<csi::ListSnapshotsResponse> {
        self.run(request, no_key, snapshots::list).await
    }

    async fn get_snapshot(
        &self,
        request: Request<csi::GetSnapshotRequest>,
    ) -> Reply<csi::GetSnapshotResponse> {
        self.run(request, no_key, snapshots::get).await
    }

    async fn controller_expand_volume(
        &self,
        request: Request<csi::ControllerExpandVolumeRequest>,
    ) -> Reply<csi::ControllerExpandVolumeResponse> {
        self.run(request, |request| request.volume_id.clone(), volumes::expand).await
    }

    async fn controller_get_volume(
        &self,
        request: Request<csi::ControllerGetVolumeRequest>,
    ) -> Reply<csi::ControllerGetVolumeResponse> {
        self.run(request, no_key, volumes::get).await
    }

    async fn controller_modify_volume(
        &self,
        request: Request<csi::ControllerModifyVolumeRequest>,
    ) -> Reply<csi::ControllerModifyVolumeResponse> {
        self.run(request, |request| request.volume_id.clone(), volumes::modify).await
    }
}
