//! What a new process does about the end of the one before.
//!
//! The order of effects in each call leaves only a few half-done things, and each has one answer:
//!
//! | Found | Means | Done |
//! |---|---|---|
//! | volume recorded, data in `.creating` | creation cut off after it was recorded | data gets its place |
//! | volume recorded, data in `.deleting` | deletion cut off before it was recorded | data put back |
//! | data in a side directory, volume not recorded | creation cut off before, deletion after | data removed |
//! | the same for snapshots | the same | the same |
//! | filesystem frozen | snapshot cut off | thawed |
//! | ephemeral volume without a publication | publication never answered | volume removed |
//! | loop device of an image, not shown anywhere | publication or removal cut off | unbound |
//! | publication recorded, nothing mounted | the node restarted, or publication cut off | kept: kubelet publishes again or takes it back |
//!
//! What cannot be cleared up is left for the next start: one volume that refuses must not take all others along.

use csi_driver_kit::durable::exists;
use csi_driver_kit::loop_device;
use csi_driver_kit::mounts::MountTable;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::node::shown::{self, Shown};
use crate::state::Volume;

/// Finishes or undoes what was left half done. Only what is needed to know which data belongs to whom is an error.
pub(crate) fn run(driver: &Hostpath) -> Result<(), Error> {
    let state = driver.store.get();
    let mounts = MountTable::read()?;
    for volume in state.volumes() {
        if !driver.data.restore(&volume.id)? {
            tracing::error!(volume = volume.id, "The data of this volume is missing");
        }
    }
    for snapshot in state.snapshots().iter() {
        if !driver.data.restore(&snapshot.file())? {
            tracing::error!(snapshot = snapshot.id, "The data of this snapshot is missing");
        }
    }
    for volume in state.volumes() {
        go_on(volume, driver.thaw(volume));
    }
    for volume in state.volumes().filter(|volume| volume.ephemeral && volume.published.is_empty()) {
        tracing::info!(volume = volume.id, "Removing ephemeral volume that was never published");
        go_on(volume, driver.remove(volume));
    }
    let removed = driver.data.clean(|error| tracing::error!(%error, "Left for the next start"));
    if removed > 0 {
        tracing::info!(removed, "Removed data of volumes that were being created or deleted");
    }
    for volume in driver.store.get().volumes() {
        go_on(volume, release_unused_loops(driver, volume, &mounts));
        go_on(volume, report_lost_mounts(driver, volume, &mounts));
    }
    Ok(())
}

fn go_on(volume: &Volume, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::error!(volume = volume.id, %error, "Left for the next start");
    }
}

fn release_unused_loops(driver: &Hostpath, volume: &Volume, mounts: &MountTable) -> Result<(), Error> {
    let image = driver.data.path(&volume.id);
    if !volume.has_image() || !exists(&image)? {
        return Ok(());
    }
    let in_use = shown::loops_in_use(driver, volume, mounts)?;
    for device in loop_device::find(&image)? {
        if !in_use.contains(&device) {
            tracing::info!(volume = volume.id, device = %device.path().display(), "Unbinding unused loop device");
            loop_device::detach(device)?;
        }
    }
    Ok(())
}

fn report_lost_mounts(driver: &Hostpath, volume: &Volume, mounts: &MountTable) -> Result<(), Error> {
    for target in &volume.published {
        if shown::at(driver, volume, target, mounts)? == Shown::Nothing {
            tracing::info!(volume = volume.id, target, "Published volume is not mounted any more");
        }
    }
    Ok(())
}
