//! Filesystems on block devices: made, grown while mounted, and held still for a copy.
//!
//! Without external programs, so that a driver's image needs nothing but the driver: this crate writes filesystems by
//! itself, growth and freezing are calls to the kernel.

mod control;
mod ext4;
mod xfs;

use std::fs::File;
use std::path::Path;

use crate::mounts;
use crate::os_error::{Context, OsError};

/// A kind of filesystem that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4. The kernel lets it grow while mounted only for a process with CAP_SYS_RESOURCE.
    Ext4,
    /// XFS.
    Xfs,
}

/// What a new filesystem is told about itself.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// The time of its creation, in seconds since 1970.
    pub created: u32,
    /// Permissions of its root directory.
    pub root_mode: u16,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// The kind that `mount` knows under this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name for `mount`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Bytes of the smallest one.
    pub fn smallest(self) -> u64 {
        match self {
            Self::Ext4 => ext4::SMALLEST,
            Self::Xfs => xfs::SMALLEST,
        }
    }

    /// Makes an empty one of `bytes` bytes in `file`, which `path` is the name of, and forces it to the disk. The file
    /// must read as zeros.
    pub fn format(self, file: &File, path: &Path, bytes: u64, identity: &Identity) -> Result<(), OsError> {
        match self {
            Self::Ext4 => ext4::format(file, path, bytes, identity),
            Self::Xfs => xfs::format(file, path, bytes, identity),
        }
    }

    /// Mounts the one on the block device `device` at the directory `target`.
    pub fn mount(self, device: &Path, target: &Path) -> Result<(), OsError> {
        let options = match self {
            Self::Ext4 => c"",
            // A clone has the UUID of its original, and both may be mounted here.
            Self::Xfs => c"nouuid",
        };
        mounts::mount_device(device, target, self.name(), options)
    }

    /// Makes the one that is mounted at `mounted` as large as its device, or the image behind it, lets it be. Large
    /// enough already is fine.
    pub fn grow(self, mounted: &Path, device: &Path) -> Result<(), OsError> {
        let directory = File::open(mounted).context("open", mounted)?;
        let grown = match self {
            Self::Ext4 => match ext4::missing_blocks(device)? {
                Some(blocks) => control::resize_ext4(&directory, blocks),
                None => Ok(()),
            },
            Self::Xfs => control::resize_xfs(&directory, xfs::usable_blocks(device)?, xfs::INODES_PERCENT),
        };
        grown.context("grow filesystem", mounted)
    }
}

/// A filesystem that takes no writes until this value is dropped.
#[derive(Debug)]
#[must_use = "dropping it lets writers go on"]
pub struct Frozen(Option<File>);

impl Frozen {
    /// Writes everything to the device and makes writers wait. Where it is frozen already, somebody else thaws it.
    pub fn freeze(mounted: &Path) -> Result<Self, OsError> {
        let directory = File::open(mounted).context("open", mounted)?;
        match control::freeze(&directory) {
            Ok(()) => Ok(Self(Some(directory))),
            Err(rustix::io::Errno::BUSY) => Ok(Self(None)),
            Err(errno) => Err(OsError::new("freeze filesystem", mounted, errno)),
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // INVAL: somebody else has thawed it.
        if let Some(directory) = &self.0
            && let Err(error) = control::thaw(directory)
            && error != rustix::io::Errno::INVAL
        {
            tracing::error!(%error, "Could not thaw a filesystem; run fsfreeze --unfreeze on it");
        }
    }
}

/// Takes a filesystem that a killed process left frozen out of that state. One that is not frozen is fine.
pub fn thaw(mounted: &Path) -> Result<(), OsError> {
    let directory = File::open(mounted).context("open", mounted)?;
    match control::thaw(&directory) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
        Err(errno) => Err(OsError::new("thaw filesystem", mounted, errno)),
    }
}

#[cfg(test)]
mod tests;
