//! NodePublishVolume and NodeUnpublishVolume.
//!
//! A publication is recorded before anything is made and forgotten after everything is gone. So every target that
//! the driver ever touched is on record until it is clean again, however often a call is cut off, and no path that
//! is not on record is ever removed, unless it is an empty directory that kubelet made an inline volume's target.

use std::path::{Path, PathBuf};

use csi_client::csi;
use csi_client::csi::volume_capability::access_mode::Mode;
use csi_driver_kit::loop_device::{self, Held};
use csi_driver_kit::mounts::{self, MountTable};

use super::shown::{self, Shown};
use super::stage::list;
use super::target;
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::{AccessType, Publication, Volume, is_safe_id};

/// The context key by which kubelet says that a volume is an inline one, and the size of those (sheet, 5.10).
const EPHEMERAL: &str = "csi.storage.k8s.io/ephemeral";
const EPHEMERAL_SIZE: i64 = 100 << 20;

/// How kubelet's handles of inline volumes begin; what follows is a checksum.
const EPHEMERAL_ID: &str = "csi-";

impl Hostpath {
    /// Shows a volume at the target path.
    pub fn publish(&self, request: &csi::NodePublishVolumeRequest) -> Result<(), Error> {
        let ephemeral = self.is_ephemeral(request);
        let made = ephemeral && self.make_ephemeral(request)?;
        let result = self.publish_volume(request, ephemeral);
        if result.is_err() && made {
            // Kubelet comes back with the same handle, or never.
            let removed = self.volume(&request.volume_id).and_then(|volume| self.remove(&volume));
            if let Err(error) = removed {
                tracing::warn!(volume = request.volume_id, %error, "Could not remove ephemeral volume");
            }
        }
        result
    }

    fn is_ephemeral(&self, request: &csi::NodePublishVolumeRequest) -> bool {
        match request.volume_context.get(EPHEMERAL).map(String::as_str) {
            Some("") | None => self.config.ephemeral,
            Some(text) => text == "true",
        }
    }

    /// Makes the volume of an inline declaration. `false`: an earlier attempt did.
    fn make_ephemeral(&self, request: &csi::NodePublishVolumeRequest) -> Result<bool, Error> {
        let id = &request.volume_id;
        if !is_safe_id(id) {
            return Err(Error::Invalid(format!("volume id {id:?} cannot be the name of a directory")));
        }
        if let Some(existing) = self.store.get().volume(id) {
            if existing.ephemeral {
                return Ok(false);
            }
            return Err(Error::Exists(format!("volume id {id} belongs to a volume that is not ephemeral")));
        }
        let volume = Volume {
            name: format!("ephemeral-{id}"),
            id: id.clone(),
            path: self.data.path(id).to_string_lossy().into_owned(),
            size: EPHEMERAL_SIZE,
            ephemeral: true,
            kind: request.volume_context.get(policy::KIND).cloned().unwrap_or_default(),
            ..Volume::default()
        };
        self.make(volume, 0)?;
        Ok(true)
    }

    fn publish_volume(&self, request: &csi::NodePublishVolumeRequest, ephemeral: bool) -> Result<(), Error> {
        let volume = self.volume(&request.volume_id)?;
        let wanted = Publication {
            target: request.target_path.clone(),
            read_only: request.readonly,
            access_mode: access_mode(request),
        };
        self.check_only_writer(&volume, &wanted)?;
        if !ephemeral {
            check_staged(&volume, &request.staging_target_path)?;
        }
        check_access_type(&volume, request)?;
        match shown::at(self, &volume, &wanted.target, &MountTable::read()?)? {
            Shown::Foreign => Err(Error::Precondition(format!(
                "something else is mounted at {}; unmount it first",
                wanted.target
            ))),
            Shown::Ours { read_only } => self.check_published_alike(&volume, wanted, read_only),
            Shown::Nothing => self.publish_anew(&volume, &wanted),
        }
    }

