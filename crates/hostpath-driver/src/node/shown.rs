//! What is shown at a path right now. The record says what should be there; the kernel says what is.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use csi_driver_kit::loop_device::{self, LoopDevice};
use csi_driver_kit::mounts::MountTable;
use csi_driver_kit::os_error::OsError;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::state::{AccessType, Volume};

/// What the kernel has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing is mounted there.
    Nothing,
    /// The volume.
    Ours {
        /// Whether it refuses writes.
        read_only: bool,
    },
    /// Something else.
    Foreign,
}

/// Compares what is mounted at `target` with the volume: a directory by its identity, an image by the backing file
/// of the loop device. Names would not do; they differ between containers.
pub(crate) fn at(
    driver: &Hostpath,
    volume: &Volume,
    target: &str,
    mounts: &MountTable,
) -> Result<Shown, Error> {
    let target = Path::new(target);
    let Some(mount) = mounts.at(target) else { return Ok(Shown::Nothing) };
    let data = driver.data.path(&volume.id);
    match volume.access_type {
        AccessType::Block => Ok(match loop_device::at(target, &data)? {
            Some(device) => Shown::Ours { read_only: device.read_only },
            None => Shown::Foreign,
        }),
        AccessType::Mount if volume.filesystem().is_some() => {
            let same = loop_device::find(&data)?.iter().any(|device| device.is(mount.device));
            Ok(if same { Shown::Ours { read_only: mount.read_only() } } else { Shown::Foreign })
        }
        AccessType::Mount => {
            let same = identity(target)?.is_some_and(|shown| identity(&data).ok().flatten() == Some(shown));
            Ok(if same { Shown::Ours { read_only: mount.read_only() } } else { Shown::Foreign })
        }
    }
}

fn identity(path: &Path) -> Result<Option<(u64, u64)>, OsError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OsError::io("stat", path, &error)),
    }
}

/// The loop devices through which an image is mounted, or shown at its recorded paths.
pub(crate) fn loops_in_use(
    driver: &Hostpath,
    volume: &Volume,
    mounts: &MountTable,
) -> Result<Vec<LoopDevice>, Error> {
    let image = driver.data.path(&volume.id);
    // The filesystem in an image can be mounted anywhere, also where only the record of a failed call says so.
    let mut devices = loop_device::find(&image)?;
    devices.retain(|device| mounts.iter().any(|mount| device.is(mount.device)));
    for target in &volume.published {
        let target = Path::new(target);
        if mounts.at(target).is_some() {
            devices.extend(loop_device::at(target, &image)?);
        }
    }
    Ok(devices)
}

impl Hostpath {
    /// Those of the recorded paths where the volume really is. After a restart of the node nothing is mounted, and a
    /// record alone must not block anybody.
    pub(crate) fn live(&self, volume: &Volume, targets: &[String]) -> Result<Vec<String>, Error> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let mounts = MountTable::read()?;
        let mut live = Vec::new();
        for target in targets {
            if let Shown::Ours { .. } = at(self, volume, target, &mounts)? {
                live.push(target.clone());
            }
        }
        Ok(live)
    }
}
