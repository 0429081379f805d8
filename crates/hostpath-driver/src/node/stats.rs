//! NodeGetVolumeStats.

use std::path::Path;

use csi_client::csi::volume_usage::Unit;
use csi_client::csi::{NodeGetVolumeStatsResponse, VolumeUsage};
use csi_driver_kit::mounts::MountTable;
use csi_driver_kit::os_error::Context as _;
use csi_driver_kit::space::Space;

use super::shown::{self, Shown};
use crate::error::Error;
use crate::health;
use crate::hostpath::Hostpath;
use crate::state::{AccessType, Volume};

impl Hostpath {
    /// Usage and condition of a volume at one of the paths where it is staged or published.
    pub fn stats(&self, id: &str, path: &str) -> Result<NodeGetVolumeStatsResponse, Error> {
        let volume = self.volume(id)?;
        let there = Path::new(path);
        if let Err(error) = std::fs::metadata(there) {
            return Err(Error::NotThere(format!("Could not get file information from {path}: {error}")));
        }
        let same = |known: &String| Path::new(known) == there;
        let staged = volume.staged.iter().any(same);
        let mounted = matches!(shown::at(self, &volume, path, &MountTable::read()?)?, Shown::Ours { .. });
        if !staged && !mounted && !volume.published.iter().any(same) {
            return Err(Error::NotThere(format!("volume \"{id}\" is not at {path}")));
        }
        Ok(NodeGetVolumeStatsResponse {
            usage: self.usage(&volume, there)?,
            // Of a directory, nothing is mounted at the staging path.
            volume_condition: Some(health::condition(health::of_mount(
                mounted || (staged && volume.filesystem().is_none()),
            ))),
        })
    }

    /// For a directory the numbers of its whole filesystem, for an image its own size.
    fn usage(&self, volume: &Volume, path: &Path) -> Result<Vec<VolumeUsage>, Error> {
        if volume.access_type == AccessType::Mount {
            return Ok(Space::of(path)?.usage());
        }
        let image = self.data.path(&volume.id);
        let size = std::fs::metadata(&image).context("stat", &image)?.len();
        let total = i64::try_from(size).unwrap_or(i64::MAX);
        Ok(vec![VolumeUsage { total, unit: Unit::Bytes.into(), ..VolumeUsage::default() }])
    }
}
