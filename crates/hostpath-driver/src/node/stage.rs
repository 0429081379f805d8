//! NodeStageVolume and NodeUnstageVolume: a record only, since there is nothing to prepare on the node that has the
//! data.

use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::state::Volume;

impl Hostpath {
    /// Records that the volume is staged at `path`.
    pub fn stage(&self, id: &str, path: &str) -> Result<(), Error> {
        let volume = self.volume(id)?;
        if volume.staged.iter().any(|staged| staged == path) {
            return Ok(());
        }
        if !volume.staged.is_empty() {
            let places = list(&volume.staged);
            return Err(Error::Precondition(format!("volume \"{id}\" is already staged at {places}")));
        }
        self.change(&volume, |volume| volume.staged.push(path.to_owned()))?;
        Ok(self.steps.reach("stage: recorded")?)
    }

    /// Removes that record. Not staged is fine.
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
