//! Snapshots: archives of directories, copies of images (sheet, 5.7).
//!
//! Order of effects as with volumes: the file is made aside, the snapshot is recorded, the file gets its place; and for a
//! removal the file is renamed away, the record removed, the file removed.

pub(crate) mod group;
pub(crate) mod metadata;
mod query;

use std::sync::Arc;

use csi_client::csi;
use csi_driver_kit::exclusivity::Key;
use csi_driver_kit::tree::archive;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy::{self, Origin};
use crate::state::{AccessType, Group, Snapshot, Time, Volume, is_safe_id};

/// A snapshot to be cut.
pub(crate) struct Cut {
    volume: Arc<Volume>,
    snapshot: Snapshot,
    tolerant: bool,
}

impl Hostpath {
    /// Cuts a snapshot, or finds the one that was cut for the same request before.
    pub fn create_snapshot(&self, request: &csi::CreateSnapshotRequest) -> Result<csi::Snapshot, Error> {
        let found = self.store.get().snapshots().by_name(&request.name).map(|found| found.id.clone());
        if let Some(id) = found {
            return self.find_same_snapshot(&id, request);
        }
        let source = &request.source_volume_id;
        let _held = self.keys.acquire(Key::Volume(source.clone()))?;
        let volume = self.volume(source)?;
        let tolerant = policy::ignore_failed_read(&volume, &request.parameters, "volume snapshot")?;
        let snapshot = self.new_snapshot(&volume, request.name.clone(), Time::now());
        let described = describe(&snapshot);
        self.cut(&[Cut { volume, snapshot, tolerant }], None)?;
        Ok(described)
    }

    /// The snapshot that has the name already, if it is of the same volume.
    fn find_same_snapshot(
        &self,
        id: &str,
        request: &csi::CreateSnapshotRequest,
    ) -> Result<csi::Snapshot, Error> {
        let _held = self.keys.acquire(Key::Snapshot(id.to_owned()))?;
        let snapshot = self.snapshot(id)?;
        if snapshot.volume_id != request.source_volume_id {
            return Err(Error::Exists(format!(
                "snapshot with the same name: {} but with different SourceVolumeId already exist",
                request.name
            )));
        }
        if !self.data.restore(&snapshot.file())? {
            return Err(Error::Internal(format!("the data of snapshot {id} is missing: delete it")));
        }
        Ok(describe(&snapshot))
    }

    fn new_snapshot(&self, volume: &Volume, name: String, time: Time) -> Snapshot {
        let id = self.new_id();
        let path = self.data.path(&Snapshot::file_of(&id)).to_string_lossy().into_owned();
        Snapshot { path, ..Snapshot::of(volume, id, name, time) }
    }

    /// Cuts snapshots of one moment; on failure none of them is left. The volumes' keys are held by the caller.
    fn cut(&self, cuts: &[Cut], group: Option<Group>) -> Result<(), Error> {
        let snapshots: Vec<_> = cuts.iter().map(|cut| cut.snapshot.clone()).collect();
        let group_id = group.as_ref().map(|group| group.id.clone());
        self.cut_in_steps(cuts, group).inspect_err(|_| self.uncut(&snapshots, group_id.as_deref()))
    }

    fn cut_in_steps(&self, cuts: &[Cut], group: Option<Group>) -> Result<(), Error> {
        let volumes: Vec<_> = cuts.iter().map(|cut| cut.volume.as_ref()).collect();
        let still = self.hold_still(&volumes)?;
        self.steps.reach("snapshot: held still")?;
        for cut in cuts {
            self.data.cut(&cut.volume, &cut.snapshot.file(), cut.tolerant)?;
            self.steps.reach("snapshot: cut")?;
        }
        still.end()?;
        self.store.commit(|state| {
            for cut in cuts {
                state.snapshots_mut().put(cut.snapshot.clone());
            }
            if let Some(group) = group {
                state.groups_mut().put(group);
            }
            Ok(())
        })?;
        self.steps.reach("snapshot: recorded")?;
        for cut in cuts {
            self.data.reveal(&cut.snapshot.file())?;
            self.steps.reach("snapshot: in place")?;
        }
        Ok(())
    }

