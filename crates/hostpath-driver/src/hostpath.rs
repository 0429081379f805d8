//! The driver itself: its settings, its memory, and its directory.
//!
//! Methods are synchronous: each is a sequence of system calls in an order that survives being cut off anywhere.
//! One file per call or pair of calls, under `controller/` and `node/`; the gRPC side is in the service files.

use std::os::unix::fs::DirBuilderExt;

use csi_driver_kit::durable::{DirectoryLock, LockError};
use csi_driver_kit::exclusivity::Exclusivity;
use csi_driver_kit::os_error::{Context as _, OsError};
use sidecar_core::random::Random;

use crate::config::Config;
use crate::data::Data;
use crate::error::Error;
use crate::reconcile;
use crate::state::Volume;
use crate::steps::Steps;
use crate::still::Ending;
use crate::store::{LoadError, Store};

/// Mode of a state directory that has to be made.
const STATE_DIR_MODE: u32 = 0o750;

/// The driver. One per state directory.
#[derive(Debug)]
pub struct Hostpath {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) data: Data,
    pub(crate) keys: Exclusivity,
    pub(crate) steps: Steps,
    pub(crate) random: Random,
    pub(crate) ending: Ending,
    _lock: DirectoryLock,
}

/// Why the driver could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is missing or wrong.
    #[error("{0}")]
    Config(String),
    /// Another process has the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state is not readable.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
    /// Cleaning up after an earlier end failed.
    #[error("{0}")]
    Reconcile(#[from] Error),
}

impl Hostpath {
    /// Takes the state directory, reads the state and finishes or undoes what an earlier process left half done.
    pub fn open(config: Config, random: Random, steps: Steps) -> Result<Self, OpenError> {
        config.check().map_err(|text| OpenError::Config(text.into()))?;
        let directory = &config.state_dir;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(STATE_DIR_MODE)
            .create(directory)
            .context("create directory", directory)?;
        // Paths are compared with the kernel's later, which has no links and no relative ones.
        let directory = directory.canonicalize().context("resolve", directory)?;
        let lock = DirectoryLock::acquire(&directory)?;
        let store = Store::load(&directory, steps.clone())?;
        let data = Data::open(&directory)?;
        let (keys, ending) = (Exclusivity::default(), Ending::default());
        let driver = Self { config, store, data, keys, steps, random, ending, _lock: lock };
        reconcile::run(&driver)?;
        Ok(driver)
    }

    /// To be called when no call will come any more: whoever reads the state file next, upstream's driver maybe, finds all in it.
    pub fn close(&self) -> Result<(), Error> {
        self.store.fold()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The keys that calls hold; the service takes from the same.
    pub fn exclusivity(&self) -> Exclusivity {
        self.keys.clone()
    }

    /// A handle that nothing has; with seeded randomness a restarted driver draws the same ones again.
    pub(crate) fn new_id(&self) -> String {
        let state = self.store.get();
        loop {
            let id = self.random.uuid().to_string();
            let taken = state.volume(&id).is_some()
                || state.snapshots().get(&id).is_some()
                || state.groups().get(&id).is_some();
            if !taken {
                return id;
            }
        }
    }

    /// The volume, or NOT_FOUND.
    pub(crate) fn volume(&self, id: &str) -> Result<std::sync::Arc<Volume>, Error> {
        self.store.get().volume(id).cloned().ok_or_else(|| Error::NoSuchVolume(id.to_owned()))
    }
}
