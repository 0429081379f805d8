//! CreateVolume.
//!
//! Order of effects: data is made aside, the volume is recorded, the data gets its place, the caller gets the
//! answer. Cut off before the record, the next start removes the data; after it, the next start or the caller's
//! retry finishes the rest.

use csi_client::csi;
use csi_driver_kit::exclusivity::Key;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy::{self, Wanted};
use crate::state::{AccessType, Volume};

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
        let volume = self.describe(&volume, wanted.parameters);
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
        let id = self.new_id();
        let volume = Volume {
            name: wanted.name.clone(),
            path: self.data.path(&id).to_string_lossy().into_owned(),
            id,
            size: wanted.size,
            access_type: wanted.access_type,
            kind: wanted.kind().to_owned(),
            parameters: Some(wanted.parameters.clone()),
            ..Volume::default()
        };
        self.make(volume, wanted.limit)
    }

    /// Makes a new volume with its data; on failure nothing of it is left. `volume.kind` is what was asked for,
    /// the answer has what was found.
    pub(crate) fn make(&self, volume: Volume, limit: i64) -> Result<Volume, Error> {
        // Asked before any work is done, and again with the record, since others are being made meanwhile.
        policy::place(&self.store.get(), &self.config, volume.size, &volume.kind)?;
        let image_size = match volume.access_type {
            AccessType::Mount => 0,
            AccessType::Block => policy::image_size(volume.size, limit)?,
        };
        let id = volume.id.clone();
        self.make_in_steps(volume, image_size).inspect_err(|_| self.unmake(&id))
    }

    fn make_in_steps(&self, mut volume: Volume, image_size: u64) -> Result<Volume, Error> {
        let id = volume.id.clone();
        self.data.make(&id, volume.access_type, image_size)?;
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
