//! An empty XFS, written block by block.
//!
//! Version 5 (every block has a checksum) with the fewest features: allocation groups with their headers and three
//! B-trees of one block each, one chunk of inodes with the root directory, an empty log. The layout is described in
//! the "XFS Algorithms & Data Structures" book. Unlike ext4 it grows while mounted without CAP_SYS_RESOURCE, which
//! many containers do not have. The file or device must read as zeros where nothing is written, as a new file does.

mod layout;

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use layout::{BLOCK, Layout, SECTOR};
use rustix::io::Errno;

use super::Identity;
use crate::os_error::{Context as _, OsError};

/// Bytes of the smallest filesystem: two allocation groups, one of them with the log.
pub(super) const SMALLEST: u64 = 32 << 20;

/// The blocks that there is room for on `device`; the kernel leaves out a last group that would be too small.
pub(super) fn usable_blocks(device: &Path) -> Result<u64, OsError> {
    let mut file = File::open(device).context("open", device)?;
    Ok(file.seek(SeekFrom::End(0)).context("find the end of", device)? / BLOCK)
}

/// The share of inodes in percent, which growth has to repeat.
pub(super) const INODES_PERCENT: u32 = layout::INODES_PERCENT as u32;

/// Writes an empty XFS of `bytes` bytes into `file`, which `path` is the name of, and forces it to the disk.
pub(super) fn format(file: &File, path: &Path, bytes: u64, identity: &Identity) -> Result<(), OsError> {
    let layout = Layout::plan(bytes).ok_or_else(|| {
        let errno = if bytes < SMALLEST { Errno::NOSPC } else { Errno::FBIG };
        OsError::new("make an XFS filesystem of this size in", path, errno)
    })?;
    for (sector, content) in layout.write(identity) {
        file.write_all_at(&content, sector * SECTOR).context("write", path)?;
    }
    file.sync_all().context("sync", path)
}
