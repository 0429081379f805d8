//! A tree as a gzip-compressed tar archive, in the dialect of GNU tar with POSIX extensions, so that `tar xzf` reads
//! it and archives that `tar czf` made are read.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};

use super::walk::walk;
use super::write::Writer;
use super::{Entry, Kind};
use crate::os_error::{Context, OsError};

const ATTRIBUTE: &str = "SCHILY.xattr.";
/// Bytes of a link's target that a header has room for.
const LINK_NAME: usize = 100;
/// Zeros of this length become holes again.
const HOLE: usize = 4096;

/// Writes everything in the directory `root` to the new file `path`, and forces it to the disk. With `tolerant`, what
/// cannot be read is left out instead of being an error.
pub fn pack(root: &Path, path: &Path, tolerant: bool) -> Result<(), OsError> {
    let file = File::options().write(true).create_new(true).open(path).context("create", path)?;
    let encoder = GzEncoder::new(BufWriter::new(file), Compression::fast());
    let mut builder = Builder::new(encoder);
    walk(root, tolerant, &mut |entry, file| {
        append(&mut builder, &entry, file).map_err(|error| OsError::io("write archive", path, &error))
    })?;
    let finished = builder.into_inner().and_then(GzEncoder::finish).and_then(|mut writer| {
        writer.flush()?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)
    });
    finished.and_then(|file| file.sync_all()).context("write archive", path)
}

fn append<W: io::Write>(builder: &mut Builder<W>, entry: &Entry, file: Option<File>) -> io::Result<()> {
    let mut extensions: Vec<(String, Vec<u8>)> = Vec::new();
    let (seconds, nanoseconds) = entry.modified;
    if nanoseconds > 0 && seconds >= 0 {
        extensions.push(("mtime".into(), format!("{seconds}.{nanoseconds:09}").into_bytes()));
    }
    for (name, value) in &entry.attributes {
        if let Ok(name) = name.to_str() {
            extensions.push((format!("{ATTRIBUTE}{name}"), value.clone()));
        }
    }
    if let Kind::Link(target) | Kind::SameAs(target) = &entry.kind
        && target.as_os_str().len() > LINK_NAME
    {
        extensions.push(("linkpath".into(), target.as_os_str().as_bytes().to_vec()));
    }
    if !extensions.is_empty() {
        builder
            .append_pax_extensions(extensions.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    }
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0.into());
    header.set_gid(entry.owner.1.into());
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    header.set_size(0);
    header.set_entry_type(entry_type(&entry.kind));
    match &entry.kind {
        Kind::Directory if entry.path.as_os_str().is_empty() => {
            if let Some(header) = header.as_gnu_mut() {
                header.name.iter_mut().zip(b"./").for_each(|(to, from)| *to = *from);
            }
            header.set_cksum();
            builder.append(&header, io::empty())
        }
        Kind::File(size) => {
            header.set_size(*size);
            builder.append_data(&mut header, &entry.path, Exactly { file, left: *size })
        }
        Kind::Link(target) | Kind::SameAs(target) => {
            // As it stands: `a//b` is another text than `a/b`. A long one is among the extensions.
            let target = target.as_os_str().as_bytes();
            header.set_link_name_literal(target.get(..LINK_NAME).unwrap_or(target))?;
            builder.append_data(&mut header, &entry.path, io::empty())
        }
        Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
            header.set_device_major(rustix::fs::major(*device))?;
            header.set_device_minor(rustix::fs::minor(*device))?;
            builder.append_data(&mut header, &entry.path, io::empty())
        }
        Kind::Directory | Kind::Fifo => builder.append_data(&mut header, &entry.path, io::empty()),
    }
}

fn entry_type(kind: &Kind) -> EntryType {
    match kind {
        Kind::Directory => EntryType::Directory,
        Kind::File(_) => EntryType::Regular,
        Kind::Link(_) => EntryType::Symlink,
        Kind::SameAs(_) => EntryType::Link,
        Kind::CharacterDevice(_) => EntryType::Char,
        Kind::BlockDevice(_) => EntryType::Block,
        Kind::Fifo => EntryType::Fifo,
    }
}

