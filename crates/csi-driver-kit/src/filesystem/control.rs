//! The ioctls of filesystems.
#![expect(unsafe_code, reason = "ioctl is untyped; each call says why its argument is right")]

use std::fs::File;

use rustix::ioctl::{self, Opcode, Setter};

// linux/ext4.h: _IOW('f', 16, __u64)
const EXT4_IOC_RESIZE_FS: Opcode = 0x4008_6610;
// xfs_fs.h: _IOW('X', 110, struct xfs_growfs_data)
const XFS_IOC_FSGROWFSDATA: Opcode = 0x4010_586E;
// linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int)
const FIFREEZE: Opcode = 0xC004_5877;
const FITHAW: Opcode = 0xC004_5878;

/// Grows the mounted ext4 that `directory` is on to this number of blocks.
pub(super) fn resize_ext4(directory: &File, blocks: u64) -> rustix::io::Result<()> {
    // SAFETY: EXT4_IOC_RESIZE_FS reads one 64-bit number; other filesystems answer ENOTTY.
    unsafe { ioctl::ioctl(directory, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }
}

/// `struct xfs_growfs_data`.
#[repr(C)]
struct Growth {
    blocks: u64,
    inodes_percent: u32,
    padding: u32,
}

/// Grows the mounted XFS that `directory` is on to this number of blocks.
pub(super) fn resize_xfs(directory: &File, blocks: u64, inodes_percent: u32) -> rustix::io::Result<()> {
    let growth = Growth { blocks, inodes_percent, padding: 0 };
    // SAFETY: XFS_IOC_FSGROWFSDATA reads one `struct xfs_growfs_data`; other filesystems answer ENOTTY.
    unsafe { ioctl::ioctl(directory, Setter::<XFS_IOC_FSGROWFSDATA, Growth>::new(growth)) }
}

/// Stops writing to the filesystem that `directory` is on; EBUSY if it is stopped already.
pub(super) fn freeze(directory: &File) -> rustix::io::Result<()> {
    // SAFETY: the kernel ignores the argument of FIFREEZE.
    unsafe { ioctl::ioctl(directory, Setter::<FIFREEZE, i32>::new(0)) }
}

/// Lets writers go on; EINVAL if nothing was stopped.
pub(super) fn thaw(directory: &File) -> rustix::io::Result<()> {
    // SAFETY: the kernel ignores the argument of FITHAW.
    unsafe { ioctl::ioctl(directory, Setter::<FITHAW, i32>::new(0)) }
}
