//! The file or directory that a volume is mounted on. The driver makes it and removes it, and never anything in it:
//! if an unmount was missed, what is inside belongs to a user.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use csi_driver_kit::os_error::{Context as _, OsError};
use rustix::io::Errno;

use crate::state::AccessType;

const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o644;

/// Makes the mount point unless it is there. Answers whether it was made. The parent must exist.
pub(crate) fn prepare(target: &Path, access_type: AccessType) -> Result<bool, OsError> {
    let made = match access_type {
        AccessType::Mount => std::fs::DirBuilder::new().mode(DIRECTORY_MODE).create(target),
        AccessType::Block => {
            std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(target).map(drop)
        }
    };
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            check_kind(target, access_type)?;
            Ok(false)
        }
        Err(error) => Err(OsError::io("create target", target, &error)),
    }
}

fn check_kind(target: &Path, access_type: AccessType) -> Result<(), OsError> {
    let metadata = std::fs::symlink_metadata(target).context("stat", target)?;
    match access_type {
        AccessType::Mount if !metadata.is_dir() => Err(OsError::new("use as target", target, Errno::NOTDIR)),
        AccessType::Block if !metadata.is_file() => Err(OsError::new("use as target", target, Errno::INVAL)),
        _ => Ok(()),
    }
}

/// Removes an unmounted mount point: an empty directory or an empty file. Missing is fine; anything with content is
/// refused and left alone.
pub(crate) fn remove(target: &Path, access_type: AccessType) -> Result<(), OsError> {
    let removed = match access_type {
        AccessType::Mount => rustix::fs::rmdir(target),
        AccessType::Block => remove_empty_file(target),
    };
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(OsError::new("remove target", target, errno)),
    }
}

fn remove_empty_file(target: &Path) -> rustix::io::Result<()> {
    let stat = rustix::fs::lstat(target)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() || stat.st_size != 0 {
        return Err(Errno::NOTEMPTY);
    }
    rustix::fs::unlink(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        for kind in [AccessType::Mount, AccessType::Block] {
            let target = directory.path().join("target");
            assert!(prepare(&target, kind).unwrap());
            assert!(!prepare(&target, kind).unwrap());
            remove(&target, kind).unwrap();
            assert!(!target.exists());
            remove(&target, kind).unwrap();
        }
    }

    #[test]
    fn users_data_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "precious").unwrap();
        assert_eq!(remove(directory.path(), AccessType::Mount).unwrap_err().errno, Errno::NOTEMPTY);
        assert_eq!(remove(&file, AccessType::Block).unwrap_err().errno, Errno::NOTEMPTY);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }

    #[test]
    fn a_target_of_the_wrong_kind_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(prepare(&file, AccessType::Mount).unwrap_err().errno, Errno::NOTDIR);
        assert_eq!(prepare(directory.path(), AccessType::Block).unwrap_err().errno, Errno::INVAL);
        assert_eq!(
            prepare(&directory.path().join("a/b"), AccessType::Mount).unwrap_err().errno,
            Errno::NOENT
        );
    }
}
