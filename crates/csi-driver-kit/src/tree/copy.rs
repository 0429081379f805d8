//! Copies that share blocks with the original where the filesystem can, and keep its holes.

use std::fs::File;
use std::path::Path;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::walk::walk;
use super::write::Writer;
use crate::os_error::{Context, OsError};

/// Copies everything in the directory `from` into the directory `to`, which is empty.
pub fn copy(from: &Path, to: &Path) -> Result<(), OsError> {
    let mut writer = Writer::new(to)?;
    walk(from, false, &mut |entry, file| {
        writer.add(entry, |target, path| file.map_or(Ok(()), |source| copy_file(&source, target, path)))
    })?;
    writer.finish()
}

/// Copies the content of `from` over the beginning of `to`, which reads as zeros until then, and which `path` is the
/// name of. Where `to` was longer, it keeps its length.
pub fn copy_file(from: &File, to: &File, path: &Path) -> Result<(), OsError> {
    let length = from.metadata().context("stat the original of", path)?.len();
    let kept = to.metadata().context("stat", path)?.len();
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => return to.set_len(length.max(kept)).context("set the size of", path),
        Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS | Errno::PERM) => {}
        Err(errno) => return Err(OsError::new("clone to", path, errno)),
    }
    if kept < length {
        to.set_len(length).context("set the size of", path)?;
    }
    let mut at = 0;
    while let Some((start, end)) =
        next_data(from, at, length).context("find data of the original of", path)?
    {
        copy_range(from, to, start, end).context("copy to", path)?;
        at = end;
    }
    Ok(())
}

/// The next part of the file that is no hole, at or after `at`.
fn next_data(file: &File, at: u64, length: u64) -> rustix::io::Result<Option<(u64, u64)>> {
    if at >= length {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => {
            let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
            Ok(Some((start, end.min(length))).filter(|(start, end)| start < end))
        }
        // Only holes are left.
        Err(Errno::NXIO) => Ok(None),
        // A filesystem that knows nothing of holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some((at, length))),
        Err(errno) => Err(errno),
    }
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> rustix::io::Result<()> {
    let (mut read, mut written) = (start, start);
    while read < end {
        let left = usize::try_from(end - read).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), left) {
            // The original became shorter.
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                return copy_through_memory(from, to, read, end);
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn copy_through_memory(from: &File, to: &File, mut at: u64, end: u64) -> rustix::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut buffer = vec![0; 1 << 20];
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..most) else { return Ok(()) };
        let count = from.read_at(room, at).map_err(errno)?;
        let Some(content) = room.get(..count).filter(|content| !content.is_empty()) else { return Ok(()) };
        to.write_all_at(content, at).map_err(errno)?;
        at += count as u64;
    }
    Ok(())
}
