//! Removing what users put into a volume, whatever it is.
//!
//! A pod can nest directories deeper than any stack or table of open files, and something may be mounted inside.
//! So nothing recurses: a directory that is not empty is moved up beside the tree and emptied there. Mount points
//! can be neither moved nor removed, which makes it impossible to delete through a mount.

use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::os_error::{Context, OsError};

/// Removes `name` (a file, or a directory with all that is in it) from the directory `trash`. Missing is fine.
///
/// `trash` must belong to the caller alone: parts of the tree are kept there under names that begin with `name`
/// and a dot. After a crash they are still there, and each of them can be removed with this function as well.
pub fn remove_tree(trash: &Path, name: &str) -> Result<(), OsError> {
    let directory = File::open(trash).context("open", trash)?;
    let mut pending = vec![name.to_owned()];
    let mut moved = 0_u64;
    while let Some(current) = pending.last() {
        if try_remove(&directory, trash, current)? {
            pending.pop();
            continue;
        }
        match empty_until_full_child(&directory, &trash.join(current), current)? {
            None => {}
            Some((parent, child)) => {
                let part = next_part(&directory, trash, name, &mut moved)?;
                rustix::fs::renameat(&parent, &child, &directory, &part)
                    .context("move to", trash.join(&part))?;
                pending.push(part);
            }
        }
    }
    Ok(())
}

/// A name in the trash that no part of an earlier, interrupted removal has.
fn next_part(directory: &File, trash: &Path, name: &str, moved: &mut u64) -> Result<String, OsError> {
    loop {
        *moved += 1;
        let part = format!("{name}.{moved}");
        match rustix::fs::statat(directory, &part, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(part),
            Ok(_) => {}
            Err(errno) => return Err(OsError::new("stat", trash.join(part), errno)),
        }
    }
}

/// `false` if it is a directory with something in it.
fn try_remove(directory: &File, trash: &Path, name: &str) -> Result<bool, OsError> {
    remove_entry(directory, name).context("remove", trash.join(name))
}

fn remove_entry<P: rustix::path::Arg + Copy>(directory: &File, name: P) -> rustix::io::Result<bool> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // POSIX says EPERM for a directory, Linux says EISDIR.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        // It was no directory after all, so the first refusal counts.
        Err(Errno::NOTDIR) => Err(Errno::PERM),
        Err(errno) => Err(errno),
    }
}

/// Removes entries until one is itself a directory with content; that one is returned with its open parent.
fn empty_until_full_child(
    directory: &File,
    path: &Path,
    name: &str,
) -> Result<Option<(File, CString)>, OsError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let parent = match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(parent) => File::from(parent),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(OsError::new("open", path, errno)),
    };
    for entry in Dir::read_from(&parent).context("list", path)? {
        let entry = entry.context("list", path)?;
        let child = entry.file_name();
        if child.to_bytes() == b"." || child.to_bytes() == b".." {
            continue;
        }
        if !remove_entry(&parent, child).context("remove an entry of", path)? {
            return Ok(Some((parent, child.to_owned())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_links_and_nested_directories_go() {
        let trash = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let tree = trash.path().join("v");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::fs::create_dir_all(tree.join("empty")).unwrap();
        std::fs::write(tree.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.join("a/link")).unwrap();
        remove_tree(trash.path(), "v").unwrap();
        assert_eq!(std::fs::read_dir(trash.path()).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists(), "a link is removed, not followed");
    }

    #[test]
    fn missing_is_fine_and_a_plain_file_goes() {
        let trash = tempfile::tempdir().unwrap();
        remove_tree(trash.path(), "none").unwrap();
        std::fs::write(trash.path().join("image"), "x").unwrap();
        remove_tree(trash.path(), "image").unwrap();
        assert!(!trash.path().join("image").exists());
    }

    #[test]
    fn nesting_beyond_any_stack_or_path_length() {
        let trash = tempfile::tempdir().unwrap();
        std::fs::create_dir(trash.path().join("deep")).unwrap();
        let mut directory = File::open(trash.path().join("deep")).unwrap();
        for _ in 0..2_500 {
            rustix::fs::mkdirat(&directory, "d", Mode::RWXU).unwrap();
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            directory = File::from(rustix::fs::openat(&directory, "d", flags, Mode::empty()).unwrap());
        }
        remove_tree(trash.path(), "deep").unwrap();
        assert_eq!(std::fs::read_dir(trash.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_left_by_an_interrupted_removal_are_not_overwritten() {
        let trash = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(trash.path().join("v/a/b")).unwrap();
        std::fs::write(trash.path().join("v/a/file"), "x").unwrap();
        std::fs::create_dir(trash.path().join("v.1")).unwrap();
        remove_tree(trash.path(), "v").unwrap();
        assert!(trash.path().join("v.1").exists());
        assert!(!trash.path().join("v").exists());
    }
}
