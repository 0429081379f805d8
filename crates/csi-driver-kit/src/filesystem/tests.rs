use std::path::PathBuf;
use std::process::Command;

use rustix::io::Errno;

use super::*;
use crate::{loop_device, mounts};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const IDENTITY: Identity = Identity { uuid: [7; 16], created: 1_700_000_000, root_mode: 0o777 };

struct Image {
    _directory: tempfile::TempDir,
    kind: Kind,
    path: PathBuf,
    mounted: PathBuf,
}

fn image(kind: Kind, bytes: u64) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let (path, mounted) = (directory.path().join("image"), directory.path().join("mounted"));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(bytes).unwrap();
    std::fs::create_dir(&mounted).unwrap();
    kind.format(&file, &path, bytes, &IDENTITY).unwrap();
    Image { _directory: directory, kind, path, mounted }
}

impl Image {
    /// The filesystem's own checker, where there is one; it is the authority on what is a sound filesystem.
    #[track_caller]
    fn check(&self) {
        let name = match self.kind {
            Kind::Ext4 => "e2fsck",
            Kind::Xfs => "xfs_repair",
        };
        let mut checker = Command::new(name);
        checker.args(["-f", "-n"]);
        let Ok(output) = checker.arg(&self.path).output() else {
            println!("there is no checker for {}: only the kernel looks at it", self.kind.name());
            return;
        };
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    }

    /// Does something with the mounted filesystem; nothing stays mounted, whatever happens.
    fn with_mounted(&self, act: impl FnOnce(loop_device::LoopDevice) + std::panic::UnwindSafe) {
        let device = loop_device::attach(&self.path, false).unwrap();
        let result = std::panic::catch_unwind(|| {
            self.kind.mount(&device.path(), &self.mounted).unwrap();
            act(device);
        });
        mounts::unmount(&self.mounted).unwrap();
        loop_device::detach(device).unwrap();
        result.unwrap();
    }
}

#[test]
fn filesystems_of_all_sizes_are_faultless() {
    for size in [MIB, 5 * MIB, 16 * MIB, 100 * MIB, 128 * MIB, 129 * MIB, 140 * MIB, GIB, 17 * GIB + 4096] {
        image(Kind::Ext4, size).check();
    }
    for size in [32 * MIB, 33 * MIB + 4096, 64 * MIB, 100 * MIB, 300 * MIB, GIB, 2 * GIB + 4096, 17 * GIB] {
        image(Kind::Xfs, size).check();
    }
}

#[test]
fn too_small_and_too_large() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image");
    let file = File::create(&path).unwrap();
    for kind in Kind::ALL {
        for (bytes, errno) in [(kind.smallest() - 1, Errno::NOSPC), (1 << 60, Errno::FBIG)] {
            assert_eq!(kind.format(&file, &path, bytes, &IDENTITY).unwrap_err().errno, errno);
        }
    }
}

#[test]
fn an_empty_filesystem_can_be_written_to_and_held_still() {
    for kind in Kind::ALL {
        let image = image(kind, 64 * MIB);
        image.with_mounted(|_| {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&image.mounted).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o777);
            for number in 0..500 {
                std::fs::write(image.mounted.join(format!("file-{number}")), "content").unwrap();
            }
            drop(Frozen::freeze(&image.mounted).unwrap());
            thaw(&image.mounted).unwrap();
            std::fs::write(image.mounted.join("later"), "x").unwrap();
        });
        image.check();
    }
}

/// Whether the kernel would let this process grow an ext4: bit 24 of its capabilities.
fn may_use_resources() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 24) != 0
}

/// Also without CAP_SYS_RESOURCE, for which the kernel refuses to set the size of an ext4 even to what it is.
#[test]
fn one_that_is_as_large_as_its_device_is_left_alone() {
    for kind in Kind::ALL {
        for size in [32 * MIB, 129 * MIB] {
            let image = image(kind, size);
            image.with_mounted(|_| kind.grow(&image.mounted, &image.path).unwrap());
        }
    }
}

#[test]
fn it_grows_while_it_is_mounted_and_keeps_what_is_in_it() {
    for kind in Kind::ALL {
        for (small, large) in
            [(32 * MIB, 64 * MIB), (32 * MIB, 600 * MIB), (200 * MIB, 5 * GIB), (GIB, 20 * GIB)]
        {
            let image = image(kind, small);
            image.with_mounted(|device| {
                std::fs::write(image.mounted.join("file"), "kept").unwrap();
                let before = rustix::fs::statvfs(&image.mounted).unwrap().f_blocks;
                File::options().write(true).open(&image.path).unwrap().set_len(large).unwrap();
                loop_device::update_capacity(device).unwrap();
                if kind == Kind::Ext4 && !may_use_resources() {
                    let refused = kind.grow(&image.mounted, &image.path).unwrap_err();
                    assert_eq!(refused.errno, Errno::PERM, "as the kernel has it without CAP_SYS_RESOURCE");
                    return;
                }
                for _ in 0..2 {
                    kind.grow(&image.mounted, &image.path).unwrap();
                }
                let after = rustix::fs::statvfs(&image.mounted).unwrap().f_blocks;
                assert!(after > before && after * 4096 > large * 8 / 10, "{before} {after}");
                assert_eq!(std::fs::read_to_string(image.mounted.join("file")).unwrap(), "kept");
            });
            image.check();
        }
    }
}
