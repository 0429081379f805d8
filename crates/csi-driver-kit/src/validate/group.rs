//! Checks of the GroupController requests.

use csi_client::csi::{
    CreateVolumeGroupSnapshotRequest, DeleteVolumeGroupSnapshotRequest, GetVolumeGroupSnapshotRequest,
};

use super::{Checked, Limits, Validate, invalid, required};

const GROUP_ID_MISSING: &str = "GroupSnapshot ID missing in request";

impl Validate for CreateVolumeGroupSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.name, "Name missing in request")?;
        if self.source_volume_ids.is_empty() {
            return invalid("SourceVolumeIds missing in request");
        }
        limits.name(&self.name)?;
        self.source_volume_ids.iter().try_for_each(|id| {
            required(id, "an entry of SourceVolumeIds is empty")?;
            limits.id(id, "source_volume_ids")
        })?;
        limits.map(&self.parameters, "parameters")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for DeleteVolumeGroupSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.group_snapshot_id, GROUP_ID_MISSING)?;
        limits.id(&self.group_snapshot_id, "group_snapshot_id")?;
        self.snapshot_ids.iter().try_for_each(|id| limits.id(id, "snapshot_ids"))?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for GetVolumeGroupSnapshotRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.group_snapshot_id, GROUP_ID_MISSING)?;
        limits.id(&self.group_snapshot_id, "group_snapshot_id")?;
        self.snapshot_ids.iter().try_for_each(|id| limits.id(id, "snapshot_ids"))?;
        limits.secrets(&self.secrets)
    }
}
