//! An empty ext4, written block by block.
//!
//! The layout is the plainest one that can grow while mounted: block groups of 128 MiB, each with its own bitmaps and
//! inode table, descriptors spread over the groups (`meta_bg`, so growth needs no room set aside), a journal in the
//! first group. It is described in the kernel's `Documentation/filesystems/ext4`. The file or device must read as
//! zeros where nothing is written, as a new file does.

mod layout;

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use layout::{BLOCK, Layout};
use rustix::io::Errno;

use super::Identity;
use crate::os_error::{Context as _, OsError};

/// Bytes of the smallest filesystem.
pub(super) const SMALLEST: u64 = 1 << 20;

/// The blocks that the filesystem on `device` could have and has not; `None` if it has them all. A last group too small for its
/// own tables is left out.
///
/// The kernel is not to be asked for the size that is there already: without CAP_SYS_RESOURCE it refuses even that.
pub(super) fn missing_blocks(device: &Path) -> Result<Option<u64>, OsError> {
    let mut file = File::open(device).context("open", device)?;
    let bytes = file.seek(SeekFrom::End(0)).context("find the end of", device)?;
    let mut superblock = [0; 1024];
    file.read_exact_at(&mut superblock, 1024).context("read", device)?;
    let known = layout::inodes_per_group(&superblock).zip(layout::blocks(&superblock));
    let (inodes_per_group, blocks) =
        known.ok_or_else(|| OsError::new("find an ext4 of the expected kind in", device, Errno::INVAL))?;
    Ok(Some(layout::usable(bytes / BLOCK, inodes_per_group)).filter(|usable| *usable > blocks))
}

/// Writes an empty ext4 of `bytes` bytes into `file`, which `path` is the name of, and forces it to the disk.
pub(super) fn format(file: &File, path: &Path, bytes: u64, identity: &Identity) -> Result<(), OsError> {
    let layout = Layout::plan(bytes).ok_or_else(|| {
        let errno = if bytes < SMALLEST { Errno::NOSPC } else { Errno::FBIG };
        OsError::new("make an ext4 filesystem of this size in", path, errno)
    })?;
    for (block, content) in layout.write(identity) {
        file.write_all_at(&content, block * BLOCK).context("write", path)?;
    }
    file.sync_all().context("sync", path)
}
