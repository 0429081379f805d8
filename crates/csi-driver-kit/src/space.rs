//! How much room there is and how it is taken: statistics of a filesystem, and files with blocks of their own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use csi_client::csi::{VolumeUsage, volume_usage::Unit};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::os_error::{Context, OsError};

/// Numbers of the filesystem that a path is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Size in bytes.
    pub total_bytes: u64,
    /// Bytes that anybody may still write.
    pub available_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Number of inodes; 0 where the filesystem has no fixed number.
    pub total_inodes: u64,
    /// Inodes not in use.
    pub free_inodes: u64,
}

impl Space {
    /// Asks the filesystem that `path` is on.
    pub fn of(path: &Path) -> Result<Self, OsError> {
        let numbers = rustix::fs::statvfs(path).context("statfs", path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(numbers.f_frsize);
        Ok(Self {
            total_bytes: bytes(numbers.f_blocks),
            available_bytes: bytes(numbers.f_bavail),
            used_bytes: bytes(numbers.f_blocks.saturating_sub(numbers.f_bfree)),
            total_inodes: numbers.f_files,
            free_inodes: numbers.f_ffree,
        })
    }

    /// The two entries of NodeGetVolumeStats: bytes, then inodes.
    pub fn usage(&self) -> Vec<VolumeUsage> {
        let inodes_used = self.total_inodes.saturating_sub(self.free_inodes);
        vec![
            entry(Unit::Bytes, self.available_bytes, self.total_bytes, self.used_bytes),
            entry(Unit::Inodes, self.free_inodes, self.total_inodes, inodes_used),
        ]
    }
}

fn entry(unit: Unit, available: u64, total: u64, used: u64) -> VolumeUsage {
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    VolumeUsage { available: clamp(available), total: clamp(total), used: clamp(used), unit: unit.into() }
}

/// Makes a new file of `size` bytes whose blocks are all reserved, and forces it to the disk.
///
/// Where the filesystem cannot reserve, the file is sparse: it then works until the disk is full. On failure no
/// file is left.
pub fn create_allocated(path: &Path, size: u64, mode: u32) -> Result<(), OsError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .context("create", path)?;
    fill(&file, path, size).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })
}

/// Makes a file as long as `size`, with all blocks reserved, and forces it to the disk. On failure it has its old
/// length; a longer one is left as it is.
pub fn extend_allocated(path: &Path, size: u64) -> Result<(), OsError> {
    let file = OpenOptions::new().read(true).write(true).open(path).context("open", path)?;
    let before = file.metadata().context("stat", path)?.len();
    if before >= size {
        return Ok(());
    }
    fill(&file, path, size).inspect_err(|_| {
        let _ = file.set_len(before);
    })
}

fn fill(file: &File, path: &Path, size: u64) -> Result<(), OsError> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            tracing::warn!(path = %path.display(), "filesystem cannot reserve space, the file is sparse");
            file.set_len(size).context("set the size of", path)?;
        }
        Err(errno) => return Err(OsError::new("allocate", path, errno)),
    }
    file.sync_all().context("sync", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocated_file_has_its_size_and_its_blocks() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        create_allocated(&path, 1 << 20, 0o600).unwrap();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), 1 << 20);
        assert!(metadata.blocks() * 512 >= 1 << 20);
        assert_eq!(create_allocated(&path, 1, 0o600).unwrap_err().errno, Errno::EXIST);
    }

    #[test]
    fn a_file_is_extended_or_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        create_allocated(&path, 1 << 20, 0o600).unwrap();
        extend_allocated(&path, 2 << 20).unwrap();
        extend_allocated(&path, 1 << 20).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 << 20);
        extend_allocated(&path, 1 << 60).unwrap_err();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 << 20);
    }

    #[test]
    fn no_room_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        let error = create_allocated(&path, 1 << 60, 0o600).unwrap_err();
        assert!(matches!(error.errno, Errno::NOSPC | Errno::FBIG), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn usage_has_bytes_and_inodes() {
        let space = Space::of(Path::new("/")).unwrap();
        let usage = space.usage();
        assert_eq!(usage.len(), 2);
        assert_eq!(usage[0].unit(), Unit::Bytes);
        assert!(usage[0].total > 0);
        assert_eq!(usage[1].unit(), Unit::Inodes);
    }
}
