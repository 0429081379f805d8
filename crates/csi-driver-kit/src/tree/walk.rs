//! Reading a tree: every name once, directories before what is in them, in the order of the names.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Entry, Kind, open_below, open_root};
use crate::os_error::{Context, OsError};

/// Gets each entry, and the open file of those that are one.
pub(super) type Visit<'a> = dyn FnMut(Entry, Option<File>) -> Result<(), OsError> + 'a;

/// Called between the look at a file or directory and its opening. Its error becomes that of the opening.
pub(super) type Opening<'a> = dyn FnMut(&Path) -> rustix::io::Result<()> + 'a;

/// Visits everything below `root`, the root first. With `tolerant`, what cannot be read is left out.
pub(super) fn walk(root: &Path, tolerant: bool, visit: &mut Visit<'_>) -> Result<(), OsError> {
    walk_watched(root, tolerant, &mut |_| Ok(()), visit)
}

/// The same for a test that changes the tree at the worst moment.
pub(super) fn walk_watched(
    root: &Path,
    tolerant: bool,
    opening: &mut Opening<'_>,
    visit: &mut Visit<'_>,
) -> Result<(), OsError> {
    let mut walk = Walk { directory: open_root(root)?, root, tolerant, opening, seen: BTreeMap::new() };
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let Some(found) = walk.look(&path)? else { continue };
        let names = match (&found.entry.kind, &found.file) {
            (Kind::Directory, Some(directory)) => walk.names(directory, &path)?,
            _ => Vec::new(),
        };
        let file = found.file.filter(|_| matches!(found.entry.kind, Kind::File(_)));
        visit(found.entry, file)?;
        pending.extend(names.into_iter().rev().map(|name| path.join(name)));
    }
    Ok(())
}

struct Found {
    entry: Entry,
    file: Option<File>,
}

struct Walk<'a, 'b> {
    directory: File,
    root: &'a Path,
    tolerant: bool,
    opening: &'a mut Opening<'b>,
    /// Where a file with several names was visited first.
    seen: BTreeMap<(u64, u64), PathBuf>,
}

impl Walk<'_, '_> {
    /// `None`: gone meanwhile, or nothing that can be kept.
    fn look(&mut self, path: &Path) -> Result<Option<Found>, OsError> {
        match self.try_look(path) {
            // Without the root there is nothing.
            Err(error) if path.as_os_str().is_empty() => Err(error),
            Err(error) if error.errno == Errno::NOENT => Ok(None),
            Err(error) if error.errno == Errno::XDEV => {
                tracing::warn!(path = %self.root.join(path).display(), "Left out: something is mounted there");
                Ok(None)
            }
            Err(error) if self.tolerant => {
                tracing::warn!(%error, "Left out");
                Ok(None)
            }
            result => result,
        }
    }

    fn try_look(&mut self, path: &Path) -> Result<Option<Found>, OsError> {
        let place = open_below(&self.directory, self.root, path, OFlags::PATH, Mode::empty())?;
        let full = self.root.join(path);
        let stat = rustix::fs::fstat(&place).context("stat", &full)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => self.file_kind(&stat),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&place, c"", Vec::new()).context("read link", &full)?;
                Kind::Link(OsString::from_vec(target.into_bytes()).into())
            }
            FileType::CharacterDevice => Kind::CharacterDevice(stat.st_rdev),
            FileType::BlockDevice => Kind::BlockDevice(stat.st_rdev),
            FileType::Fifo => Kind::Fifo,
            // A socket is of no use without the process behind it.
            _ => return Ok(None),
        };
        let file = match &kind {
            Kind::Directory | Kind::File(_) => {
                (self.opening)(path).and_then(|()| reopen(&place)).context("open", &full).map(Some)?
            }
            _ => None,
        };
        let attributes = file.as_ref().map_or(Ok(Vec::new()), |file| attributes(file, &full))?;
        // Nothing is left that can fail: other names may refer to this one.
        if stat.st_nlink > 1 && matches!(kind, Kind::File(_)) {
            self.seen.insert(identity(&stat), path.to_path_buf());
        }
        Ok(Some(Found { entry: entry(path, kind, &stat, attributes), file }))
    }

    fn file_kind(&self, stat: &Stat) -> Kind {
        // A file with one name can have got the number of one that is gone.
        match self.seen.get(&identity(stat)).filter(|_| stat.st_nlink > 1) {
            Some(first) => Kind::SameAs(first.clone()),
            None => Kind::File(u64::try_from(stat.st_size).unwrap_or_default()),
        }
    }

    fn names(&self, directory: &File, path: &Path) -> Result<Vec<OsString>, OsError> {
        let full = self.root.join(path);
        let mut names = Vec::new();
        for entry in Dir::read_from(directory).context("list", &full)? {
            let name = entry.context("list", &full)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// Opens for reading what was looked at, and nothing that got its name since.
fn reopen(place: &File) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{}", place.as_raw_fd()), flags, Mode::empty()).map(File::from)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn entry(path: &Path, kind: Kind, stat: &Stat, attributes: Vec<(CString, Vec<u8>)>) -> Entry {
    #[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast, reason = "below 10^9 by definition")]
    let nanoseconds = stat.st_mtime_nsec as u32;
    Entry {
        path: path.to_path_buf(),
        kind,
        owner: (stat.st_uid, stat.st_gid),
        mode: stat.st_mode & 0o7777,
        modified: (stat.st_mtime, nanoseconds),
        attributes,
    }
}

/// Extended attributes, access lists among them. A filesystem without any is fine.
fn attributes(file: &File, path: &Path) -> Result<Vec<(CString, Vec<u8>)>, OsError> {
    let mut names = vec![0; 65_536];
    let length = match rustix::fs::flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(errno) => return Err(OsError::new("list attributes of", path, errno)),
    };
    names.truncate(length);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = CString::new(name) else { continue };
        let mut value = vec![0; 65_536];
        match rustix::fs::fgetxattr(file, &name, value.as_mut_slice()) {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(errno) => return Err(OsError::new("read an attribute of", path, errno)),
        }
        found.push((name, value));
    }
    Ok(found)
}
