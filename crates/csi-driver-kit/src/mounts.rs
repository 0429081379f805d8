//! Bind mounts by system call, and the mount table to know what is mounted where.
//!
//! `mount` and `umount` programs are not called: the image of a driver then needs nothing but the driver, and a
//! refusal keeps its error number.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::os_error::{Context, OsError};

const MOUNT_INFO: &str = "/proc/self/mountinfo";

/// One line of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The path inside its filesystem that appears at `point`.
    pub root: PathBuf,
    /// Major and minor number of the filesystem.
    pub device: (u32, u32),
    /// Options of this mount (not of the filesystem): `rw`, `nosuid`, `relatime`.
    pub options: Vec<String>,
    /// Type of the filesystem.
    pub fs_type: String,
}

impl Mount {
    /// Whether writing through this mount is refused.
    pub fn read_only(&self) -> bool {
        self.options.iter().any(|option| option == "ro")
    }

    /// The flags that a remount must repeat so as not to lose them.
    fn flags(&self) -> MountFlags {
        self.options.iter().fold(MountFlags::empty(), |flags, option| {
            flags
                | match option.as_str() {
                    "ro" => MountFlags::RDONLY,
                    "nosuid" => MountFlags::NOSUID,
                    "nodev" => MountFlags::NODEV,
                    "noexec" => MountFlags::NOEXEC,
                    "noatime" => MountFlags::NOATIME,
                    "nodiratime" => MountFlags::NODIRATIME,
                    "relatime" => MountFlags::RELATIME,
                    _ => MountFlags::empty(),
                }
        })
    }
}

/// What is mounted in this process's namespace, in the order of mounting.
#[derive(Debug, Clone, Default)]
pub struct MountTable(Vec<Mount>);

impl MountTable {
    /// Reads `/proc/self/mountinfo`.
    pub fn read() -> Result<Self, OsError> {
        let text = std::fs::read(MOUNT_INFO).context("read", MOUNT_INFO)?;
        Ok(Self::parse(&text))
    }

    /// Reads the text form. Lines that do not have the form of proc(5) are skipped: a kernel may add new ones.
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(parse_line).collect())
    }

    /// The topmost mount exactly at `path`. Links in the path are resolved first; a path that does not exist is
    /// no mount point.
    pub fn at(&self, path: &Path) -> Option<&Mount> {
        let path = resolve(path)?;
        self.0.iter().rev().find(|mount| mount.point == path)
    }

    /// Every mount.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// Everything mounted below `path`, `path` itself excluded.
    pub fn below<'a>(&'a self, path: &Path) -> impl Iterator<Item = &'a Mount> + use<'a> {
        let path = resolve(path);
        self.0.iter().filter(move |mount| {
            path.as_ref().is_some_and(|path| mount.point.starts_with(path) && mount.point != *path)
        })
    }
}

/// Links resolved in everything but a missing last component, as the kernel's table has it.
fn resolve(path: &Path) -> Option<PathBuf> {
    if let Ok(resolved) = path.canonicalize() {
        return Some(resolved);
    }
    // A broken network mount answers an error to stat but is in the table all the same.
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = fields.nth(2)?;
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let options = String::from_utf8_lossy(fields.next()?).split(',').map(str::to_owned).collect();
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    Some(Mount {
        point,
        root,
        device: (major.parse().ok()?, minor.parse().ok()?),
        options,
        fs_type: String::from_utf8_lossy(fs_type).into_owned(),
    })
}

/// Undoes the octal escapes (`\040` for a space) of proc(5).
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| octal(tail)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    PathBuf::from(OsStr::from_bytes(&bytes))
}

fn octal(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(text, 8).ok()
}

/// Makes `source` appear at `target`, which must exist and be of the same kind (directory or file).
pub fn bind(source: &Path, target: &Path) -> Result<(), OsError> {
    rustix::mount::mount_bind(source, target).context("bind mount onto", target)
}

/// Mounts the filesystem on the block device `device` at the directory `target`.
pub fn mount_device(device: &Path, target: &Path, fs_type: &str, options: &CStr) -> Result<(), OsError> {
    rustix::mount::mount(device, target, fs_type, MountFlags::empty(), options).context("mount at", target)
}

/// Makes the directory `source` appear at `target`, read-only from the first moment and everywhere.
///
/// A bind mount becomes read-only by a second call, and that one reaches only this process's own namespace: in a
/// container with shared mounts the host, and so every pod, would keep a writable one. So the mount is made
/// read-only at `scratch`, an empty directory of the caller's own, and that one is bound to the target: a copy of
/// a read-only mount is read-only, also where it is propagated to.
pub fn bind_read_only(source: &Path, target: &Path, scratch: &Path) -> Result<(), OsError> {
    bind(source, scratch)?;
    let bound = make_read_only(scratch).and_then(|()| bind(scratch, target));
    let cleaned = unmount(scratch);
    bound.and(cleaned)
}

/// Makes an existing bind mount read-only and keeps its other restrictions (`nosuid`, `nodev` ...).
fn make_read_only(target: &Path) -> Result<(), OsError> {
    let kept = MountTable::read()?.at(target).map_or(MountFlags::empty(), Mount::flags);
    let flags = MountFlags::BIND | MountFlags::RDONLY | kept;
    rustix::mount::mount_remount(target, flags, "").context("remount read-only", target)
}

/// Mounts can be stacked on one path; no driver stacks more than this.
const MAX_STACKED: usize = 64;

/// Removes every mount at `target`; none is fine.
///
/// A mount that is still in use is detached: it disappears from the tree at once and goes away with its last
/// user. Waiting instead would leave a pod that is being removed stuck for as long as anything has a file open.
pub fn unmount(target: &Path) -> Result<(), OsError> {
    for _ in 0..MAX_STACKED {
        if MountTable::read()?.at(target).is_none() {
            return Ok(());
        }
        let result = rustix::mount::unmount(target, UnmountFlags::NOFOLLOW);
        match result {
            // INVAL: someone else was faster.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::BUSY) => rustix::mount::unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)
                .context("detach mount", target)?,
            Err(errno) => return Err(OsError::new("unmount", target, errno)),
        }
    }
    Err(OsError::new("unmount", target, Errno::BUSY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = br"25 30 0:23 / /proc rw,nosuid - proc proc rw
30 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
77 30 254:0 /data/with\040space /mnt/a\134b ro,nosuid,nodev shared:7 master:1 - ext4 /dev/vda rw
short line
78 30 0:5 /loop3 /mnt/block rw - devtmpfs udev rw
";

    #[test]
    fn findmnt_fixture_with_nested_mounts() {
        let table = MountTable::parse(TABLE);
        assert_eq!(table.0.len(), 4);
        let nested = &table.0[2];
        assert_eq!(nested.point, Path::new("/mnt/a\\b"));
        assert_eq!(nested.root, Path::new("/data/with space"));
        assert_eq!(nested.device, (254, 0));
        assert!(nested.read_only());
        assert_eq!(nested.flags(), MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV);
        assert_eq!(table.0[3].fs_type, "devtmpfs");
    }

    #[test]
    fn the_root_is_a_mount_point_and_a_plain_directory_is_not() {
        let table = MountTable::read().unwrap();
        assert!(table.at(Path::new("/proc")).is_some());
        let directory = tempfile::tempdir().unwrap();
        assert!(table.at(directory.path()).is_none());
        assert!(table.at(&directory.path().join("missing/leaf")).is_none());
    }

    #[test]
    fn unmounting_what_is_not_mounted_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        unmount(directory.path()).unwrap();
        unmount(&directory.path().join("missing")).unwrap();
    }
}
