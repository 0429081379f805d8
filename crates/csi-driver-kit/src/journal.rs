//! What has changed since a [file](crate::durable::DurableFile) was written, one record after the other.
//!
//! A driver with thousands of volumes cannot write all of its memory anew for each of them. It appends what has changed, and
//! writes the whole now and then. A record counts once its line is whole and on the disk: a torn last one is dropped. The
//! first line says which content of the file the records are for, so that records which the file has already, or
//! which belong to another file, are not applied to it.
//!
//! A line is `<checksum> <text>`; the checksum of a record begins with that of the content.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::os_error::{Context as _, OsError};

/// Blocks that are reserved, so that some records fit even when the disk fills up.
const RESERVE: u64 = 64 * 1024;

/// Why a journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
    /// A record in the middle is not what was written.
    #[error("line {line} of {} is damaged, and later ones are not", file.display())]
    Damaged {
        /// The journal.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Checksum of the content that the records are for.
    base: u32,
    /// Where the first record begins, and where the next one goes. `None` until the journal is [begun](Self::begin) anew.
    ends: Option<(u64, u64)>,
}

impl Journal {
    /// Opens the journal `name` in `directory` and reads the records that are for this `content`. Nothing is written.
    pub fn open(directory: &Path, name: &str, content: &[u8]) -> Result<(Self, Vec<Vec<u8>>), JournalError> {
        let path = directory.join(name);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).context("open", &path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).context("read", &path)?;
        let base = checksum(0, content);
        let head = head(base, content.len());
        let mut journal = Self { path, file, base, ends: None };
        let Some(rest) = text.strip_prefix(head.as_slice()) else { return Ok((journal, Vec::new())) };
        let records = journal.records(rest)?;
        let length: usize = records.iter().map(|record| line(base, record).len()).sum();
        journal.ends = Some((head.len() as u64, (head.len() + length) as u64));
        Ok((journal, records))
    }

    /// The whole records at the beginning of `text`.
    fn records(&self, text: &[u8]) -> Result<Vec<Vec<u8>>, JournalError> {
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let records: Vec<_> = lines.by_ref().map_while(|line| record(self.base, line)).collect();
        // The torn one was taken by the search.
        if lines.any(|line| record(self.base, line).is_some()) {
            return Err(JournalError::Damaged { file: self.path.clone(), line: records.len() + 2 });
        }
        Ok(records)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether records can be appended; if not, it has to be [begun](Self::begin) anew.
    pub fn is_usable(&self) -> bool {
        self.ends.is_some()
    }

    /// Bytes of all records.
    pub fn length(&self) -> u64 {
        self.ends.map_or(0, |(first, end)| end - first)
    }

    /// Appends a record, one line of text, and forces it to the disk. On failure nothing was appended; if not even that is certain,
    /// the journal is not usable any more.
    pub fn append(&mut self, record: &[u8]) -> Result<(), OsError> {
        let unusable = |errno| OsError::new("append to", &self.path, errno);
        let (first, end) = self.ends.ok_or_else(|| unusable(Errno::BADF))?;
        if record.contains(&b'\n') {
            return Err(unusable(Errno::INVAL));
        }
        let line = line(self.base, record);
        let appended = self.put(end, &line);
        self.ends = match &appended {
            Ok(()) => Some((first, end + line.len() as u64)),
            Err(_) => self.cut(end).is_ok().then_some((first, end)),
        };
        appended
    }

    /// Begins anew, for this `content`. To be called when the content is on the disk.
    pub fn begin(&mut self, content: &[u8]) -> Result<(), OsError> {
        self.ends = None;
        self.base = checksum(0, content);
        let head = head(self.base, content.len());
        // Overwritten first: the block that it is in stays with the file, so this works on a full disk too.
        self.put(0, &head)?;
        let end = head.len() as u64;
        self.cut(end)?;
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, RESERVE) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOSPC | Errno::DQUOT) => {}
            Err(errno) => return Err(OsError::new("reserve space for", &self.path, errno)),
        }
        self.ends = Some((end, end));
        Ok(())
    }

    /// Takes no more records until it is begun anew. Those on the disk stay: they are for a content that may come back.
    pub fn abandon(&mut self) {
        self.ends = None;
    }

    fn put(&mut self, at: u64, text: &[u8]) -> Result<(), OsError> {
        let written = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.write_all(text));
        written.context("append to", &self.path)?;
        self.file.sync_data().context("sync", &self.path)
    }

    fn cut(&self, length: u64) -> Result<(), OsError> {
        self.file.set_len(length).context("truncate", &self.path)?;
        self.file.sync_data().context("sync", &self.path)
    }
}