    /// Undoes a creation that failed, as far as possible; the rest is left for a retry or the next start.
    fn uncut(&self, snapshots: &[Snapshot], group: Option<&str>) {
        let undo = || -> Result<(), Error> {
            for snapshot in snapshots {
                self.data.conceal(&snapshot.file())?;
            }
            if snapshots.iter().any(|snapshot| self.store.get().snapshots().get(&snapshot.id).is_some()) {
                self.forget_snapshots(snapshots.iter().map(|snapshot| snapshot.id.as_str()), group)?;
            }
            for snapshot in snapshots {
                self.data.discard(&snapshot.file())?;
            }
            Ok(())
        };
        if let Err(error) = undo() {
            tracing::warn!(%error, "Could not undo a failed snapshot; left for a retry or restart");
        }
    }

    fn forget_snapshots<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
        group: Option<&str>,
    ) -> Result<(), Error> {
        self.store.commit(|state| {
            ids.for_each(|id| state.snapshots_mut().remove(id));
            if let Some(group) = group {
                state.groups_mut().remove(group);
            }
            Ok(())
        })
    }

    /// Removes a snapshot. An unknown one is fine, a member of a group is not.
    pub fn delete_snapshot(&self, id: &str) -> Result<(), Error> {
        let Some(snapshot) = self.store.get().snapshots().get(id).cloned() else {
            // An attempt that was answered with an error after the record was gone.
            return self.erase_forgotten(id);
        };
        if !snapshot.group_id.is_empty() {
            return Err(Error::Invalid(format!(
                "Snapshot with ID {id} is part of groupsnapshot {}",
                snapshot.group_id
            )));
        }
        self.remove_snapshots(&[snapshot], None)
    }

    /// Removes what a failed deletion left of a snapshot that is not on record any more.
    pub(crate) fn erase_forgotten(&self, id: &str) -> Result<(), Error> {
        if is_safe_id(id) && self.store.get().snapshots().get(id).is_none() {
            self.data.erase(&Snapshot::file_of(id))?;
        }
        Ok(())
    }

    /// Removes snapshots together with the group that they are.
    pub(crate) fn remove_snapshots(
        &self,
        snapshots: &[Arc<Snapshot>],
        group: Option<&str>,
    ) -> Result<(), Error> {
        let files: Vec<_> = snapshots.iter().map(|snapshot| snapshot.file()).collect();
        let recorded = files
            .iter()
            .try_for_each(|file| self.data.condemn(file))
            .and_then(|()| self.steps.reach("delete snapshot: renamed"))
            .map_err(Error::from)
            .and_then(|()| self.forget_snapshots(snapshots.iter().map(|found| found.id.as_str()), group));
        if let Err(error) = recorded {
            // Nothing is lost: they are as they were, and the caller tries again.
            let state = self.store.get();
            for snapshot in snapshots.iter().filter(|found| state.snapshots().get(&found.id).is_some()) {
                self.data.pardon(&snapshot.file())?;
            }
            return Err(error);
        }
        self.steps.reach("delete snapshot: record removed")?;
        files.iter().try_for_each(|file| self.data.erase(file))?;
        Ok(self.steps.reach("delete snapshot: data removed")?)
    }

    /// The snapshot, or NOT_FOUND.
    pub(crate) fn snapshot(&self, id: &str) -> Result<Arc<Snapshot>, Error> {
        self.store.get().snapshots().get(id).cloned().ok_or_else(|| Error::NoSuchSnapshot(id.to_owned()))
    }

    /// A snapshot as the origin of a volume.
    pub(crate) fn snapshot_origin(&self, id: &str) -> Result<Origin, Error> {
        let snapshot = self.snapshot(id)?;
        if !snapshot.ready_to_use {
            return Err(Error::Internal(format!("snapshot {id} is not yet ready to use")));
        }
        let access_type = match snapshot.access_type {
            Some(access_type) => access_type,
            None if archive::is_archive(&self.data.path(&snapshot.file()))? => AccessType::Mount,
            None => AccessType::Block,
        };
        Ok(Origin {
            what: "snapshot",
            id: id.to_owned(),
            size: snapshot.size_bytes,
            access_type,
            filesystem: snapshot.filesystem(),
        })
    }
}

/// A snapshot as the caller sees it.
pub(crate) fn describe(snapshot: &Snapshot) -> csi::Snapshot {
    csi::Snapshot {
        size_bytes: snapshot.size_bytes,
        snapshot_id: snapshot.id.clone(),
        source_volume_id: snapshot.volume_id.clone(),
        creation_time: snapshot.creation_time.map(timestamp),
        ready_to_use: snapshot.ready_to_use,
        group_snapshot_id: snapshot.group_id.clone(),
        ..csi::Snapshot::default()
    }
}

pub(crate) fn timestamp(time: Time) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.seconds, nanos: time.nanos }
}