    fn check_only_writer(&self, volume: &Volume, wanted: &Publication) -> Result<(), Error> {
        if wanted.access_mode != i32::from(Mode::SingleNodeSingleWriter) {
            return Ok(());
        }
        let others: Vec<_> =
            volume.published.iter().filter(|target| **target != wanted.target).cloned().collect();
        if self.live(volume, &others)?.is_empty() {
            return Ok(());
        }
        Err(Error::Precondition(
            "volume uses SINGLE_NODE_SINGLE_WRITER access mode and is already mounted at a different target path"
                .into(),
        ))
    }

    /// The volume is at the target already: fine if it was meant to be there in this way.
    fn check_published_alike(
        &self,
        volume: &Volume,
        wanted: Publication,
        read_only: bool,
    ) -> Result<(), Error> {
        match volume.publication(&wanted.target) {
            Some(recorded) if *recorded != wanted => Err(Error::Exists(format!(
                "volume \"{}\" is already published at {} with other arguments",
                volume.id, wanted.target
            ))),
            Some(_) => Ok(()),
            None if wanted.read_only != read_only => Err(Error::Exists(format!(
                "volume \"{}\" is already published at {} with another readonly flag",
                volume.id, wanted.target
            ))),
            // Published by upstream's driver, which sometimes does not record it.
            None => self.record(volume, wanted),
        }
    }

    fn record(&self, volume: &Volume, publication: Publication) -> Result<(), Error> {
        let node_id = self.config.node_id.clone();
        self.change(volume, |volume| {
            volume.node_id = node_id;
            volume.publish(publication);
        })
    }

    fn publish_anew(&self, volume: &Volume, wanted: &Publication) -> Result<(), Error> {
        let known = volume.published.contains(&wanted.target);
        self.record(volume, wanted.clone())?;
        let path = PathBuf::from(&wanted.target);
        let mut made = known;
        let result = self.show(volume, &path, wanted.read_only, &mut made);
        if result.is_err() {
            self.undo_publish(volume, &path, made);
        }
        result
    }

    fn show(&self, volume: &Volume, path: &Path, read_only: bool, made: &mut bool) -> Result<(), Error> {
        self.steps.reach("publish: recorded")?;
        *made |= target::prepare(path, volume.access_type)?;
        self.steps.reach("publish: target made")?;
        match volume.access_type {
            // A read-only device needs no read-only mount.
            AccessType::Block => {
                let held = self.hold_loop(volume, read_only)?;
                // The target is the only thing that stands for this publication, and it has nothing open.
                held.keep()?;
                self.steps.reach("publish: device bound")?;
                mounts::bind(&held.device.path(), path)?;
            }
            AccessType::Mount if read_only => {
                self.data.bind_read_only(&volume.id, &self.source(volume)?, path)?;
            }
            AccessType::Mount => mounts::bind(&self.source(volume)?, path)?,
        }
        Ok(self.steps.reach("publish: mounted")?)
    }

    /// The directory to show: the volume's own, or the place where its filesystem is staged.
    fn source(&self, volume: &Volume) -> Result<PathBuf, Error> {
        if volume.filesystem().is_none() {
            return Ok(self.data.path(&volume.id));
        }
        let mounts = MountTable::read()?;
        for staged in &volume.staged {
            if let Shown::Ours { .. } = shown::at(self, volume, staged, &mounts)? {
                return Ok(PathBuf::from(staged));
            }
        }
        Err(Error::Precondition(format!("the filesystem of volume \"{}\" must be staged again", volume.id)))
    }

    /// The device of an image, bound now if it is not: after a restart of the node none is. A read-only device of
    /// its own, since a read-only mount does not keep anyone from writing to a device.
    pub(crate) fn hold_loop(&self, volume: &Volume, read_only: bool) -> Result<Held, Error> {
        Ok(loop_device::hold(&self.data.path(&volume.id), read_only)?)
    }

    /// Takes back a publication that failed. What cannot be taken back stays on record for the next attempt.
    fn undo_publish(&self, volume: &Volume, path: &Path, made: bool) {
        let undone = mounts::unmount(path).map_err(Error::from).and_then(|()| {
            if made {
                target::remove(path, volume.access_type)?;
            }
            self.forget(&volume.id, &path.to_string_lossy())
        });
        if let Err(error) = undone {
            tracing::warn!(volume = volume.id, path = %path.display(), %error, "Could not undo a failed publication");
        }
    }