fn checksum(seed: u32, text: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(&seed.to_le_bytes());
    sum.update(text);
    sum.sum()
}

fn head(base: u32, length: usize) -> Vec<u8> {
    line(base, format!("records after a file of {length} bytes").as_bytes())
}

fn line(base: u32, text: &[u8]) -> Vec<u8> {
    let mut line = format!("{:08x} ", checksum(base, text)).into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}

/// The text of a line that is whole.
fn record(base: u32, whole: &[u8]) -> Option<Vec<u8>> {
    let text = whole.get(9..)?.strip_suffix(b"\n")?;
    (line(base, text) == whole).then(|| text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, content: &str) -> (Journal, Vec<String>) {
        let (journal, records) = Journal::open(directory, ".journal", content.as_bytes()).unwrap();
        (journal, records.into_iter().map(|record| String::from_utf8(record).unwrap()).collect())
    }

    /// A journal with two records after `content`.
    fn filled(directory: &Path, content: &str) -> Journal {
        let (mut journal, _) = open(directory, content);
        journal.begin(content.as_bytes()).unwrap();
        journal.append(b"one").unwrap();
        journal.append(b"two").unwrap();
        journal
    }

    #[test]
    fn records_come_back_and_more_can_be_appended() {
        let directory = tempfile::tempdir().unwrap();
        let (fresh, none) = open(directory.path(), "content");
        assert!(!fresh.is_usable() && none.is_empty());
        let length = filled(directory.path(), "content").length();
        let (mut journal, records) = open(directory.path(), "content");
        assert_eq!((records, journal.length()), (vec!["one".to_owned(), "two".to_owned()], length));
        journal.append(b"three").unwrap();
        assert_eq!(open(directory.path(), "content").1, ["one", "two", "three"]);
        assert_eq!(journal.append(b"two\nlines").unwrap_err().errno, Errno::INVAL);
    }

    #[test]
    fn a_torn_last_record_is_dropped_and_its_place_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = filled(directory.path(), "content").path().to_path_buf();
        let whole = std::fs::read(&path).unwrap();
        let (first, second) = (whole.len() - 26, whole.len() - 13);
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let (mut journal, records) = open(directory.path(), "content");
            assert_eq!(journal.is_usable(), length >= first);
            assert_eq!(records.len(), usize::from(length >= second), "{length}");
            if journal.is_usable() {
                journal.append(b"next").unwrap();
                assert_eq!(open(directory.path(), "content").1.last().unwrap(), "next");
            }
        }
        let zeros = [&whole[..second], &[0; 13]].concat();
        std::fs::write(&path, zeros).unwrap();
        assert_eq!(open(directory.path(), "content").1, ["one"]);
    }

    #[test]
    fn a_damaged_record_before_whole_ones_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = filled(directory.path(), "content").path().to_path_buf();
        let mut text = std::fs::read(&path).unwrap();
        let place = text.windows(3).position(|three| three == b"one").unwrap();
        text[place] = b'x';
        std::fs::write(&path, text).unwrap();
        let error = Journal::open(directory.path(), ".journal", b"content").unwrap_err().to_string();
        assert_eq!(error, format!("line 2 of {} is damaged, and later ones are not", path.display()));
    }

    #[test]
    fn records_for_another_content_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = filled(directory.path(), "content");
        for other in ["", "contenT", "content and more"] {
            let (journal, records) = open(directory.path(), other);
            assert!(!journal.is_usable() && records.is_empty(), "{other}");
        }
        journal.begin(b"content and more").unwrap();
        assert_eq!(journal.length(), 0);
        assert!(open(directory.path(), "content and more").1.is_empty());
        // What a head that was just overwritten has behind it.
        let old = line(checksum(0, b"content"), b"old");
        let mut file = File::options().append(true).open(journal.path()).unwrap();
        file.write_all(&old).unwrap();
        assert!(open(directory.path(), "content and more").1.is_empty());
    }

    #[test]
    fn a_failed_append_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = filled(directory.path(), "content");
        let path = journal.path().to_path_buf();
        journal.file = File::open(&path).unwrap();
        journal.append(b"refused").unwrap_err();
        assert!(!journal.is_usable(), "not even truncation is possible");
        journal.file = File::options().read(true).write(true).open(&path).unwrap();
        journal.append(b"still refused").unwrap_err();
        assert_eq!(open(directory.path(), "content").1, ["one", "two"]);
    }
}
