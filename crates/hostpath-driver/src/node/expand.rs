//! NodeExpandVolume: the filesystem in an image takes the room that the image has got.

use std::path::Path;

use csi_client::csi;
use csi_driver_kit::mounts::MountTable;

use super::shown::{self, Shown};
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::{AccessType, Volume};

impl Hostpath {
    /// Makes what the node shows as large as the volume.
    pub fn node_expand_volume(
        &self,
        request: &csi::NodeExpandVolumeRequest,
    ) -> Result<csi::NodeExpandVolumeResponse, Error> {
        let volume = self.volume(&request.volume_id)?;
        let Some(range) = request.capacity_range else {
            return Err(Error::Invalid("Capacity range not provided".into()));
        };
        let max = match self.config.max_volume_size_node {
            0 => self.config.max_volume_size,
            max => max,
        };
        policy::check_expandable(range.required_bytes, max)?;
        check_path(&volume, &request.volume_path)?;
        // The devices too: they may have been bound by a process that ended before it could.
        self.grow_image(&volume, volume.size, 0)?;
        self.grow_filesystem(&volume)?;
        self.steps.reach("node expand: grown")?;
        Ok(csi::NodeExpandVolumeResponse { capacity_bytes: volume.size })
    }

    /// Grows the filesystem of a volume where it is staged. Not staged is fine: staging grows it.
    pub(crate) fn grow_filesystem(&self, volume: &Volume) -> Result<(), Error> {
        let Some(filesystem) = volume.filesystem() else { return Ok(()) };
        let mounts = MountTable::read()?;
        for path in &volume.staged {
            if let Shown::Ours { .. } = shown::at(self, volume, path, &mounts)? {
                filesystem.grow(Path::new(path), &self.data.path(&volume.id))?;
            }
        }
        Ok(())
    }
}

/// The path must be one where such a volume can be.
fn check_path(volume: &Volume, path: &str) -> Result<(), Error> {
    use std::os::unix::fs::FileTypeExt as _;
    let metadata = std::fs::metadata(path)
        .map_err(|error| Error::Invalid(format!("Could not get file information from {path}: {error}")))?;
    let kind = metadata.file_type();
    let text = match volume.access_type {
        AccessType::Mount if kind.is_dir() => return Ok(()),
        AccessType::Block if kind.is_block_device() => return Ok(()),
        AccessType::Block if kind.is_dir() => format!("Volume {} is not a directory", volume.id),
        AccessType::Mount if kind.is_block_device() => format!("Volume {} is not a block device", volume.id),
        _ => format!("Volume {} is invalid: {path} is neither a directory nor a block device", volume.id),
    };
    Err(Error::Invalid(text))
}
