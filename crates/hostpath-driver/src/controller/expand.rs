//! ControllerExpandVolume. An image and its devices grow at once, the filesystem in it on the node; a directory has no
//! size but the record.

use csi_client::csi;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::Volume;

impl Hostpath {
    /// Makes a volume larger. Large enough already is fine.
    pub fn controller_expand_volume(
        &self,
        request: &csi::ControllerExpandVolumeRequest,
    ) -> Result<csi::ControllerExpandVolumeResponse, Error> {
        let range = request.capacity_range.unwrap_or_default();
        policy::check_expandable(range.required_bytes, self.config.max_volume_size)?;
        let volume = self.volume(&request.volume_id)?;
        // Asked before any work is done, and again with the record, since others grow meanwhile.
        let size = policy::expanded(&self.store.get(), &self.config, &volume, &range)?;
        if size > volume.size {
            self.grow_image(&volume, size, range.limit_bytes)?;
            self.steps.reach("expand: image grown")?;
            let mut expanded = Volume::clone(&volume);
            expanded.size = size;
            self.store.commit(|state| {
                policy::expanded(state, &self.config, &volume, &range)?;
                state.put(expanded);
                Ok(())
            })?;
            self.steps.reach("expand: recorded")?;
        }
        if self.config.disable_node_expansion {
            self.grow_filesystem(&*self.volume(&request.volume_id)?)?;
        }
        Ok(csi::ControllerExpandVolumeResponse {
            capacity_bytes: size,
            node_expansion_required: !self.config.disable_node_expansion,
        })
    }

    pub(crate) fn grow_image(&self, volume: &Volume, size: i64, limit: i64) -> Result<(), Error> {
        if volume.has_image() {
            self.data.grow(&volume.id, policy::image_size(size, limit)?)?;
        }
        Ok(())
    }
}
