//! A small file that is always either the old or the new one, also after a crash or on a full disk.
//!
//! Two files take turns. The new content goes into the *spare*, is forced to the disk, and the two names are
//! exchanged in one step. The former content becomes the next spare, so its blocks stay reserved: on a full disk
//! a driver can still record that a volume is gone, which is what makes room again.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FallocateFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;

use crate::os_error::{Context, OsError};

/// Blocks that a new spare reserves, so that a few records fit even when the disk fills up right after start.
const RESERVE: u64 = 64 * 1024;

/// A file with atomic, durable replacement.
#[derive(Debug)]
pub struct DurableFile {
    path: PathBuf,
    spare: PathBuf,
    directory: PathBuf,
    /// Whether a power failure may still exchange file and spare. Then the spare must not be touched.
    in_doubt: AtomicBool,
}

/// What became of a replacement that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The old content is still in place.
    #[error(transparent)]
    Unchanged(OsError),
    /// The new content is in place, but may be lost by a power failure.
    #[error("{0} (the change is in effect, but may not survive a power failure)")]
    NotDurable(OsError),
}

impl DurableFile {
    /// The file `name` in `directory`; nothing is touched yet.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self {
            path: directory.join(name),
            spare: directory.join(format!(".{name}.spare")),
            directory: directory.to_path_buf(),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Where the current content is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The current content; `None` if it was never written.
    pub fn read(&self) -> Result<Option<Vec<u8>>, OsError> {
        match std::fs::read(&self.path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OsError::io("read", &self.path, &error)),
        }
    }

    /// Reserves the spare's blocks. A full disk is no error: the first replacement will tell.
    pub fn reserve(&self) -> Result<(), OsError> {
        let file = self.open_spare()?;
        match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVE) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => Ok(()),
            Err(errno) => Err(OsError::new("reserve space for", &self.spare, errno)),
        }
    }

    /// Puts `content` in the place of what was there.
    pub fn replace(&self, content: &[u8]) -> Result<(), ReplaceError> {
        if self.in_doubt.load(Ordering::Relaxed) {
            self.settle().map_err(ReplaceError::Unchanged)?;
        }
        self.fill_spare(content).map_err(ReplaceError::Unchanged)?;
        self.exchange().map_err(ReplaceError::Unchanged)?;
        self.in_doubt.store(true, Ordering::Relaxed);
        self.settle().map_err(ReplaceError::NotDurable)
    }

    fn settle(&self) -> Result<(), OsError> {
        sync_directory(&self.directory)?;
        self.in_doubt.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Overwrites instead of truncating first: truncation would give the reserved blocks back.
    fn fill_spare(&self, content: &[u8]) -> Result<(), OsError> {
        let mut file = self.open_spare()?;
        file.write_all(content).context("write", &self.spare)?;
        let length = content.len() as u64;
        if file.metadata().context("stat", &self.spare)?.len() > length {
            file.set_len(length).context("truncate", &self.spare)?;
        }
        file.sync_all().context("sync", &self.spare)
    }

    fn open_spare(&self) -> Result<File, OsError> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.spare)
            .context("open", &self.spare)
    }

    fn exchange(&self) -> Result<(), OsError> {
        match rustix::fs::renameat_with(CWD, &self.spare, CWD, &self.path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            // First write, or a filesystem that cannot exchange.
            Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::rename(&self.spare, &self.path).context("rename to", &self.path)
            }
            Err(errno) => Err(OsError::new("rename to", &self.path, errno)),
        }
    }
}

/// Forces names made, changed or removed in `directory` to the disk.
pub fn sync_directory(directory: &Path) -> Result<(), OsError> {
    File::open(directory).and_then(|file| file.sync_all()).context("sync", directory)
}

/// Renames so that the new name survives a power failure.
pub fn rename(from: &Path, to: &Path) -> Result<(), OsError> {
    rustix::fs::rename(from, to).context("rename to", to)?;
    to.parent().map_or(Ok(()), sync_directory)
}

/// Whether anything has this name; a link counts as itself.
pub fn exists(path: &Path) -> Result<bool, OsError> {
    match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(OsError::new("stat", path, errno)),
    }
}

/// Sole ownership of a directory for as long as this value lives, also against other containers.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "directory {} is in use by another process: stop that one, or give each its own directory",
        .0.display()
    )]
    Held(PathBuf),
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

impl DirectoryLock {
    /// Takes the lock or says who is in the way. The kernel releases it with the process, however that ends.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let file = File::open(directory).context("open", directory)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _directory: file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held(directory.to_path_buf())),
            Err(errno) => Err(OsError::new("lock", directory, errno).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_never_written_is_none_then_the_last_content() {
        let directory = tempfile::tempdir().unwrap();
        let file = DurableFile::new(directory.path(), "state.json");
        assert_eq!(file.read().unwrap(), None);
        file.reserve().unwrap();
        for content in ["first", "a longer second", "third"] {
            file.replace(content.as_bytes()).unwrap();
            assert_eq!(file.read().unwrap().unwrap(), content.as_bytes());
        }
    }

    #[test]
    fn a_torn_spare_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let file = DurableFile::new(directory.path(), "state.json");
        file.replace(b"good").unwrap();
        std::fs::write(&file.spare, b"half a wri").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"good");
        file.replace(b"new").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"new");
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let file = DurableFile::new(directory.path(), "state.json");
        file.replace(b"old").unwrap();
        std::fs::remove_file(&file.spare).ok();
        std::fs::create_dir(&file.spare).unwrap();
        assert!(matches!(file.replace(b"new"), Err(ReplaceError::Unchanged(_))));
        assert_eq!(file.read().unwrap().unwrap(), b"old");
    }

    #[test]
    fn while_a_power_failure_may_bring_the_old_content_back_it_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = DurableFile::new(directory.path(), "state.json");
        for content in ["older", "old"] {
            file.replace(content.as_bytes()).unwrap();
        }
        // Something that cannot be forced to the disk, since it is not there.
        file.directory = directory.path().join("missing");
        assert!(matches!(file.replace(b"new"), Err(ReplaceError::NotDurable(_))));
        assert!(matches!(file.replace(b"newer"), Err(ReplaceError::Unchanged(_))));
        assert_eq!(file.read().unwrap().unwrap(), b"new");
        assert_eq!(std::fs::read(&file.spare).unwrap(), b"old");
        file.directory = directory.path().to_path_buf();
        file.replace(b"newer").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"newer");
    }

    #[test]
    fn two_owners_of_one_directory_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(directory.path()).unwrap();
        let refused = DirectoryLock::acquire(directory.path()).unwrap_err();
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
        drop(first);
        DirectoryLock::acquire(directory.path()).unwrap();
    }
}
