//! Volumes that may lose our finalizer (sheet 5.8).

use sidecar_core::objects::Interned;
use sidecar_core::reconciler::Outcome;
use tracing::info;

use super::Shared;
use super::api::{PatchType, is_gone, text};
use crate::policy::finalizer;

impl Shared {
    /// Takes our finalizer off the volume of this name if it may go and no attachment names the volume. The deletion of
    /// the last one brings the volume back here.
    pub(super) async fn sync_volume(&self, name: &Interned) -> Outcome {
        let Some(volume) = self.volume(name) else {
            return Outcome::Done;
        };
        let finalizer = &self.driver.finalizer;
        if !finalizer::is_removable(&volume, finalizer, &self.driver.name)
            || !self.attachments_of(name).is_empty()
        {
            return Outcome::Done;
        }
        let patch = finalizer::remove_from_volume(&volume, finalizer);
        match self.patch_volume(&volume, PatchType::Strategic, &patch).await {
            Ok(_) => {
                info!(v = 2, PersistentVolume = %name, "Removed finalizer from PersistentVolume");
                Outcome::Done
            }
            Err(error) if is_gone(&error) => Outcome::Done,
            Err(error) => Outcome::RetryBackoff(text(&error)),
        }
    }
}
