//! CreateVolume.
//!
//! Order of effects: data is made aside, the volume is recorded, the data gets its place, the caller gets the
//! answer. Cut off before the record, the next start removes the data; after it, the next start or the caller's
//! retry finishes the rest.

use csi_client::csi;
use csi_client::csi::volume_content_source::Type as Source;
use csi_driver_kit::exclusivity::{Held, Key};
use csi_driver_kit::filesystem::{Identity, Kind};

use crate::data::Shape;
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy::{self, Origin, Wanted};
use crate::state::{Snapshot, Volume};

/// Any user of a pod may write, as in a directory volume.
const ROOT_MODE: u16 = 0o777;

impl Hostpath {
    /// Makes a volume, or finds the one that was made for the same request before.
    pub fn create_volume(
        &self,
        request: csi::CreateVolumeRequest,
    ) -> Result<csi::CreateVolumeResponse, Error> {
        let wanted = Wanted::from_request(request, &self.config)?;
        let found = self.store.get().volume_by_name(&wanted.name).map(|volume| volume.id.clone());
        let volume = match found {
            Some(id) => self.find_same(&id, &wanted)?,
            None => self.make_wanted(&wanted)?,
        };
        let content_source = wanted.source.map(|source| csi::VolumeContentSource { r#type: Some(source) });
        let volume = csi::Volume { content_source, ..self.describe(&volume, wanted.parameters) };
        Ok(csi::CreateVolumeResponse { volume: Some(volume) })
    }

    /// The volume that has the name already, if it fits. Its key is held meanwhile: somebody may be deleting it.
    fn find_same(&self, id: &str, wanted: &Wanted) -> Result<Volume, Error> {
        let _held = self.keys.acquire(Key::Volume(id.to_owned()))?;
        let volume = self.volume(id)?;
        policy::check_same(&volume, wanted)?;
        if !self.data.restore(id)? {
            let path = self.data.path(id);
            return Err(Error::Internal(format!(
                "the data of volume {id} is missing at {}: delete the volume to create it anew",
                path.display()
            )));
        }
        Ok(Volume::clone(&volume))
    }

    fn make_wanted(&self, wanted: &Wanted) -> Result<Volume, Error> {
        // The origin is held until the copy is made.
        let (origin, _held) = match &wanted.source {
            None => (None, None),
            Some(source) => self.origin(source).map(|(origin, held)| (Some(origin), Some(held)))?,
        };
        let size = origin.as_ref().map_or(Ok(wanted.size), |origin| policy::filled_size(wanted, origin))?;
        let (mut parent_snapshot, mut parent_volume) = (String::new(), String::new());
        match &wanted.source {
            Some(Source::Snapshot(source)) => parent_snapshot.clone_from(&source.snapshot_id),
            Some(Source::Volume(source)) => parent_volume.clone_from(&source.volume_id),
            None => {}
        }
        let id = self.new_id();
        let volume = Volume {
            parent_snapshot,
            parent_volume,
            name: wanted.name.clone(),
            path: self.data.path(&id).to_string_lossy().into_owned(),
            id,
            size,
            access_type: wanted.access_type,
            filesystem: wanted.filesystem.map_or("", Kind::name).to_owned(),
            kind: wanted.kind().to_owned(),
            parameters: Some(wanted.parameters.clone()),
            ..Volume::default()
        };
        self.make(volume, wanted.limit)
    }

    /// What a new volume is filled with, and the key that keeps others away from it.
    fn origin(&self, source: &Source) -> Result<(Origin, Held), Error> {
        match source {
            Source::Snapshot(source) => {
                let held = self.keys.acquire(Key::Snapshot(source.snapshot_id.clone()))?;
                Ok((self.snapshot_origin(&source.snapshot_id)?, held))
            }
            Source::Volume(source) => {
                let held = self.keys.acquire(Key::Volume(source.volume_id.clone()))?;
                let volume = self.volume(&source.volume_id)?;
                let origin = Origin {
                    what: "volume",
                    id: volume.id.clone(),
                    size: volume.size,
                    access_type: volume.access_type,
                    filesystem: volume.filesystem(),
                };
                Ok((origin, held))
            }
        }
    }

    /// Makes a new volume with its data; on failure nothing of it is left. `volume.kind` is what was asked for,
    /// the answer has what was found.
    pub(crate) fn make(&self, volume: Volume, limit: i64) -> Result<Volume, Error> {
        // Asked before any work is done, and again with the record, since others are being made meanwhile.
        policy::place(&self.store.get(), &self.config, volume.size, &volume.kind)?;
        let shape = policy::shape(&volume, limit)?;
        let id = volume.id.clone();
        self.make_in_steps(volume, shape).inspect_err(|_| self.unmake(&id))
    }

    fn make_in_steps(&self, mut volume: Volume, shape: Shape) -> Result<Volume, Error> {
        let id = volume.id.clone();
        self.data.make(&id, shape)?;
        if !volume.parent_snapshot.is_empty() {
            self.data.fill(&id, shape, &Snapshot::file_of(&volume.parent_snapshot))?;
            self.steps.reach("create: filled")?;
        } else if !volume.parent_volume.is_empty() {
            let parent = self.volume(&volume.parent_volume)?;
            let still = self.hold_still(&[parent.as_ref()])?;
            self.data.fill(&id, shape, &parent.id)?;
            still.end()?;
            self.steps.reach("create: filled")?;
        } else if let Some(filesystem) = volume.filesystem() {
            self.data.format(&id, filesystem, &self.identity_of_filesystem())?;
        }
        self.steps.reach("create: data made")?;
        let volume = self.store.commit(|state| {
            volume.kind = policy::place(state, &self.config, volume.size, &volume.kind)?;
            state.put(volume.clone());
            Ok(volume)
        })?;
        self.steps.reach("create: recorded")?;
        self.data.reveal(&id)?;
        self.steps.reach("create: in place")?;
        Ok(volume)
    }

    fn identity_of_filesystem(&self) -> Identity {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Identity {
            uuid: self.random.uuid().into_bytes(),
            created: u32::try_from(since.as_secs()).unwrap_or(u32::MAX),
            root_mode: ROOT_MODE,
        }
    }

    /// Undoes a creation that failed. What cannot be undone now is finished by the caller's retry, which finds the
    /// record, or by the next start, which finds the data.
    fn unmake(&self, id: &str) {
        let undone = self.data.conceal(id).map_err(Error::from).and_then(|()| {
            if self.store.get().volume(id).is_some() {
                self.store.commit(|state| {
                    state.remove(id);
                    Ok(())
                })?;
            }
            Ok(self.data.discard(id)?)
        });
        if let Err(error) = undone {
            tracing::warn!(volume = id, %error, "Could not undo a failed creation; left for a retry or restart");
        }
    }

    /// A volume as the caller sees it.
    pub(crate) fn describe(
        &self,
        volume: &Volume,
        volume_context: std::collections::BTreeMap<String, String>,
    ) -> csi::Volume {
        csi::Volume {
            volume_id: volume.id.clone(),
            capacity_bytes: volume.size,
            volume_context,
            content_source: None,
            accessible_topology: self.topology().into_iter().collect(),
        }
    }
}
