//! Cuts the body of a watch into its events.

use bytes::BytesMut;

use super::decode::{DecodeError, Framing, ProtobufError};

/// The longest frame that can be an event; client-go reads none that is longer, and etcd stores objects of a tenth of that.
const LONGEST: u32 = 16 << 20;
/// The length in front of a frame.
const PREFIX: usize = size_of::<u32>();

/// A buffer between the network and the decoder.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, buffer: BytesMut::new(), searched: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Hands the next complete frame to `read`.
    pub(super) fn next<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, DecodeError> {
        match self.framing {
            Framing::Lines => self.next_line(read),
            Framing::Lengths => self.next_counted(read),
        }
    }

    /// Blank lines are no events.
    fn next_line<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, DecodeError> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = memchr::memchr(b'\n', unsearched) else {
                self.searched = self.buffer.len();
                return Ok(None);
            };
            let line = self.buffer.split_to(self.searched + length + 1);
            self.searched = 0;
            if !line.trim_ascii().is_empty() {
                return read(&line).map(Some);
            }
        }
    }

    fn next_counted<R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> Result<R, DecodeError>,
    ) -> Result<Option<R>, DecodeError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        if length > LONGEST {
            return Err(ProtobufError::Frame(length).into());
        }
        let end = PREFIX + usize::try_from(length).unwrap_or(usize::MAX - PREFIX);
        if self.buffer.len() < end {
            return Ok(None);
        }
        let frame = self.buffer.split_to(end);
        read(frame.get(PREFIX..).unwrap_or_default()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All frames of a body that arrives in pieces of a size.
    fn cut(framing: Framing, body: &[u8], size: usize) -> Vec<String> {
        let (mut frames, mut found) = (Frames::new(framing), Vec::new());
        for part in body.chunks(size) {
            frames.push(part);
            let read = |frame: &[u8]| Ok(String::from_utf8(frame.trim_ascii().to_vec()).unwrap());
            while let Some(frame) = frames.next(read).unwrap() {
                found.push(frame);
            }
        }
        found
    }

    #[test]
    fn frames_are_cut_wherever_the_network_cut_them() {
        let lines = b"one\ntwo\n\nthree\nfour";
        let counted = b"\0\0\0\x03one\0\0\0\x03two\0\0\0\0\0\0\0\x05three\0\0\0\x05four";
        for size in 1..=counted.len() {
            assert_eq!(cut(Framing::Lines, lines, size), ["one", "two", "three"]);
            assert_eq!(cut(Framing::Lengths, counted, size), ["one", "two", "", "three"]);
        }
    }

    #[test]
    fn nothing_waits_for_a_frame_that_cannot_be() {
        let mut frames = Frames::new(Framing::Lengths);
        frames.push(b"{\"ty");
        assert!(matches!(frames.next(|_| Ok(())), Err(DecodeError::Protobuf(ProtobufError::Frame(_)))));
    }
}
