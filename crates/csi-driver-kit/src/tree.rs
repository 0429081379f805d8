//! What users put into a directory volume, whatever it is, read and written whole: for clones ([`copy`]) and for
//! snapshots ([`archive`]).
//!
//! A pod that runs meanwhile may rename anything into anything, and an archive can come from elsewhere. So every
//! name is resolved below the root by the kernel, which follows no link and crosses no mount.

pub mod archive;
mod copy;
mod walk;
mod write;

use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::os_error::{Context, OsError};

pub use copy::{copy, copy_file};

/// What a name in the tree stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link to this text.
    Link(PathBuf),
    /// Another name of an earlier file of the same tree.
    SameAs(PathBuf),
    CharacterDevice(u64),
    BlockDevice(u64),
    Fifo,
}

/// One name, relative to the root; the root itself has the empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) owner: (u32, u32),
    pub(crate) mode: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) modified: (i64, u32),
    pub(crate) attributes: Vec<(CString, Vec<u8>)>,
}

/// Opens a name below `root`, through no link and no mount. The empty name is the root.
fn open_below(
    root: &File,
    root_path: &Path,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> Result<File, OsError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let name = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // A pipe must not hold up whoever opens it.
    let wait = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | wait;
    loop {
        match rustix::fs::openat2(root, name, flags, mode, resolve) {
            Ok(descriptor) => return Ok(File::from(descriptor)),
            // Somebody renamed something at the same moment.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(OsError::new("open", root_path.join(path), errno)),
        }
    }
}

fn open_root(root: &Path) -> Result<File, OsError> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(root, flags, Mode::empty()).map(File::from).context("open", root)
}

#[cfg(test)]
mod tests;
