//! Checks of the Node requests.

use csi_client::csi::{
    NodeExpandVolumeRequest, NodeGetStorageHealthRequest, NodeGetVolumeHealthRequest,
    NodeGetVolumeStatsRequest, NodePublishVolumeRequest, NodeStageVolumeRequest, NodeUnpublishVolumeRequest,
    NodeUnstageVolumeRequest,
};

use super::{Checked, Limits, Validate, at_most, capacity_range, invalid, required};

const VOLUME_ID_MISSING: &str = "Volume ID missing in request";
const VOLUME_ID_NOT_PROVIDED: &str = "Volume ID not provided";
const PATH_MISSING: &str = "Target path missing in request";

impl Validate for NodeStageVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        required(&self.staging_target_path, PATH_MISSING)?;
        let Some(capability) = &self.volume_capability else {
            return invalid("Volume Capability missing in request");
        };
        limits.capability(capability)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.path(&self.staging_target_path, "staging_target_path")?;
        limits.map(&self.publish_context, "publish_context")?;
        limits.map(&self.volume_context, "volume_context")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for NodeUnstageVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        required(&self.staging_target_path, PATH_MISSING)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.path(&self.staging_target_path, "staging_target_path")
    }
}

impl Validate for NodePublishVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        let Some(capability) = &self.volume_capability else {
            return invalid("Volume capability missing in request");
        };
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        required(&self.target_path, PATH_MISSING)?;
        limits.capability(capability)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.path(&self.target_path, "target_path")?;
        if !self.staging_target_path.is_empty() {
            limits.path(&self.staging_target_path, "staging_target_path")?;
        }
        limits.map(&self.publish_context, "publish_context")?;
        limits.map(&self.volume_context, "volume_context")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for NodeUnpublishVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_MISSING)?;
        required(&self.target_path, PATH_MISSING)?;
        limits.id(&self.volume_id, "volume_id")?;
        limits.path(&self.target_path, "target_path")
    }
}

// Paths of the next three are only compared with known ones, so a relative one is not found rather than invalid;
// csi-sanity asks for exactly that.

impl Validate for NodeGetVolumeStatsRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_NOT_PROVIDED)?;
        required(&self.volume_path, "Volume Path not provided")?;
        limits.id(&self.volume_id, "volume_id")?;
        at_most(&self.volume_path, limits.path, "volume_path")?;
        at_most(&self.staging_target_path, limits.path, "staging_target_path")
    }
}

impl Validate for NodeExpandVolumeRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_NOT_PROVIDED)?;
        required(&self.volume_path, "Volume path not provided")?;
        capacity_range(self.capacity_range.as_ref())?;
        limits.id(&self.volume_id, "volume_id")?;
        at_most(&self.volume_path, limits.path, "volume_path")?;
        at_most(&self.staging_target_path, limits.path, "staging_target_path")?;
        limits.secrets(&self.secrets)
    }
}

impl Validate for NodeGetVolumeHealthRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        required(&self.volume_id, VOLUME_ID_NOT_PROVIDED)?;
        limits.id(&self.volume_id, "volume_id")?;
        at_most(&self.volume_publish_path, limits.path, "volume_publish_path")?;
        at_most(&self.staging_target_path, limits.path, "staging_target_path")
    }
}

impl Validate for NodeGetStorageHealthRequest {
    fn validate(&self, limits: &Limits) -> Checked {
        limits.secrets(&self.secrets)
    }
}
