//! Holding volumes still while they are copied.
//!
//! A filesystem stays frozen when its process ends, and every writer in the pod waits until somebody thaws it. So the end of
//! the driver thaws them all, and what was being copied at that moment is not kept: it may be torn.

use std::sync::{PoisonError, RwLock};

use csi_driver_kit::filesystem::{self, Frozen};
use csi_driver_kit::loop_device;
use csi_driver_kit::mounts::MountTable;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::node::shown::{self, Shown};
use crate::state::Volume;

/// Whether the driver has let all filesystems go for good.
#[derive(Debug, Default)]
pub(crate) struct Ending(RwLock<bool>);

impl Ending {
    /// Does `act` wholly before the end, or refuses.
    fn before<T>(&self, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let over = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if *over { Err(Error::NotReady("the driver is stopping".into())) } else { act() }
    }

    fn begin(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// Volumes that do not change until this value is gone.
#[derive(Debug)]
#[must_use = "dropping it lets writers go on"]
pub(crate) struct Still<'a> {
    ending: &'a Ending,
    frozen: Vec<Frozen>,
}

impl Still<'_> {
    /// Lets writers go on. An error says that they may have gone on before, so that no copy of a moment was made.
    pub(crate) fn end(self) -> Result<(), Error> {
        if self.frozen.is_empty() { Ok(()) } else { self.ending.before(|| Ok(())) }
    }
}

impl Hostpath {
    /// Makes the images of volumes hold what was written so far, and keeps filesystems from changing until the answer
    /// is dropped. Directories are read as they are, as upstream does.
    pub(crate) fn hold_still(&self, volumes: &[&Volume]) -> Result<Still<'_>, Error> {
        let mounts = MountTable::read()?;
        let mut still = Still { ending: &self.ending, frozen: Vec::new() };
        for volume in volumes.iter().filter(|volume| volume.has_image()) {
            if volume.filesystem().is_none() {
                let devices = loop_device::find(&self.data.path(&volume.id))?;
                devices.into_iter().try_for_each(loop_device::flush)?;
            }
            for path in self.staged_filesystems(volume, &mounts)? {
                still.frozen.push(self.ending.before(|| Ok(Frozen::freeze(path.as_ref())?))?);
            }
        }
        Ok(still)
    }

    fn staged_filesystems<'a>(
        &self,
        volume: &'a Volume,
        mounts: &MountTable,
    ) -> Result<Vec<&'a String>, Error> {
        let mut found = Vec::new();
        for path in volume.staged.iter().filter(|_| volume.filesystem().is_some()) {
            if let Shown::Ours { .. } = shown::at(self, volume, path, mounts)? {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Lets writers go on where an earlier process was killed with the filesystem frozen.
    pub(crate) fn thaw(&self, volume: &Volume) -> Result<(), Error> {
        for path in self.staged_filesystems(volume, &MountTable::read()?)? {
            filesystem::thaw(path.as_ref())?;
        }
        Ok(())
    }

    /// Thaws every filesystem, whoever is copying it, and lets none be frozen any more: the process ends with calls
    /// still running.
    pub fn let_go(&self) {
        self.ending.begin();
        for volume in self.store.get().volumes() {
            if let Err(error) = self.thaw(volume) {
                tracing::error!(volume = volume.id, %error, "Could not thaw a filesystem; the next start tries again");
            }
        }
    }
}
