//! DeleteVolume.
//!
//! Order of effects: the volume disappears from where it is shown, its data is renamed away, the record is removed,
//! the data is removed, the caller gets the answer. Cut off before the record is gone, the next start puts the data
//! back; after it, the next start or the caller's retry removes the rest.

use csi_driver_kit::mounts::{self, MountTable};

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::node::shown::{self, Shown};
use crate::node::target;
use crate::state::{Volume, is_safe_id};

impl Hostpath {
    /// Removes a volume with its data. An unknown one is fine.
    pub fn delete_volume(&self, id: &str) -> Result<(), Error> {
        let Some(volume) = self.store.get().volume(id).cloned() else {
            // An attempt that was answered with an error after the record was gone.
            return if is_safe_id(id) { Ok(self.data.erase(id)?) } else { Ok(()) };
        };
        self.check_unused(&volume)?;
        self.remove(&volume)
    }

    /// Kubelet may take volumes away out of order (kubernetes 101911), so this is an error only on demand.
    fn check_unused(&self, volume: &Volume) -> Result<(), Error> {
        let Volume { id, attached, staged, published, node_id, .. } = volume;
        let published = self.live(volume, published)?;
        if !attached && staged.is_empty() && published.is_empty() {
            return Ok(());
        }
        let text = format!(
            "Volume '{id}' is still used (attached: {attached}, staged: {}, published: {}) by '{node_id}' node",
            !staged.is_empty(),
            !published.is_empty()
        );
        if self.config.check_volume_lifecycle {
            return Err(Error::Internal(text));
        }
        tracing::warn!("{text}");
        Ok(())
    }

    /// Removes a volume that may be removed.
    pub(crate) fn remove(&self, volume: &Volume) -> Result<(), Error> {
        let id = &volume.id;
        self.hide(volume)?;
        self.steps.reach("delete: hidden")?;
        self.data.check_nothing_inside(id, &MountTable::read()?)?;
        self.data.condemn(id)?;
        let recorded = self.steps.reach("delete: renamed").map_err(Error::from).and_then(|()| {
            self.store.commit(|state| {
                state.remove(id);
                Ok(())
            })
        });
        if recorded.is_err() && self.store.get().volume(id).is_some() {
            // Nothing is lost: the volume is as it was, and the caller tries again.
            self.data.pardon(id)?;
        }
        recorded?;
        self.steps.reach("delete: record removed")?;
        self.data.erase(id)?;
        self.steps.reach("delete: data removed")?;
        Ok(())
    }

    /// Takes a volume from everywhere it is shown; nothing may point into data that is about to go.
    fn hide(&self, volume: &Volume) -> Result<(), Error> {
        let table = MountTable::read()?;
        for path in &volume.published {
            if let Shown::Ours { .. } = shown::at(self, volume, path, &table)? {
                mounts::unmount(path.as_ref())?;
                target::remove(path.as_ref(), volume.access_type)?;
            }
        }
        for path in volume.staged.iter().filter(|_| volume.filesystem().is_some()) {
            if let Shown::Ours { .. } = shown::at(self, volume, path, &table)? {
                mounts::unmount(path.as_ref())?;
            }
        }
        Ok(self.data.detach_loops(volume)?)
    }
}
