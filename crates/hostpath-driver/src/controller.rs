//! The Controller service. Its calls are short bridges to the methods of [`Hostpath`], which are in `controller/`.

mod create;
mod delete;
mod query;

use csi_client::csi;
use csi_client::csi::controller_service_capability::rpc::Type as Capability;
use csi_driver_kit::driver::{Answer, Controller};
use tonic::Status;

use crate::plugin::Plugin;

impl Controller for Plugin {
    /// Snapshots, clones, expansion and attachment get their place here when the driver has them.
    fn controller_capabilities(&self) -> Vec<Capability> {
        let config = self.driver.config();
        if config.ephemeral {
            return Vec::new();
        }
        let mut capabilities = vec![
            Capability::CreateDeleteVolume,
            Capability::GetVolume,
            Capability::GetCapacity,
            Capability::ListVolumes,
            Capability::VolumeCondition,
            Capability::SingleNodeMultiWriter,
        ];
        if config.enable_modify {
            capabilities.push(Capability::ModifyVolume);
        }
        capabilities
    }

    /// What is switched off answers INVALID_ARGUMENT and what only reads is always open (sheet, 5.1); what the
    /// driver does not have at all answers UNIMPLEMENTED.
    fn admit_controller(&self, needed: Capability) -> Answer<()> {
        use Capability::{CreateDeleteVolume, GetCapacity, GetVolume, ListVolumes, ModifyVolume};
        let advertised = self.controller_capabilities().contains(&needed);
        match needed {
            GetVolume | GetCapacity | ListVolumes => Ok(()),
            CreateDeleteVolume | ModifyVolume if !advertised => {
                Err(Status::invalid_argument(format!("unsupported capability {}", needed.as_str_name())))
            }
            _ if advertised => Ok(()),
            _ => Err(Status::unimplemented(format!("{} is not supported", needed.as_str_name()))),
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
}
