//! Our finalizer on volumes that are about to be attached (sheet 5.8).
//!
//! A volume that is wanted on several nodes at once gets its finalizer once: whoever comes second waits for the first and
//! finds it there. The patch itself would notice too, but a refused call is an error that users see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sidecar_core::objects::{Interned, Volume};

use super::Shared;
use super::api::{PatchType, text};
use super::attach::volume_not_found;
use crate::policy::failure::Failure;
use crate::policy::{finalizer, target};

type Turn = Arc<tokio::sync::Mutex<()>>;

/// Whose turn it is, by volume.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Mutex<BTreeMap<Interned, Turn>>,
}

impl Turns {
    fn of(&self, volume: &Interned) -> Turn {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(volume.clone()).or_default().clone()
    }

    /// The last one forgets the volume.
    fn end(&self, volume: &Interned, turn: Turn) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        drop(turn);
        if waiting.get(volume).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            waiting.remove(volume);
        }
    }
}

impl Shared {
    /// The volume of this name, with our finalizer on it.
    pub(super) async fn guarded(&self, name: &Interned) -> Result<Arc<Volume>, Failure> {
        let volume = self.attachable(name)?;
        if volume.meta.finalizers.has(&self.driver.finalizer) {
            return Ok(volume);
        }
        let turn = self.turns.of(name);
        let guarded = {
            let _mine = turn.lock().await;
            self.guard(name).await
        };
        self.turns.end(name, turn);
        guarded
    }

    async fn guard(&self, name: &Interned) -> Result<Arc<Volume>, Failure> {
        let (volume, finalizer) = (self.attachable(name)?, &self.driver.finalizer);
        if volume.meta.finalizers.has(finalizer) {
            return Ok(volume);
        }
        let patch = finalizer::add_to_volume(&volume, finalizer);
        self.patch_volume(&volume, PatchType::Json, &patch).await.map_err(|error| {
            Failure::new(format!("could not add PersistentVolume finalizer: {}", text(&error)))
        })
    }

    fn attachable(&self, name: &Interned) -> Result<Arc<Volume>, Failure> {
        let volume = self.volume(name).ok_or_else(|| volume_not_found(name))?;
        target::check_attachable(&volume)?;
        Ok(volume)
    }
}
