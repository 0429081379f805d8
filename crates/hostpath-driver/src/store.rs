//! The state file: what is in memory is what is on the disk, after success and after failure.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use csi_driver_kit::durable::{DurableFile, ReplaceError};
use csi_driver_kit::os_error::OsError;

use crate::error::Error;
use crate::state::State;
use crate::steps::Steps;

const FILE: &str = "state.json";

/// Why the state could not be read at start-up.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
    /// The content is not a state.
    #[error(
        "state file {} is damaged ({reason}). It has been left as it is. Restore it from a backup; or, if the \
         volumes it lists are not needed any more, move it away and start again with an empty state",
        file.display()
    )]
    Damaged {
        /// The file.
        file: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The state in memory and on the disk.
#[derive(Debug)]
pub struct Store {
    file: DurableFile,
    current: Mutex<Arc<State>>,
    steps: Steps,
}

impl Store {
    /// Reads the state file of `directory`; a missing one is an empty state.
    pub fn load(directory: &Path, steps: Steps) -> Result<Self, LoadError> {
        let file = DurableFile::new(directory, FILE);
        let state = match file.read()? {
            None => State::default(),
            Some(content) => State::from_json(&content).map_err(|error| LoadError::Damaged {
                file: file.path().to_path_buf(),
                reason: error.to_string(),
            })?,
        };
        file.reserve()?;
        Ok(Self { file, current: Mutex::new(Arc::new(state)), steps })
    }

    /// The state as it is now. Later changes do not show in it.
    pub fn get(&self) -> Arc<State> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the state on the disk, then in memory; or nowhere, when `change` or the disk refuses.
    pub fn commit<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = State::clone(&current);
        let answer = change(&mut next)?;
        let content = next.to_json().map_err(|error| Error::Internal(format!("encode state: {error}")))?;
        self.steps.reach("state: before writing")?;
        match self.file.replace(&content) {
            Ok(()) => {
                *current = Arc::new(next);
                Ok(answer)
            }
            Err(error @ ReplaceError::NotDurable(_)) => {
                // The new content is what a restart would find, so it counts.
                *current = Arc::new(next);
                Err(Error::State(error))
            }
            Err(error @ ReplaceError::Unchanged(_)) => Err(Error::State(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Volume;

    fn volume(id: &str, name: &str) -> Volume {
        Volume { id: id.into(), name: name.into(), ..Volume::default() }
    }

    fn put(store: &Store) {
        let added = store.commit(|state| {
            state.put(volume("id", "name"));
            Ok(())
        });
        added.unwrap();
    }

    #[test]
    fn state_add_volume_reload_from_file_find_by_id_and_name_delete_twice() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        put(&store);
        let reloaded = Store::load(directory.path(), Steps::default()).unwrap();
        assert_eq!(reloaded.get().volume("id"), reloaded.get().volume_by_name("name"));
        assert!(reloaded.get().volume("id").is_some());
        for _ in 0..2 {
            let removed = reloaded.commit(|state| {
                state.remove("id");
                Ok(())
            });
            removed.unwrap();
        }
        let again = Store::load(directory.path(), Steps::default()).unwrap();
        assert_eq!(again.get().volumes().len(), 0);
    }

    #[test]
    fn truncated_state_json_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        put(&store);
        drop(store);
        let path = directory.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Store::load(directory.path(), Steps::default()).unwrap_err().to_string();
            assert!(error.contains(path.to_str().unwrap()) && error.contains("backup"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), whole[..length]);
        }
    }

    #[test]
    fn a_refused_change_is_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        let refused: Result<(), _> = store.commit(|state| {
            state.put(volume("id", "name"));
            Err(Error::Internal("no".into()))
        });
        refused.unwrap_err();
        assert_eq!(*store.get(), State::default());
    }
}
