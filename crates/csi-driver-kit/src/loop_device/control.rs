//! The ioctls of loop(4): the kernel offers no other way to bind a file to a block device.
#![expect(unsafe_code, reason = "ioctl is untyped; each call says why its argument is right")]

use std::ffi::c_void;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::ioctl::{self, Ioctl, IoctlOutput, NoArg, Opcode, Setter, Updater};

// linux/loop.h
const LOOP_CLR_FD: Opcode = 0x4C01;
const LOOP_SET_STATUS64: Opcode = 0x4C04;
const LOOP_GET_STATUS64: Opcode = 0x4C05;
const LOOP_SET_CAPACITY: Opcode = 0x4C07;
const LOOP_CONFIGURE: Opcode = 0x4C0A;
const LOOP_CTL_GET_FREE: Opcode = 0x4C82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_NAME_SIZE: usize = 64;

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; LO_NAME_SIZE],
    crypt_name: [u8; LO_NAME_SIZE],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

const EMPTY: Info = Info {
    device: 0,
    inode: 0,
    rdevice: 0,
    offset: 0,
    size_limit: 0,
    number: 0,
    encrypt_type: 0,
    encrypt_key_size: 0,
    flags: 0,
    file_name: [0; LO_NAME_SIZE],
    crypt_name: [0; LO_NAME_SIZE],
    encrypt_key: [0; 32],
    init: [0; 2],
};

/// What a bound device says about itself.
pub(super) struct Status {
    /// Device and inode number of the backing file.
    pub(super) backing: (u64, u64),
    /// Whether it refuses writes.
    pub(super) read_only: bool,
}

/// LOOP_CTL_GET_FREE takes no argument and answers the number as the call's result.
struct FreeNumber;

// SAFETY: the argument is null and unused, the result is a plain integer, no memory of ours is touched.
unsafe impl Ioctl for FreeNumber {
    type Output = u32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(output).map_err(|_| Errno::INVAL)
    }
}

/// The number of a device that nobody uses; made by the kernel if need be.
pub(super) fn free_number(control: &File) -> rustix::io::Result<u32> {
    // SAFETY: `FreeNumber` describes LOOP_CTL_GET_FREE; another device than loop-control answers ENOTTY.
    unsafe { ioctl::ioctl(control, FreeNumber) }
}

/// Binds `device` to `file`; EBUSY means that the device is already bound. `name` is only shown to people.
pub(super) fn configure(device: &File, file: &File, name: &str, read_only: bool) -> rustix::io::Result<()> {
    let mut info = EMPTY;
    info.flags = if read_only { LO_FLAGS_READ_ONLY } else { 0 };
    // The last byte stays zero: the kernel reads a C string.
    for (to, from) in info.file_name.iter_mut().take(LO_NAME_SIZE - 1).zip(name.bytes()) {
        *to = from;
    }
    let fd = u32::try_from(file.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    let config = Config { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: LOOP_CONFIGURE reads one `struct loop_config`, whose layout is asserted above, and writes nothing.
    unsafe { ioctl::ioctl(device, Setter::<LOOP_CONFIGURE, Config>::new(config)) }
}

fn info(device: &File) -> rustix::io::Result<Info> {
    let mut info = EMPTY;
    // SAFETY: LOOP_GET_STATUS64 fills one `struct loop_info64`, all of whose fields are plain integers.
    unsafe { ioctl::ioctl(device, Updater::<LOOP_GET_STATUS64, Info>::new(&mut info)) }?;
    Ok(info)
}

/// What the device is bound to; ENXIO if to nothing.
pub(super) fn status(device: &File) -> rustix::io::Result<Status> {
    let info = info(device)?;
    Ok(Status { backing: (info.device, info.inode), read_only: info.flags & LO_FLAGS_READ_ONLY != 0 })
}

/// Takes back that the device is to be unbound with its last user.
pub(super) fn keep(device: &File) -> rustix::io::Result<()> {
    let info = info(device)?;
    if info.flags & LO_FLAGS_AUTOCLEAR == 0 {
        return Ok(());
    }
    let kept = Info { flags: info.flags & !LO_FLAGS_AUTOCLEAR, ..info };
    // SAFETY: LOOP_SET_STATUS64 reads one `struct loop_info64`, and writes nothing.
    unsafe { ioctl::ioctl(device, Setter::<LOOP_SET_STATUS64, Info>::new(kept)) }
}

/// Unbinds the device; ENXIO if it is not bound.
pub(super) fn clear(device: &File) -> rustix::io::Result<()> {
    // SAFETY: LOOP_CLR_FD has no argument.
    unsafe { ioctl::ioctl(device, NoArg::<LOOP_CLR_FD>::new()) }
}

/// Takes over the present size of the backing file.
pub(super) fn set_capacity(device: &File) -> rustix::io::Result<()> {
    // SAFETY: LOOP_SET_CAPACITY has no argument.
    unsafe { ioctl::ioctl(device, NoArg::<LOOP_SET_CAPACITY>::new()) }
}
