//! Checks of the Controller requests, in the order of the messages in csi.proto.

use csi_client::csi::{
    ControllerExpandVolumeRequest, ControllerGetVolumeHealthRequest, ControllerGetVolumeRequest,
    ControllerListVolumeHealthRequest, ControllerModifyVolumeRequest, ControllerPublishVolumeRequest,
    ControllerUnpublishVolumeRequest, CreateSnapshotRequest, CreateVolumeRequest, DeleteSnapshotRequest,
    DeleteVolumeRequest, GetCapacityRequest, GetSnapshotRequest, ListSnapshotsRequest, ListVolumesRequest,
    ValidateVolumeCapabilitiesRequest, VolumeContentSource, volume_content_source,
};

use super::{Checked, Invalid, Limits, Validate, at_most, capacity_range, invalid, not_negative, required};

const VOLUME_ID_EMPTY: &str = "Volume ID cannot be empty";
const VOLUME_ID_MISSING: &str = "Volume ID missing in request";
const CAPABILITIES_EMPTY: &str = "Volume Capabilities cannot be empty";
const NEGATIVE_ENTRIES: &str = "max_entries cannot be negative";

impl Validate for CreateVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.name, "Name missing in request")?;
        if self.volume_capabilities.is_empty() {
            return invalid("Volume Capabilities missing in request");
        }
        limits.capabilities(&self.volume_capabilities)?;
        capacity_range(self.capacity_range.as_ref())?;
        limits.name(&self.name)?;
        limits.map(&self.parameters, "parameters")?;
        limits.map(&self.mutable_parameters, "mutable_parameters")?;
        limits.secrets(&self.secrets)?;
        self.volume_content_source.as_ref().map_or(Ok(()), |source| content_source(source, limits))
    }
}

fn content_source(source: &VolumeContentSource, limits: &Limits) -> Result<(), Invalid> {
    use volume_content_source::Type;
    match &source.r#type {
        None => invalid("volume content source has neither a snapshot nor a volume"),
        Some(Type::Snapshot(snapshot)) => {
            required(&snapshot.snapshot_id, "Snapshot ID missing in volume content source")?;
            limits.id(&snapshot.snapshot_id, "snapshot_id")
        }
        Some(Type::Volume(volume)) => {
            required(&volume.volume_id, "Volume ID missing in volume content source")?;
            limits.id(&volume.volume_id, "volume_id")
        }
    }
}

impl Validate for DeleteVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ControllerPublishVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        required(&self.node_id, "Node ID cannot be empty")?;
        let Some(capability) = &self.volume_capability else { return invalid(CAPABILITIES_EMPTY) };
        limits.capability(capability)?;
        limits.id(&self.volume_id, "volume_id")?;
        at_most(&self.node_id, limits.node_id, "node_id")?;
        limits.map(&self.volume_context, "volume_context")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ControllerUnpublishVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        limits.id(&self.volume_id, "volume_id")?;
        at_most(&self.node_id, limits.node_id, "node_id")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ValidateVolumeCapabilitiesRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        if self.volume_capabilities.is_empty() {
            return invalid(CAPABILITIES_EMPTY);
        }
        // Not checked together: whether one volume can have all of them is the question asked.
        self.volume_capabilities.iter().try_for_each(|capability| limits.capability(capability))?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.map(&self.volume_context, "volume_context")?;
        limits.map(&self.parameters, "parameters")?;
        limits.map(&self.mutable_parameters, "mutable_parameters")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ListVolumesRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        not_negative(self.max_entries.into(), NEGATIVE_ENTRIES)?;
        at_most(&self.starting_token, limits.text, "starting_token")
    }
}

impl Validate for ControllerListVolumeHealthRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        not_negative(self.max_entries.into(), NEGATIVE_ENTRIES)?;
        at_most(&self.starting_token, limits.text, "starting_token")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ControllerGetVolumeHealthRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ControllerGetVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        limits.id(&self.volume_id, "volume_id")
    }
}

impl Validate for ControllerModifyVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_EMPTY)?;
        if self.mutable_parameters.is_empty() {
            return invalid("Mutable parameters cannot be empty");
        }
        limits.id(&self.volume_id, "volume_id")?;
        limits.map(&self.mutable_parameters, "mutable_parameters")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for GetCapacityRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        self.volume_capabilities.iter().try_for_each(|capability| limits.capability(capability))?;
        limits.map(&self.parameters, "parameters")
    }
}

impl Validate for ControllerExpandVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        if self.capacity_range.is_none() {
            return invalid("Capacity range not provided");
        }
        capacity_range(self.capacity_range.as_ref())?;
        limits.id(&self.volume_id, "volume_id")?;
        self.volume_capability.as_ref().map_or(Ok(()), |capability| limits.capability(capability))?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for CreateSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.name, "Name missing in request")?;
        required(&self.source_volume_id, "SourceVolumeId missing in request")?;
        limits.name(&self.name)?;
        limits.id(&self.source_volume_id, "source_volume_id")?;
        limits.map(&self.parameters, "parameters")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for DeleteSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.snapshot_id, "Snapshot ID missing in request")?;
        limits.id(&self.snapshot_id, "snapshot_id")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for ListSnapshotsRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        not_negative(self.max_entries.into(), NEGATIVE_ENTRIES)?;
        at_most(&self.starting_token, limits.text, "starting_token")?;
        limits.id(&self.source_volume_id, "source_volume_id")?;
        limits.id(&self.snapshot_id, "snapshot_id")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for GetSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.snapshot_id, "Snapshot ID missing in request")?;
        limits.id(&self.snapshot_id, "snapshot_id")?;
        limits.secrets(&self.secrets)
    }
}
