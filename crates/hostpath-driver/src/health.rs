//! The condition of a volume: as CSI up to 1.12 reports it, and as the health calls of 1.13 do. The texts are upstream's;
//! the findings are not: upstream looks for mounts in the output of a program and finds none in its own deployment
//! (sheet, 5.10).

mod calls;

use csi_client::csi::volume_health::VolumeHealthEntry;
use csi_client::csi::{VolumeCondition, VolumeHealthErrorType as Status};
use csi_driver_kit::durable::exists;
use csi_driver_kit::space::Space;

use crate::data::Data;
use crate::state::Volume;

/// What is wrong with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: Status,
    /// One word.
    reason: &'static str,
    message: String,
}

impl Problem {
    fn new(status: Status, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }
}

/// In the form of CSI up to 1.12.
pub(crate) fn condition(problem: Option<Problem>) -> VolumeCondition {
    problem.map_or_else(VolumeCondition::default, |problem| VolumeCondition {
        abnormal: true,
        message: problem.message,
    })
}

/// In the form of CSI 1.13.
pub(crate) fn entries(problem: Option<Problem>) -> Vec<VolumeHealthEntry> {
    let entry = |problem: Problem| VolumeHealthEntry {
        status: problem.status.into(),
        reason: problem.reason.to_owned(),
        message: problem.message,
    };
    problem.into_iter().map(entry).collect()
}

/// Seen from the controller: whether the data is there and fits its filesystem.
pub(crate) fn of_data(data: &Data, volume: &Volume, space: &Space) -> Option<Problem> {
    match exists(&data.path(&volume.id)) {
        Err(error) => return Some(Problem::new(Status::Inaccessible, "Unreadable", error.to_string())),
        Ok(false) => {
            let text = "The source path of the volume doesn't exist";
            return Some(Problem::new(Status::DataLoss, "DataMissing", text));
        }
        Ok(true) => {}
    }
    // An image has all its blocks already, so the room that is left says nothing about it.
    if volume.has_image() {
        return None;
    }
    if u64::try_from(volume.size).is_ok_and(|size| size > space.total_bytes) {
        let text = "The capacity of volume is greater than actual storage";
        return Some(Problem::new(Status::Degraded, "TooLarge", text));
    }
    (space.available_bytes == 0).then(|| {
        let text = "The free space of the volume is insufficient";
        Problem::new(Status::Degraded, "DiskFull", text)
    })
}

/// Seen from the node: whether the volume is shown where it should be.
pub(crate) fn of_mount(mounted: bool) -> Option<Problem> {
    (!mounted).then(|| Problem::new(Status::Inaccessible, "NotMounted", "The volume isn't mounted"))
}
