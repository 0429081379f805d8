//! Just enough of the ustar format to write an image: folders, files, symbolic links, all owned by root.

use std::io::{self, Write};

const BLOCK: usize = 512;

/// Writes entries to `out`; [`Writer::finish`] ends the archive.
pub(crate) struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// An empty archive.
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    /// A folder; the name ends with `/`.
    pub(crate) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.header(name, 0o755, 0, b'5', "")
    }

    /// A regular file.
    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.header(name, mode, content.len() as u64, b'0', "")?;
        self.out.write_all(content)?;
        let rest = content.len() % BLOCK;
        if rest > 0 { self.out.write_all(&vec![0; BLOCK - rest]) } else { Ok(()) }
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        self.header(name, 0o777, 0, b'2', target)
    }

    /// Ends the archive and gives the writer back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Field widths of POSIX ustar: name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, link 100.
    fn header(&mut self, name: &str, mode: u32, size: u64, kind: u8, link: &str) -> io::Result<()> {
        if name.len() > 100 || link.len() > 100 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{name} is too long for a tar header"),
            ));
        }
        let build = |checksum: &str| {
            let mut header = Vec::with_capacity(BLOCK);
            let mut field = |text: &str, width: usize| {
                header.extend(text.bytes().chain(std::iter::repeat(0)).take(width));
            };
            field(name, 100);
            field(&format!("{mode:07o}"), 8);
            field("0000000", 8);
            field("0000000", 8);
            field(&format!("{size:011o}"), 12);
            field("00000000000", 12);
            field(checksum, 8);
            field(char::from(kind).encode_utf8(&mut [0; 4]), 1);
            field(link, 100);
            field("ustar\u{0}00", 8);
            field("", BLOCK - 265);
            header
        };
        // The sum is taken with the checksum field full of spaces.
        let sum: u64 = build("        ").iter().map(|byte| u64::from(*byte)).sum();
        self.out.write_all(&build(&format!("{sum:06o}\u{0} ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn the_system_tar_reads_what_is_written() {
        let mut tar = Writer::new(Vec::new());
        tar.folder("bin/").unwrap();
        tar.file("bin/program", 0o755, b"content").unwrap();
        tar.link("bin/alias", "program").unwrap();
        let bytes = tar.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut list = Command::new("tar")
            .arg("-tvf")
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        list.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = list.wait_with_output().unwrap();
        assert!(output.status.success());
        let listing = String::from_utf8(output.stdout).unwrap();
        assert!(listing.contains("drwxr-xr-x") && listing.contains("bin/"), "{listing}");
        assert!(listing.contains("-rwxr-xr-x") && listing.contains(" 7 "), "{listing}");
        assert!(listing.contains("bin/alias -> program"), "{listing}");
    }
}
