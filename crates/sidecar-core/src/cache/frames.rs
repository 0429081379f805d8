//! Cuts the body of a watch into its events, one per line.

use bytes::BytesMut;

/// A buffer between the network and the decoder.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Hands the next complete line to `read`. Blank lines are no events.
    pub(super) fn next<R>(&mut self, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = memchr::memchr(b'\n', unsearched) else {
                self.searched = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.searched + length + 1);
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return Some(read(&line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_network_cut_them() {
        let text = b"one\ntwo\n\nthree\nfour";
        for size in 1..=text.len() {
            let (mut frames, mut lines) = (Frames::default(), Vec::new());
            for part in text.chunks(size) {
                frames.push(part);
                while let Some(line) =
                    frames.next(|line| String::from_utf8(line.trim_ascii().to_vec()).unwrap())
                {
                    lines.push(line);
                }
            }
            assert_eq!(lines, ["one", "two", "three"]);
        }
    }
}
