//! The HTTP/2 side of the rewrite: finds header blocks in the byte stream (RFC 9113 section 4.1, 6.2, 6.10),
//! decodes them (RFC 7541) and writes them again as literals, so that the server keeps no decoder state of ours.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use loona_hpack::Decoder;

/// The client connection preface; frames follow it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
const TYPE_HEADERS: u8 = 0x1;
const TYPE_CONTINUATION: u8 = 0x9;
const FLAG_END_STREAM: u8 = 0x1;
const FLAG_END_HEADERS: u8 = 0x4;
const FLAG_PADDED: u8 = 0x8;
const FLAG_PRIORITY: u8 = 0x20;
/// The largest frame a peer may send before SETTINGS allow more (RFC 9113 section 4.2); also what we emit.
const MAX_FRAME: usize = 16_384;
/// A registration call's headers take about 200 bytes; more than this is not kubelet.
const MAX_HEADER_BLOCK: usize = 64 * 1024;
/// What gRPC clients send for UNIX sockets (sheet csi-proto section 10).
const AUTHORITY: &[u8] = b"localhost";

#[derive(Debug, Clone, Copy)]
struct FrameHeader {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

/// A header block whose CONTINUATION frames are still arriving.
#[derive(Debug)]
struct Block {
    stream: u32,
    end_stream: bool,
    fragments: BytesMut,
}

/// Turns the bytes a client sent into the bytes the server is to see.
pub(super) struct Rewriter {
    preface_left: usize,
    /// Bytes of the current frame that are copied as they are.
    copy_left: usize,
    pending: BytesMut,
    block: Option<Block>,
    decoder: Decoder<'static>,
}

impl std::fmt::Debug for Rewriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rewriter").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Rewriter {
    pub(super) fn new() -> Self {
        Self {
            preface_left: PREFACE.len(),
            copy_left: 0,
            pending: BytesMut::new(),
            block: None,
            decoder: Decoder::new(),
        }
    }

    /// Takes the next bytes of the client, in pieces of any size, and appends what is ready to `out`.
    pub(super) fn push(&mut self, data: &[u8], out: &mut BytesMut) -> io::Result<()> {
        self.pending.extend_from_slice(data);
        copy(&mut self.pending, &mut self.preface_left, out);
        while self.preface_left == 0 {
            copy(&mut self.pending, &mut self.copy_left, out);
            if self.copy_left > 0 || !self.next_frame(out)? {
                break;
            }
        }
        Ok(())
    }

    /// Handles the frame at the head of `pending`; false if more bytes are needed first.
    fn next_frame(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        let Some(header) = FrameHeader::parse(&self.pending) else { return Ok(false) };
        if header.kind != TYPE_HEADERS && header.kind != TYPE_CONTINUATION {
            self.copy_left = FRAME_HEADER + header.length;
            return Ok(true);
        }
        if header.length > MAX_FRAME {
            return Err(invalid("header frame is larger than any client may send"));
        }
        if self.pending.len() < FRAME_HEADER + header.length {
            return Ok(false);
        }
        self.pending.advance(FRAME_HEADER);
        let payload = self.pending.split_to(header.length);
        self.header_frame(header, payload)?;
        if header.flags & FLAG_END_HEADERS != 0
            && let Some(block) = self.block.take()
        {
            self.emit(&block, out)?;
        }
        Ok(true)
    }

    fn header_frame(&mut self, header: FrameHeader, payload: BytesMut) -> io::Result<()> {
        if header.kind == TYPE_HEADERS {
            self.block = Some(Block {
                stream: header.stream,
                end_stream: header.flags & FLAG_END_STREAM != 0,
                fragments: strip(header.flags, payload)?,
            });
            return Ok(());
        }
        match &mut self.block {
            Some(block)
                if block.stream == header.stream
                    && block.fragments.len() + payload.len() <= MAX_HEADER_BLOCK =>
            {
                block.fragments.extend_from_slice(&payload);
                Ok(())
            }
            Some(_) => Err(invalid("header block is too large or interleaved with another stream")),
            None => Err(invalid("CONTINUATION without HEADERS")),
        }
    }

    /// Writes one decoded block as HEADERS and, if it is long, CONTINUATION frames.
    fn emit(&mut self, block: &Block, out: &mut BytesMut) -> io::Result<()> {
        let mut encoded = BytesMut::with_capacity(block.fragments.len() + 64);
        self.decoder
            .decode_with_cb(&block.fragments, |name, value| {
                let value = if name.as_ref() == b":authority" { AUTHORITY } else { value.as_ref() };
                literal(&mut encoded, name.as_ref(), value);
            })
            .map_err(|error| invalid(&format!("header block does not decode: {error:?}")))?;
        let mut kind = TYPE_HEADERS;
        loop {
            let part = encoded.split_to(encoded.len().min(MAX_FRAME));
            let mut flags = if encoded.is_empty() { FLAG_END_HEADERS } else { 0 };
            if kind == TYPE_HEADERS && block.end_stream {
                flags |= FLAG_END_STREAM;
            }
            FrameHeader { length: part.len(), kind, flags, stream: block.stream }.write(out);
            out.extend_from_slice(&part);
            if encoded.is_empty() {
                return Ok(());
            }
            kind = TYPE_CONTINUATION;
        }
    }
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut header = bytes.get(..FRAME_HEADER)?;
        let length = usize::try_from(header.get_uint(3)).ok()?;
        let kind = header.get_u8();
        let flags = header.get_u8();
        let stream = header.get_u32() & 0x7fff_ffff;
        Some(Self { length, kind, flags, stream })
    }

    fn write(self, out: &mut BytesMut) {
        out.put_uint(self.length as u64, 3);
        out.put_u8(self.kind);
        out.put_u8(self.flags);
        out.put_u32(self.stream);
    }
}

fn copy(from: &mut BytesMut, left: &mut usize, to: &mut BytesMut) {
    let length = from.len().min(*left);
    to.extend_from_slice(&from.split_to(length));
    *left -= length;
}

/// Removes padding and priority from a HEADERS payload.
fn strip(flags: u8, mut payload: BytesMut) -> io::Result<BytesMut> {
    let short = || invalid("HEADERS frame is shorter than its flags say");
    if flags & FLAG_PADDED != 0 {
        let padding = usize::from(payload.try_get_u8().map_err(|_| short())?);
        let length = payload.len().checked_sub(padding).ok_or_else(short)?;
        payload.truncate(length);
    }
    if flags & FLAG_PRIORITY != 0 {
        if payload.len() < 5 {
            return Err(short());
        }
        payload.advance(5);
    }
    Ok(payload)
}

/// Appends a literal header field without indexing and without Huffman coding (RFC 7541 section 6.2.2).
fn literal(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_u8(0);
    for text in [name, value] {
        integer(out, text.len());
        out.extend_from_slice(text);
    }
}

/// Appends an integer with a 7-bit prefix whose top bit is 0 (RFC 7541 section 5.1).
fn integer(out: &mut BytesMut, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else {
        out.put_u8(low_seven_bits(value));
        return;
    };
    out.put_u8(127);
    while rest >= 128 {
        out.put_u8(low_seven_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low_seven_bits(rest));
}

fn low_seven_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or(0x7f)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests;
