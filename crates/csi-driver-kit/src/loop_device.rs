//! Loop devices: how a regular file becomes a block device.
//!
//! A device is found by the identity of its backing file (device and inode number), never by name: names differ
//! between containers and change with renames, and after a reboot the same number serves another file.

mod control;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::os_error::{Context, OsError};

const CONTROL: &str = "/dev/loop-control";
const SYS_BLOCK: &str = "/sys/block";

/// Major number of loop devices (Linux's list of devices).
const LOOP_MAJOR: u32 = 7;

/// Others take free devices at the same time; every lost race costs one attempt.
const ATTEMPTS: u32 = 256;

/// A loop device that is bound to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoopDevice {
    /// The `N` of `/dev/loopN`.
    pub number: u32,
    /// Whether the device refuses writes.
    pub read_only: bool,
}

impl LoopDevice {
    /// The device node.
    pub fn path(&self) -> PathBuf {
        node(self.number)
    }

    /// Whether major and minor number, as the mount table has them, are those of this device.
    pub fn is(&self, device: (u32, u32)) -> bool {
        device == (LOOP_MAJOR, self.number)
    }
}

/// A bound loop device that somebody has open. While this value lives, nothing unbinds it.
#[derive(Debug)]
pub struct Held {
    /// The device.
    pub device: LoopDevice,
    open: File,
}

impl Held {
    /// Makes the device stay bound after this value is gone. One that was to be unbound while somebody had it open
    /// goes away with its last user. Who only shows it somewhere is no user, and would then show the next file that
    /// gets its number.
    ///
    /// EBUSY, on newer kernels, where a filesystem is mounted from it.
    pub fn keep(&self) -> Result<(), OsError> {
        control::keep(&self.open).context("keep bound", self.device.path())
    }
}

fn node(number: u32) -> PathBuf {
    PathBuf::from(format!("/dev/loop{number}"))
}

/// Binds a free loop device to `backing`. Who may find one bound already [holds](hold) that one.
pub fn attach(backing: &Path, read_only: bool) -> Result<LoopDevice, OsError> {
    let access = if read_only { OFlags::RDONLY } else { OFlags::RDWR };
    let file = open(backing, access | OFlags::NOFOLLOW)?;
    let control = open(Path::new(CONTROL), OFlags::RDWR)?;
    for _ in 0..ATTEMPTS {
        let number = control::free_number(&control).context("find a free loop device in", CONTROL)?;
        let path = node(number);
        let device = open(&path, access)?;
        match control::configure(&device, &file, &backing.to_string_lossy(), read_only) {
            Ok(()) => return Ok(LoopDevice { number, read_only }),
            Err(Errno::BUSY) => {}
            Err(errno) => return Err(OsError::new("bind loop device to", backing, errno)),
        }
    }
    Err(OsError::new("find a free loop device in", CONTROL, Errno::BUSY))
}

/// A loop device bound to `backing`: one that is there already, or a new one. Two for one file would each have memory
/// of their own of what is in it, so one that is about to be unbound is taken too.
pub fn hold(backing: &Path, read_only: bool) -> Result<Held, OsError> {
    let fits = |held: &Held| held.device.read_only == read_only;
    if let Some(held) = opened(backing)?.into_iter().find(fits) {
        return Ok(held);
    }
    let device = attach(backing, read_only)?;
    Ok(Held { device, open: open(&device.path(), OFlags::RDONLY)? })
}

/// All loop devices bound to the file `backing`, lowest number first. A missing file has none.
pub fn find(backing: &Path) -> Result<Vec<LoopDevice>, OsError> {
    Ok(opened(backing)?.into_iter().map(|held| held.device).collect())
}

fn opened(backing: &Path) -> Result<Vec<Held>, OsError> {
    let metadata = match std::fs::metadata(backing) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(OsError::io("stat", backing, &error)),
    };
    let mut found = Vec::new();
    for number in bound_numbers()? {
        // A device can go away between the listing and the question.
        let Ok(open) = open(&node(number), OFlags::RDONLY) else { continue };
        // What it says now it stays as long as it is open.
        let Ok(status) = control::status(&open) else { continue };
        if status.backing == (metadata.dev(), metadata.ino()) {
            found.push(Held { device: LoopDevice { number, read_only: status.read_only }, open });
        }
    }
    Ok(found)
}

/// The loop device whose node is at `path` (or bind-mounted there), if it is one and is bound to `backing`.
pub fn at(path: &Path, backing: &Path) -> Result<Option<LoopDevice>, OsError> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(None) };
    let device = metadata.rdev();
    if !metadata.file_type().is_block_device() || rustix::fs::major(device) != LOOP_MAJOR {
        return Ok(None);
    }
    let number = rustix::fs::minor(device);
    Ok(find(backing)?.into_iter().find(|found| found.number == number))
}

/// Unbinds a device. One that is still open goes away with its last user; one that is not bound is fine.
pub fn detach(device: LoopDevice) -> Result<(), OsError> {
    let path = device.path();
    match control::clear(&open(&path, OFlags::RDONLY)?) {
        Ok(()) | Err(Errno::NXIO) => Ok(()),
        Err(errno) => Err(OsError::new("unbind loop device", path, errno)),
    }
}

/// Makes a device as large as its backing file is now.
pub fn update_capacity(device: LoopDevice) -> Result<(), OsError> {
    let path = device.path();
    control::set_capacity(&open(&path, OFlags::RDONLY)?).context("set the size of loop device", path)
}

/// Forces what was written to a device into its backing file.
pub fn flush(device: LoopDevice) -> Result<(), OsError> {
    let path = device.path();
    open(&path, OFlags::RDONLY)?.sync_all().context("sync", path)
}

/// Numbers of the bound devices: only those have a `loop` directory in sysfs.
fn bound_numbers() -> Result<Vec<u32>, OsError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(SYS_BLOCK).context("list", SYS_BLOCK)? {
        let entry = entry.context("list", SYS_BLOCK)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("loop")).and_then(|n| n.parse().ok());
        if let Some(number) = number
            && entry.path().join("loop").exists()
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open(path: &Path, flags: OFlags) -> Result<File, OsError> {
    let descriptor: OwnedFd =
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).context("open", path)?;
    Ok(File::from(descriptor))
}
