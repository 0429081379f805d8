//! The calls that only read: validate, list, get, capacity; and modify, which has nothing to change.

use std::collections::BTreeMap;

use csi_client::csi;
use csi_client::csi::volume_capability::AccessType as Access;
use csi_driver_kit::space::Space;

use crate::error::Error;
use crate::health;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::{AccessType, Volume};

impl Hostpath {
    /// Confirms capabilities that the volume has.
    pub fn validate_volume_capabilities(
        &self,
        request: csi::ValidateVolumeCapabilitiesRequest,
    ) -> Result<csi::ValidateVolumeCapabilitiesResponse, Error> {
        let volume = self.volume(&request.volume_id)?;
        let fits = |capability: &csi::VolumeCapability| match capability.access_type {
            Some(Access::Block(_)) => volume.access_type == AccessType::Block,
            _ => volume.access_type == AccessType::Mount,
        };
        if !request.volume_capabilities.iter().all(fits) {
            let message = match volume.access_type {
                AccessType::Mount => "the volume is a file system, not a block device",
                AccessType::Block => "the volume is a block device, not a file system",
            };
            return Ok(csi::ValidateVolumeCapabilitiesResponse { confirmed: None, message: message.into() });
        }
        let confirmed = csi::validate_volume_capabilities_response::Confirmed {
            volume_context: request.volume_context,
            volume_capabilities: request.volume_capabilities,
            parameters: request.parameters,
            mutable_parameters: request.mutable_parameters,
        };
        Ok(csi::ValidateVolumeCapabilitiesResponse { confirmed: Some(confirmed), message: String::new() })
    }

    /// The volumes by handle, page by page.
    pub fn list_volumes(&self, request: &csi::ListVolumesRequest) -> Result<csi::ListVolumesResponse, Error> {
        let state = self.store.get();
        let page = policy::page(state.volumes().len(), &request.starting_token, request.max_entries)?;
        let space = self.data.space()?;
        let entries = state.volumes().skip(page.start).take(page.count).map(|volume| {
            csi::list_volumes_response::Entry {
                volume: Some(self.listed(volume)),
                status: Some(csi::list_volumes_response::VolumeStatus {
                    published_node_ids: self.published_nodes(volume),
                    volume_condition: Some(health::condition(health::of_data(&self.data, volume, &space))),
                }),
            }
        });
        Ok(csi::ListVolumesResponse { entries: entries.collect(), next_token: page.next })
    }

    /// One volume and its condition. Upstream answers an abnormal condition for an unknown volume; the
    /// specification's maintainers want NOT_FOUND (spec issue 495).
    pub fn controller_get_volume(&self, id: &str) -> Result<csi::ControllerGetVolumeResponse, Error> {
        let volume = self.volume(id)?;
        let space: Space = self.data.space()?;
        let status = csi::controller_get_volume_response::VolumeStatus {
            published_node_ids: self.published_nodes(&volume),
            volume_condition: Some(health::condition(health::of_data(&self.data, &volume, &space))),
        };
        Ok(csi::ControllerGetVolumeResponse { volume: Some(self.listed(&volume)), status: Some(status) })
    }

    /// With attachment, where the volume is attached; else where it is published.
    fn published_nodes(&self, volume: &Volume) -> Vec<String> {
        let (there, node) = if self.config.enable_attach {
            (volume.attached, &self.config.node_id)
        } else {
            (!volume.published.is_empty(), &volume.node_id)
        };
        if there { vec![node.clone()] } else { Vec::new() }
    }

    fn listed(&self, volume: &Volume) -> csi::Volume {
        csi::Volume { accessible_topology: Vec::new(), ..self.describe(volume, BTreeMap::new()) }
    }

    /// Room in the capacity pool that the parameters name.
    pub fn get_capacity(&self, request: &csi::GetCapacityRequest) -> csi::GetCapacityResponse {
        let kind = request.parameters.get(policy::KIND).map_or("", String::as_str);
        let available = policy::available(&self.store.get(), &self.config, kind);
        csi::GetCapacityResponse {
            available_capacity: available,
            maximum_volume_size: Some(available.min(self.config.max_volume_size)),
            minimum_volume_size: Some(0),
        }
    }

    /// Accepts mutable parameters; they have no effect on a directory or image.
    pub fn controller_modify_volume(
        &self,
        request: &csi::ControllerModifyVolumeRequest,
    ) -> Result<csi::ControllerModifyVolumeResponse, Error> {
        policy::check_mutable_parameters(&request.mutable_parameters, &self.config)?;
        self.volume(&request.volume_id)?;
        Ok(csi::ControllerModifyVolumeResponse {})
    }
}
