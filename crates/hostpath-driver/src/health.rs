//! The condition of a volume, as CSI up to 1.12 reports it. The texts are upstream's; the findings are not: upstream
//! looks for mounts in the output of a program and finds none in its own deployment (sheet, 5.10).

use csi_client::csi::VolumeCondition;
use csi_driver_kit::durable::exists;
use csi_driver_kit::space::Space;

use crate::data::Data;
use crate::state::{AccessType, Volume};

fn abnormal(message: impl Into<String>) -> VolumeCondition {
    VolumeCondition { abnormal: true, message: message.into() }
}

/// Seen from the controller: whether the data is there and fits its filesystem.
pub(crate) fn of_data(data: &Data, volume: &Volume, space: &Space) -> VolumeCondition {
    match exists(&data.path(&volume.id)) {
        Err(error) => return abnormal(error.to_string()),
        Ok(false) => return abnormal("The source path of the volume doesn't exist"),
        Ok(true) => {}
    }
    // An image has all its blocks already, so the room that is left says nothing about it.
    if volume.access_type == AccessType::Block {
        return VolumeCondition::default();
    }
    if u64::try_from(volume.size).is_ok_and(|size| size > space.total_bytes) {
        return abnormal("The capacity of volume is greater than actual storage");
    }
    if space.available_bytes == 0 {
        return abnormal("The free space of the volume is insufficient");
    }
    VolumeCondition::default()
}

/// Seen from the node: whether the volume is shown where it should be.
pub(crate) fn of_mount(mounted: bool) -> VolumeCondition {
    if mounted { VolumeCondition::default() } else { abnormal("The volume isn't mounted") }
}
