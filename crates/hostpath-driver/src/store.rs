//! The state file and its journal: what is in memory is what is on the disk, after success and after failure.
//!
//! `state.json` has the form that upstream's driver writes. Written anew for every change it would make each call take longer
//! with every volume, so changes go into a journal beside it, which is folded into the file at every start, at the end, and when it has
//! become as long as the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use csi_driver_kit::durable::{DurableFile, ReplaceError};
use csi_driver_kit::journal::{Journal, JournalError};
use csi_driver_kit::os_error::OsError;

use crate::error::Error;
use crate::state::State;
use crate::steps::Steps;

const FILE: &str = "state.json";
const JOURNAL: &str = ".state.json.journal";

/// A journal shorter than this is not worth folding while the driver runs.
const SHORT: u64 = 256 * 1024;

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
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal is not one of states.
    #[error(
        "{reason}: it has been left as it is. Restore it together with {FILE} from a backup; or move it away and start with what \
         {FILE} has, which is older"
    )]
    Journal {
        /// What is wrong with it, and its name.
        reason: String,
    },
}

impl From<JournalError> for LoadError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Os(error) => Self::Os(error),
            damaged @ JournalError::Damaged { .. } => Self::Journal { reason: damaged.to_string() },
        }
    }
}

/// The state in memory and on the disk.
#[derive(Debug)]
pub struct Store {
    current: Mutex<Arc<State>>,
    /// Held by who changes the state, from reading it until the change is on the disk.
    disk: Mutex<Disk>,
    steps: Steps,
}

#[derive(Debug)]
struct Disk {
    file: DurableFile,
    journal: Journal,
    /// Bytes of the file.
    written: u64,
    steps: Steps,
}

impl Store {
    /// Reads the state file of `directory` and what the journal has beyond it; a missing file is an empty state.
    pub fn load(directory: &Path, steps: Steps) -> Result<Self, LoadError> {
        let file = DurableFile::new(directory, FILE);
        let content = file.read()?;
        let mut state = match &content {
            None => State::default(),
            Some(content) => State::from_json(content).map_err(|error| LoadError::Damaged {
                file: file.path().to_path_buf(),
                reason: error.to_string(),
            })?,
        };
        let content = content.unwrap_or_default();
        let (journal, records) = Journal::open(directory, JOURNAL, &content)?;
        for record in &records {
            state.replay(record).map_err(|error| LoadError::Journal {
                reason: format!("a record of {} is not understood ({error})", journal.path().display()),
            })?;
        }
        file.reserve()?;
        let mut disk = Disk { file, journal, written: content.len() as u64, steps: steps.clone() };
        if !records.is_empty() || !disk.journal.is_usable() {
            tracing::info!(records = records.len(), "Folding the journal into the state file");
            // Nothing is lost where this fails, on a full disk say.
            if let Err(error) = disk.fold(&state) {
                tracing::warn!(%error, "Could not fold the journal into the state file");
            }
        }
        Ok(Self { current: Mutex::new(Arc::new(state)), disk: Mutex::new(disk), steps })
    }

