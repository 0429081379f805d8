//! ControllerPublishVolume and ControllerUnpublishVolume: nothing moves, the attachment is a record that staging asks for.

use csi_client::csi;

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::Volume;

impl Hostpath {
    /// Attaches a volume to this node, the only one there is.
    pub fn attach(&self, request: &csi::ControllerPublishVolumeRequest) -> Result<(), Error> {
        let own = &self.config.node_id;
        if request.node_id != *own {
            let asked = &request.node_id;
            return Err(Error::NotThere(format!("Not matching Node ID {asked} to hostpath Node ID {own}")));
        }
        let volume = self.volume(&request.volume_id)?;
        if volume.attached {
            if volume.read_only_attach == request.readonly {
                return Ok(());
            }
            return Err(Error::Exists("Volume published but has incompatible readonly flag".into()));
        }
        let mut attached = Volume::clone(&volume);
        attached.attached = true;
        attached.read_only_attach = request.readonly;
        // Counted together with the record: others are being attached meanwhile.
        self.store.commit(|state| {
            policy::check_attach_limit(state, &self.config)?;
            state.put(attached);
            Ok(())
        })?;
        Ok(self.steps.reach("attach: recorded")?)
    }

    /// Detaches a volume. An unknown one is fine.
    pub fn detach(&self, id: &str, node_id: &str) -> Result<(), Error> {
        let own = &self.config.node_id;
        if !node_id.is_empty() && node_id != own {
            let text = format!("Node ID {node_id} does not match to expected Node ID {own}");
            return Err(Error::NotThere(text));
        }
        let Some(volume) = self.store.get().volume(id).cloned() else { return Ok(()) };
        self.check_not_on_node(&volume)?;
        if volume.attached {
            self.change(&volume, |volume| {
                volume.attached = false;
                volume.read_only_attach = false;
            })?;
        }
        Ok(self.steps.reach("detach: recorded")?)
    }

    /// An error only on demand, as for a deletion.
    fn check_not_on_node(&self, volume: &Volume) -> Result<(), Error> {
        let published = self.live(volume, &volume.published)?;
        if volume.staged.is_empty() && published.is_empty() {
            return Ok(());
        }
        let text = format!(
            "Volume '{}' is still used (staged: {}, published: {}) by '{}' node",
            volume.id,
            !volume.staged.is_empty(),
            !published.is_empty(),
            volume.node_id
        );
        if self.config.check_volume_lifecycle {
            return Err(Error::Internal(text));
        }
        tracing::warn!("{text}");
        Ok(())
    }
}
