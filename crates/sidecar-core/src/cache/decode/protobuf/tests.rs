//! Protobuf against recordings of a real API server, against its shapes, and against bytes that nobody should send.
//!
//! The recordings are made anew by `crates/sidecar-core/tests/data/protobuf/record.sh`, on what `lab build` has built.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod hostile;
mod messages;
mod recordings;
mod shapes;

use std::path::Path;

/// A recording of a real server.
fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    std::fs::read(folder.join(name)).unwrap()
}

/// The events of a recorded watch: each behind its length.
fn frames(mut body: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((prefix, rest)) = body.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*prefix) as usize);
        found.push(frame);
        body = rest;
    }
    found
}

/// Numbers are written in groups of seven bits, the lowest first.
fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

/// A field of bytes.
fn field(number: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&varint(number << 3 | 2), &varint(bytes.len()), bytes].concat()
}

/// An object in its envelope.
fn envelope(object: impl AsRef<[u8]>) -> Vec<u8> {
    [&b"k8s\0"[..], &field(2, object)].concat()
}

/// A watch event.
fn event(kind: &str, object: impl AsRef<[u8]>) -> Vec<u8> {
    [field(1, kind), field(2, field(1, envelope(object)))].concat()
}
