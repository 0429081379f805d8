//! Writing a tree into an empty directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Entry, Kind, open_below, open_root};
use crate::os_error::{Context, OsError};

/// Puts entries below a root, parents before what is in them.
#[derive(Debug)]
pub(super) struct Writer {
    root: File,
    path: PathBuf,
    /// Times of directories change with every entry in them, so they come last.
    directories: Vec<Entry>,
}

impl Writer {
    pub(super) fn new(root: &Path) -> Result<Self, OsError> {
        Ok(Self { root: open_root(root)?, path: root.to_path_buf(), directories: Vec::new() })
    }

    /// Makes the entry. `write` writes the content of a file.
    pub(super) fn add(
        &mut self,
        entry: Entry,
        write: impl FnOnce(&File, &Path) -> Result<(), OsError>,
    ) -> Result<(), OsError> {
        let full = self.path.join(&entry.path);
        if entry.path.as_os_str().is_empty() {
            self.directories.push(entry);
            return Ok(());
        }
        let (parent, name) = self.parent(&entry.path)?;
        let rights = Mode::RUSR | Mode::WUSR | Mode::XUSR;
        match &entry.kind {
            Kind::Directory => {
                match rustix::fs::mkdirat(&parent, &name, rights) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(OsError::new("create directory", full, errno)),
                }
                self.directories.push(entry);
                return Ok(());
            }
            Kind::File(_) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
                let file = open_below(&self.root, &self.path, &entry.path, flags, Mode::RUSR | Mode::WUSR)?;
                write(&file, &full)?;
                return describe(&file, &full, &entry);
            }
            Kind::SameAs(other) => {
                let (from, old) = self.parent(other)?;
                return rustix::fs::linkat(&from, &old, &parent, &name, AtFlags::empty())
                    .context("link", full);
            }
            Kind::Link(target) => rustix::fs::symlinkat(target, &parent, &name),
            Kind::CharacterDevice(device) => {
                rustix::fs::mknodat(&parent, &name, FileType::CharacterDevice, rights, *device)
            }
            Kind::BlockDevice(device) => {
                rustix::fs::mknodat(&parent, &name, FileType::BlockDevice, rights, *device)
            }
            Kind::Fifo => rustix::fs::mknodat(&parent, &name, FileType::Fifo, rights, 0),
        }
        .context("create", &full)?;
        describe_unopened(&parent, &name, &full, &entry)
    }

    fn parent(&self, path: &Path) -> Result<(File, PathBuf), OsError> {
        let name = path.file_name().ok_or_else(|| OsError::new("use as a name", path, Errno::INVAL))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        Ok((open_below(&self.root, &self.path, parent, flags, Mode::empty())?, name.into()))
    }

    /// Gives the directories their owners, rights and times, and forces everything to the disk.
    pub(super) fn finish(self) -> Result<(), OsError> {
        for entry in self.directories.iter().rev() {
            let full = self.path.join(&entry.path);
            let flags = OFlags::DIRECTORY | OFlags::RDONLY;
            let directory = open_below(&self.root, &self.path, &entry.path, flags, Mode::empty())?;
            describe(&directory, &full, entry)?;
        }
        rustix::fs::syncfs(&self.root).context("sync", &self.path)
    }
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.modified.0, tv_nsec: entry.modified.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    let (user, group) = entry.owner;
    // The highest number means "leave as it is" to the kernel, and nobody has it.
    let user = (user != u32::MAX).then(|| Uid::from_raw(user));
    (user, (group != u32::MAX).then(|| Gid::from_raw(group)))
}

/// Owner first: changing it takes set-user-id and capabilities away.
fn describe(file: &File, path: &Path, entry: &Entry) -> Result<(), OsError> {
    let (user, group) = owner(entry);
    rustix::fs::fchown(file, user, group).context("set the owner of", path)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(entry.mode)).context("set the rights of", path)?;
    for (name, value) in &entry.attributes {
        match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => {
                tracing::warn!(path = %path.display(), ?name, "The filesystem has no such attributes");
            }
            Err(errno) => return Err(OsError::new("set an attribute of", path, errno)),
        }
    }
    rustix::fs::futimens(file, &times(entry)).context("set the times of", path)
}

/// The same for what cannot be opened without side effects.
fn describe_unopened(parent: &File, name: &Path, path: &Path, entry: &Entry) -> Result<(), OsError> {
    let (user, group) = owner(entry);
    rustix::fs::chownat(parent, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
        .context("set the owner of", path)?;
    // Links have no rights of their own.
    if !matches!(entry.kind, Kind::Link(_)) {
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .context("set the rights of", path)?;
    }
    rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
        .context("set the times of", path)
}