/// As many bytes as were promised, whatever happens to the file meanwhile.
struct Exactly {
    file: Option<File>,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else { return Ok(0) };
        let mut count = self.file.as_mut().map_or(Ok(0), |file| file.read(room))?;
        if count == 0 {
            // It became shorter.
            room.fill(0);
            count = room.len();
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Writes what is in the archive `path` into the directory `root`, which is empty.
pub fn unpack(path: &Path, root: &Path) -> Result<(), OsError> {
    let file = File::open(path).context("open", path)?;
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut writer = Writer::new(root)?;
    let broken = |error: io::Error| {
        tracing::warn!(path = %path.display(), %error, "Archive cannot be read");
        OsError::io("read archive", path, &error)
    };
    for found in archive.entries().map_err(broken)? {
        let mut found = found.map_err(broken)?;
        let Some(entry) = read_entry(&mut found).map_err(broken)? else { continue };
        writer.add(entry, |target, name| fill(&mut found, target).context("write", name))?;
    }
    writer.finish()
}

/// `None`: nothing that belongs to the tree.
fn read_entry<R: Read>(found: &mut tar::Entry<'_, R>) -> io::Result<Option<Entry>> {
    let path = below(&found.path_bytes())?;
    let header = found.header();
    let device = || -> io::Result<u64> {
        let (major, minor) = (header.device_major()?, header.device_minor()?);
        Ok(rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0)))
    };
    let target = || found.link_name_bytes().ok_or_else(|| invalid("a link without a target"));
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File(found.size()),
        EntryType::Symlink => Kind::Link(std::ffi::OsString::from_vec(target()?.into_owned()).into()),
        EntryType::Link => Kind::SameAs(below(&target()?)?),
        EntryType::Char => Kind::CharacterDevice(device()?),
        EntryType::Block => Kind::BlockDevice(device()?),
        EntryType::Fifo => Kind::Fifo,
        _ => return Ok(None),
    };
    let number = |value: u64| u32::try_from(value).map_err(|_| invalid("an owner beyond 32 bits"));
    let mut entry = Entry {
        path,
        kind,
        owner: (number(header.uid()?)?, number(header.gid()?)?),
        mode: header.mode()? & 0o7777,
        modified: (i64::try_from(header.mtime()?).unwrap_or(0), 0),
        attributes: Vec::new(),
    };
    if let Some(extensions) = found.pax_extensions()? {
        for extension in extensions {
            let extension = extension?;
            let Ok(key) = extension.key() else { continue };
            if key == "mtime" {
                entry.modified = read_time(extension.value_bytes()).unwrap_or(entry.modified);
            } else if let Some(name) = key.strip_prefix(ATTRIBUTE)
                && let Ok(name) = CString::new(name)
            {
                entry.attributes.push((name, extension.value_bytes().to_vec()));
            }
        }
    }
    Ok(Some(entry))
}

/// `1700000000.123456789`
fn read_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some((seconds.parse().ok()?, nanoseconds))
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The path without `./`; one that leads out of the root is refused.
fn below(bytes: &[u8]) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(std::ffi::OsStr::from_bytes(bytes)).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => return Err(invalid("a name that leads out of the archive")),
        }
    }
    Ok(path)
}

fn fill(content: &mut impl Read, target: &File) -> io::Result<()> {
    let mut buffer = vec![0; HOLE];
    let mut at = 0;
    loop {
        let count = read_full(content, &mut buffer)?;
        let Some(block) = buffer.get(..count).filter(|block| !block.is_empty()) else { break };
        if block.iter().any(|byte| *byte != 0) {
            target.write_all_at(block, at)?;
        }
        at += count as u64;
    }
    target.set_len(at)
}

fn read_full(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match content.read(room) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether a file begins as a gzip stream does: how snapshots of directories are told from those of images.
pub fn is_archive(path: &Path) -> Result<bool, OsError> {
    let file = File::open(path).context("open", path)?;
    let mut magic = [0; 2];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) => Ok(magic == [0x1F, 0x8B]),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(OsError::io("read", path, &error)),
    }
}