    /// Removes a publication from the record and the loop devices that only it needed.
    fn forget(&self, id: &str, target: &str) -> Result<(), Error> {
        let volume = self.volume(id)?;
        self.release_loops(&volume, target)?;
        self.change(&volume, |volume| volume.unpublish(target))
    }

    pub(crate) fn release_loops(&self, volume: &Volume, without: &str) -> Result<(), Error> {
        if !volume.has_image() {
            return Ok(());
        }
        let mut others = volume.clone();
        others.unpublish(without);
        let in_use = shown::loops_in_use(self, &others, &MountTable::read()?)?;
        for device in loop_device::find(&self.data.path(&volume.id))? {
            if !in_use.contains(&device) {
                loop_device::detach(device)?;
            }
        }
        Ok(())
    }

    /// Takes a volume from the target path and removes the target.
    pub fn unpublish(&self, id: &str, path: &str) -> Result<(), Error> {
        let volume = match self.volume(id) {
            Err(_) if id.starts_with(EPHEMERAL_ID) && is_safe_id(id) => return self.unpublish_gone(id, path),
            found => found?,
        };
        let recorded = volume.published.iter().any(|target| target == path);
        let shown = shown::at(self, &volume, path, &MountTable::read()?)?;
        if recorded || matches!(shown, Shown::Ours { .. }) {
            mounts::unmount(path.as_ref())?;
            self.steps.reach("unpublish: unmounted")?;
            target::remove(path.as_ref(), volume.access_type)?;
            self.steps.reach("unpublish: target removed")?;
        }
        let others = volume.published.iter().any(|target| target != path);
        if volume.ephemeral && !others {
            return self.remove(&volume);
        }
        if recorded || matches!(shown, Shown::Ours { .. }) {
            self.forget(id, path)?;
            self.steps.reach("unpublish: recorded")?;
        }
        Ok(())
    }

    /// An inline volume lives as long as its publication, so it may be gone before kubelet has heard of it: an answer
    /// was lost, or a publication was cut off or undone. Kubelet asks until the answer is OK, and keeps the pod until
    /// then.
    fn unpublish_gone(&self, id: &str, path: &str) -> Result<(), Error> {
        if MountTable::read()?.at(path.as_ref()).is_some() {
            return Err(Error::NoSuchVolume(id.to_owned()));
        }
        if let Err(error) = target::remove(path.as_ref(), AccessType::Mount) {
            tracing::warn!(volume = id, %error, "Left alone what is not known to be the driver's");
        }
        Ok(self.data.erase(id)?)
    }
}

fn access_mode(request: &csi::NodePublishVolumeRequest) -> i32 {
    let capability = request.volume_capability.as_ref();
    capability.and_then(|capability| capability.access_mode).map_or(0, |access| access.mode)
}

fn check_staged(volume: &Volume, staging: &str) -> Result<(), Error> {
    let id = &volume.id;
    if volume.staged.is_empty() {
        return Err(Error::Precondition(format!("volume \"{id}\" must be staged before publishing")));
    }
    if volume.staged.iter().any(|staged| staged == staging) {
        return Ok(());
    }
    let places = list(&volume.staged);
    Err(Error::Invalid(format!("volume \"{id}\" was staged at {places}, not \"{staging}\"")))
}

fn check_access_type(volume: &Volume, request: &csi::NodePublishVolumeRequest) -> Result<(), Error> {
    let wanted = policy::access_type(request.volume_capability.as_slice());
    match (wanted, volume.access_type) {
        (AccessType::Block, AccessType::Mount) => {
            Err(Error::Invalid("cannot publish a non-block volume as block volume".into()))
        }
        (AccessType::Mount, AccessType::Block) => {
            Err(Error::Invalid("cannot publish a non-mount volume as mount volume".into()))
        }
        _ => Ok(()),
    }
}
