//! NodeStageVolume and NodeUnstageVolume: for most volumes a record only, since there is nothing to prepare on the node
//! that has the data. A filesystem of the volume's own is mounted here.
//!
//! The record comes before the mount and goes after it, so that every mount is on record.

use csi_driver_kit::filesystem::Kind;
use csi_driver_kit::mounts::{self, MountTable};

use super::shown::{self, Shown};
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::state::Volume;

impl Hostpath {
    /// Records that the volume is staged at `path`, and mounts its filesystem there if it has one of its own.
    pub fn stage(&self, id: &str, path: &str) -> Result<(), Error> {
        let volume = self.volume(id)?;
        if self.config.enable_attach && !volume.attached {
            return Err(Error::Internal(format!(
                "ControllerPublishVolume must be called on volume '{id}' before staging on node"
            )));
        }
        let known = volume.staged.iter().any(|staged| staged == path);
        if !known && !volume.staged.is_empty() {
            let places = list(&volume.staged);
            return Err(Error::Precondition(format!("volume \"{id}\" is already staged at {places}")));
        }
        if !known {
            self.change(&volume, |volume| volume.staged.push(path.to_owned()))?;
            self.steps.reach("stage: recorded")?;
        }
        let Some(filesystem) = volume.filesystem() else { return Ok(()) };
        match shown::at(self, &volume, path, &MountTable::read()?)? {
            Shown::Foreign => {
                let text = format!("something else is mounted at {path}; unmount it first");
                Err(Error::Precondition(text))
            }
            // The attempt that mounted it may have been cut off before it grew. If it cannot grow, it stays: it may
            // be in use.
            Shown::Ours { .. } => self.grow_staged(&volume, filesystem, path),
            Shown::Nothing => self.mount_filesystem(&volume, filesystem, path).inspect_err(|_| {
                if let Err(error) = self.unmount_filesystem(&volume, path) {
                    tracing::warn!(volume = id, path, %error, "Could not undo a failed staging");
                }
            }),
        }
    }

    /// Mounts the filesystem of a volume, as large as the volume is by now.
    fn mount_filesystem(&self, volume: &Volume, filesystem: Kind, path: &str) -> Result<(), Error> {
        // The mount keeps it bound from then on.
        let held = self.hold_loop(volume, false)?;
        self.steps.reach("stage: device bound")?;
        filesystem.mount(&held.device.path(), path.as_ref())?;
        self.steps.reach("stage: mounted")?;
        self.grow_staged(volume, filesystem, path)
    }

    fn grow_staged(&self, volume: &Volume, filesystem: Kind, path: &str) -> Result<(), Error> {
        filesystem.grow(path.as_ref(), &self.data.path(&volume.id))?;
        Ok(self.steps.reach("stage: grown")?)
    }

    fn unmount_filesystem(&self, volume: &Volume, path: &str) -> Result<(), Error> {
        if let Shown::Ours { .. } = shown::at(self, volume, path, &MountTable::read()?)? {
            mounts::unmount(path.as_ref())?;
        }
        self.release_loops(volume, "")
    }

    /// Undoes that. Not staged is fine.
    pub fn unstage(&self, id: &str, path: &str) -> Result<(), Error> {
        let volume = self.volume(id)?;
        if !volume.staged.iter().any(|staged| staged == path) {
            return Ok(());
        }
        let published = self.live(&volume, &volume.published)?;
        if !published.is_empty() {
            let places = list(&published);
            let node = &volume.node_id;
            return Err(Error::Internal(format!(
                "volume \"{id}\" is still published at {places} on node \"{node}\""
            )));
        }
        if volume.filesystem().is_some() {
            self.unmount_filesystem(&volume, path)?;
            self.steps.reach("unstage: unmounted")?;
        }
        self.change(&volume, |volume| volume.staged.retain(|staged| staged != path))?;
        Ok(self.steps.reach("unstage: recorded")?)
    }

    /// Records a change of a volume whose key the caller holds.
    pub(crate) fn change(&self, volume: &Volume, edit: impl FnOnce(&mut Volume)) -> Result<(), Error> {
        let mut changed = volume.clone();
        edit(&mut changed);
        self.store.commit(|state| {
            state.put(changed);
            Ok(())
        })
    }
}

/// `[a b]`, as upstream prints lists.
pub(crate) fn list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}