    /// The state as it is now. Later changes do not show in it.
    pub fn get(&self) -> Arc<State> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// Changes the state on the disk, then in memory; or nowhere, when `change` or the disk refuses.
    pub fn commit<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = State::clone(&self.get());
        let answer = change(&mut next)?;
        let record =
            next.take_changes().map_err(|error| Error::Internal(format!("encode state: {error}")))?;
        let Some(record) = record else { return Ok(answer) };
        self.steps.reach("state: before writing")?;
        match disk.write(&record, &next) {
            // Not durable: the new content is what a restart would find, so it counts.
            result @ (Ok(()) | Err(Error::State(ReplaceError::NotDurable(_)))) => {
                self.set(next);
                result.map(|()| answer)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings the state file up to date, for whoever reads it next.
    pub fn fold(&self) -> Result<(), Error> {
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        if disk.journal.is_usable() && disk.journal.length() == 0 {
            return Ok(());
        }
        disk.fold(&self.get())
    }
}

impl Disk {
    /// Appends to the journal; or writes the file anew, when the journal is long or cannot be appended to. That one has
    /// its blocks already, so this works on a full disk too.
    fn write(&mut self, record: &[u8], next: &State) -> Result<(), Error> {
        if self.journal.is_usable() && self.journal.length() < self.written.max(SHORT) {
            match self.journal.append(record) {
                Ok(()) => return Ok(()),
                Err(error) => tracing::warn!(%error, "Writing the state file anew instead"),
            }
        }
        self.fold(next)
    }

    fn fold(&mut self, state: &State) -> Result<(), Error> {
        let content = state.to_json().map_err(|error| Error::Internal(format!("encode state: {error}")))?;
        let replaced = self.file.replace(&content);
        if let Err(error @ ReplaceError::Unchanged(_)) = replaced {
            return Err(Error::State(error));
        }
        self.written = content.len() as u64;
        let replaced =
            replaced.and_then(|()| self.steps.reach("state: replaced").map_err(ReplaceError::NotDurable));
        if let Err(error) = replaced {
            // A power failure may bring the former content back, and its records with it.
            self.journal.abandon();
            return Err(Error::State(error));
        }
        // A journal that cannot be begun is for the former content, and nobody reads it.
        if let Err(error) = self.journal.begin(&content) {
            tracing::warn!(%error, "The state file is written anew for every change until the journal can be used again");
        }
        Ok(())
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
        store.fold().unwrap();
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

    /// A store with one volume in the file and two in the journal, which was not folded.
    fn with_journal(directory: &Path) -> State {
        let store = Store::load(directory, Steps::default()).unwrap();
        put(&store);
        store.fold().unwrap();
        for id in ["second", "third"] {
            let added = store.commit(|state| {
                state.put(volume(id, id));
                Ok(())
            });
            added.unwrap();
        }
        State::clone(&store.get())
    }

    #[test]
    fn a_start_reads_file_and_journal_and_folds_them() {
        let directory = tempfile::tempdir().unwrap();
        let before = with_journal(directory.path());
        let file = directory.path().join(FILE);
        let read = || State::from_json(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(read().volumes().len(), 1, "the others are in the journal");
        assert_eq!(*Store::load(directory.path(), Steps::default()).unwrap().get(), before);
        assert_eq!(read(), before, "as upstream's driver would read it");
        assert_eq!(*Store::load(directory.path(), Steps::default()).unwrap().get(), before);
    }

    #[test]
    fn a_torn_journal_loses_at_most_its_last_record() {
        let directory = tempfile::tempdir().unwrap();
        with_journal(directory.path());
        let (file, journal) = (directory.path().join(FILE), directory.path().join(JOURNAL));
        let (content, whole) = (std::fs::read(&file).unwrap(), std::fs::read(&journal).unwrap());
        let third = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for length in third..=whole.len() {
            std::fs::write(&file, &content).unwrap();
            std::fs::write(&journal, &whole[..length]).unwrap();
            let store = Store::load(directory.path(), Steps::default()).unwrap();
            assert_eq!(store.get().volumes().len(), if length == whole.len() { 3 } else { 2 });
        }
    }

    #[test]
    fn killed_between_the_file_and_the_journal_nothing_is_done_twice() {
        let directory = tempfile::tempdir().unwrap();
        with_journal(directory.path());
        let journal = directory.path().join(JOURNAL);
        let old = std::fs::read(&journal).unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        let removed = store.commit(|state| {
            state.remove("third");
            Ok(())
        });
        removed.unwrap();
        store.fold().unwrap();
        let before = store.get();
        drop(store);
        std::fs::write(&journal, old).unwrap();
        assert_eq!(Store::load(directory.path(), Steps::default()).unwrap().get(), before);
    }

    #[test]
    fn a_state_file_that_may_not_survive_a_power_failure_costs_no_record() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let directory = tempfile::tempdir().unwrap();
        with_journal(directory.path());
        let file = directory.path().join(FILE);
        let broken = Arc::new(AtomicBool::new(false));
        let breaks = broken.clone();
        let steps = Steps::watched(move |step| match step {
            "state: replaced" if breaks.load(Ordering::SeqCst) => Err(rustix::io::Errno::IO),
            _ => Ok(()),
        });
        let store = Store::load(directory.path(), steps).unwrap();
        let add = |id: &str| {
            store.commit(|state| {
                state.put(volume(id, id));
                Ok(())
            })
        };
        let loaded = || Store::load(directory.path(), Steps::default()).unwrap().get().volumes().len();
        add("fourth").unwrap();
        let old = std::fs::read(&file).unwrap();
        broken.store(true, Ordering::SeqCst);
        assert!(matches!(store.fold(), Err(Error::State(ReplaceError::NotDurable(_)))));
        let new = std::fs::read(&file).unwrap();
        assert_ne!(new, old);
        let journal = std::fs::read(directory.path().join(JOURNAL)).unwrap();
        std::fs::write(&file, &old).unwrap();
        assert_eq!(loaded(), 4, "after a power failure that undid the exchange");
        std::fs::write(&file, &new).unwrap();
        std::fs::write(directory.path().join(JOURNAL), journal).unwrap();
        broken.store(false, Ordering::SeqCst);
        add("fifth").unwrap();
        assert_eq!(loaded(), 5, "no record goes to the journal of the former file");
    }

    #[test]
    fn a_damaged_journal_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        with_journal(directory.path());
        let journal = directory.path().join(JOURNAL);
        let text = std::fs::read_to_string(&journal).unwrap().replacen("second", "sEcond", 1);
        std::fs::write(&journal, &text).unwrap();
        let error = Store::load(directory.path(), Steps::default()).unwrap_err().to_string();
        assert!(error.contains(journal.to_str().unwrap()) && error.contains("backup"), "{error}");
        assert_eq!(std::fs::read_to_string(&journal).unwrap(), text);
    }

    #[test]
    fn a_long_journal_is_folded_while_the_driver_runs() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        let long = "x".repeat(8 * 1024);
        let mut longest = 0;
        for number in 0..80 {
            let added = store.commit(|state| {
                state.put(volume(&format!("{number}"), &format!("{number}-{long}")));
                Ok(())
            });
            added.unwrap();
            longest = longest.max(std::fs::metadata(directory.path().join(JOURNAL)).unwrap().len());
        }
        assert!((SHORT..2 * SHORT).contains(&longest), "{longest}");
        let again = Store::load(directory.path(), Steps::default()).unwrap();
        assert_eq!(again.get().volumes().len(), 80);
    }

    #[test]
    fn a_journal_that_cannot_be_written_to_makes_the_file_be_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::load(directory.path(), Steps::default()).unwrap();
        put(&store);
        let (other, _) = Journal::open(directory.path(), "another", b"").unwrap();
        store.disk.lock().unwrap().journal = other;
        let added = store.commit(|state| {
            state.put(volume("second", "second"));
            Ok(())
        });
        added.unwrap();
        let content = std::fs::read(directory.path().join(FILE)).unwrap();
        assert_eq!(State::from_json(&content).unwrap(), *store.get());
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
