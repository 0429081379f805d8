//! The Controller service. Its calls are short bridges to the methods of [`Hostpath`], which are in `controller/`.

mod attach;
mod create;
mod delete;
mod expand;
mod query;

use csi_client::csi;
use csi_client::csi::controller_service_capability::rpc::Type as Capability;
use csi_driver_kit::driver::{Answer, Controller};
use tonic::Status;

use crate::plugin::Plugin;

impl Controller for Plugin {
    fn controller_capabilities(&self) -> Vec<Capability> {
        let config = self.driver.config();
        if config.ephemeral {
            return Vec::new();
        }
        let mut capabilities = vec![
            Capability::CreateDeleteVolume,
            Capability::GetVolume,
            Capability::GetCapacity,
            Capability::CreateDeleteSnapshot,
            Capability::ListSnapshots,
            Capability::GetSnapshot,
            Capability::ListVolumes,
            Capability::CloneVolume,
            Capability::VolumeCondition,
            Capability::SingleNodeMultiWriter,
        ];
        // Upstream lists it whatever the flag says, and twice by default.
        capabilities
            .retain(|capability| config.enable_list_snapshots || *capability != Capability::ListSnapshots);
        let optional = [
            (config.enable_expansion && !config.disable_controller_expansion, Capability::ExpandVolume),
            (config.enable_attach, Capability::PublishUnpublishVolume),
            (config.enable_modify, Capability::ModifyVolume),
            (config.list_published_nodes, Capability::ListVolumesPublishedNodes),
            (config.enable_volume_health, Capability::GetVolumeHealth),
            (config.enable_volume_health, Capability::ListVolumeHealth),
        ];
        capabilities.extend(optional.iter().filter(|(on, _)| *on).map(|(_, capability)| *capability));
        capabilities
    }

    /// What is switched off answers INVALID_ARGUMENT, or UNIMPLEMENTED for attachment and expansion; what only reads
    /// is always open, and so is expansion that is only hidden (sheet, 5.1 and 5.9).
    fn admit_controller(&self, method: &str, needed: Capability) -> Answer<()> {
        use Capability::{
            CreateDeleteSnapshot, CreateDeleteVolume, ExpandVolume, GetCapacity, GetSnapshot, GetVolume,
            ListSnapshots, ListVolumes, ModifyVolume, PublishUnpublishVolume,
        };
        let config = self.driver.config();
        match needed {
            GetVolume | GetCapacity | ListVolumes => Ok(()),
            ExpandVolume if config.enable_expansion => Ok(()),
            PublishUnpublishVolume if config.enable_attach => Ok(()),
            _ if self.controller_capabilities().contains(&needed) => Ok(()),
            CreateDeleteVolume | ModifyVolume | CreateDeleteSnapshot | ListSnapshots | GetSnapshot => {
                Err(Status::invalid_argument(format!("unsupported capability {}", needed.as_str_name())))
            }
            _ => Err(Status::unimplemented(format!("{method} is not supported"))),
        }
    }

    async fn create_volume(&self, request: csi::CreateVolumeRequest) -> Answer<csi::CreateVolumeResponse> {
        self.run(|driver| driver.create_volume(request)).await
    }

    async fn delete_volume(&self, request: csi::DeleteVolumeRequest) -> Answer<csi::DeleteVolumeResponse> {
        self.run(move |driver| driver.delete_volume(&request.volume_id)).await?;
        Ok(csi::DeleteVolumeResponse {})
    }

    async fn validate_volume_capabilities(
        &self,
        request: csi::ValidateVolumeCapabilitiesRequest,
    ) -> Answer<csi::ValidateVolumeCapabilitiesResponse> {
        self.run(|driver| driver.validate_volume_capabilities(request)).await
    }

    async fn list_volumes(&self, request: csi::ListVolumesRequest) -> Answer<csi::ListVolumesResponse> {
        self.run(move |driver| driver.list_volumes(&request)).await
    }

    async fn controller_get_volume(
        &self,
        request: csi::ControllerGetVolumeRequest,
    ) -> Answer<csi::ControllerGetVolumeResponse> {
        self.run(move |driver| driver.controller_get_volume(&request.volume_id)).await
    }

    async fn get_capacity(&self, request: csi::GetCapacityRequest) -> Answer<csi::GetCapacityResponse> {
        self.run(move |driver| Ok(driver.get_capacity(&request))).await
    }

    async fn controller_modify_volume(
        &self,
        request: csi::ControllerModifyVolumeRequest,
    ) -> Answer<csi::ControllerModifyVolumeResponse> {
        self.run(move |driver| driver.controller_modify_volume(&request)).await
    }

    async fn controller_publish_volume(
        &self,
        request: csi::ControllerPublishVolumeRequest,
    ) -> Answer<csi::ControllerPublishVolumeResponse> {
        self.run(move |driver| driver.attach(&request)).await?;
        Ok(csi::ControllerPublishVolumeResponse::default())
    }

    async fn controller_unpublish_volume(
        &self,
        request: csi::ControllerUnpublishVolumeRequest,
    ) -> Answer<csi::ControllerUnpublishVolumeResponse> {
        self.run(move |driver| driver.detach(&request.volume_id, &request.node_id)).await?;
        Ok(csi::ControllerUnpublishVolumeResponse {})
    }

    async fn controller_expand_volume(
        &self,
        request: csi::ControllerExpandVolumeRequest,
    ) -> Answer<csi::ControllerExpandVolumeResponse> {
        self.run(move |driver| driver.controller_expand_volume(&request)).await
    }

    async fn create_snapshot(
        &self,
        request: csi::CreateSnapshotRequest,
    ) -> Answer<csi::CreateSnapshotResponse> {
        let snapshot = self.run(move |driver| driver.create_snapshot(&request)).await?;
        Ok(csi::CreateSnapshotResponse { snapshot: Some(snapshot) })
    }

    async fn delete_snapshot(
        &self,
        request: csi::DeleteSnapshotRequest,
    ) -> Answer<csi::DeleteSnapshotResponse> {
        self.run(move |driver| driver.delete_snapshot(&request.snapshot_id)).await?;
        Ok(csi::DeleteSnapshotResponse {})
    }

    async fn list_snapshots(&self, request: csi::ListSnapshotsRequest) -> Answer<csi::ListSnapshotsResponse> {
        self.run(move |driver| driver.list_snapshots(&request)).await
    }

    async fn get_snapshot(&self, request: csi::GetSnapshotRequest) -> Answer<csi::GetSnapshotResponse> {
        self.run(move |driver| driver.get_snapshot(&request.snapshot_id)).await
    }

    async fn controller_list_volume_health(
        &self,
        request: csi::ControllerListVolumeHealthRequest,
    ) -> Answer<csi::ControllerListVolumeHealthResponse> {
        self.run(move |driver| driver.list_volume_health(&request)).await
    }

    async fn controller_get_volume_health(
        &self,
        request: csi::ControllerGetVolumeHealthRequest,
    ) -> Answer<csi::ControllerGetVolumeHealthResponse> {
        let health = self.run(move |driver| driver.volume_health(&request.volume_id)).await?;
        Ok(csi::ControllerGetVolumeHealthResponse { volume_health: Some(health) })
    }
}
