//! What it costs to read objects of a watch in either encoding:
//! `cargo run --profile lab -p sidecar-core --example decode`.
//!
//! The objects are those that were recorded of a real API server for the tests; the volume at the end of the list is one as
//! csi-provisioner makes them, the others have every field that is read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use sidecar_core::cache::{Decoder, Event, Json, Protobuf};
use sidecar_core::objects::{Attachment, Claim, Interest, Kind, Volume};

const DRIVER: &str = "hostpath.csi.k8s.io";
const ROUNDS: u32 = 50;
const REPEATS: usize = 2_000;

fn main() {
    println!("{:<44}{:>8}{:>10}{:>8}{:>10}", "object", "JSON, B", "ns", "pb, B", "ns");
    compare::<Volume>("volumes", "pvc-3d0a31a6-2b1c-4c9f-9b0c-0123456789ab");
    compare::<Volume>("volumes", "everything");
    compare::<Claim>("claims", "everything");
    compare::<Attachment>("attachments", "everything");
}

fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/protobuf");
    std::fs::read(folder.join(name)).unwrap()
}

fn compare<T: Kind>(file: &str, name: &str) {
    let json = recorded(&format!("{file}.watch.json"));
    let protobuf = recorded(&format!("{file}.watch.protobuf"));
    let line = json.split(|byte| *byte == b'\n').find(|line| shows::<T>(&Json, line, name)).unwrap();
    let mut rest = &protobuf[..];
    let frame = loop {
        let (length, behind) = rest.split_first_chunk::<4>().unwrap();
        let (frame, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        if shows::<T>(&Protobuf, frame, name) {
            break frame;
        }
        rest = behind;
    };
    let (theirs, ours) = (cost::<T>(&Json, line), cost::<T>(&Protobuf, frame));
    let (kind, name) = (T::RESOURCE.kind, name.split('-').next().unwrap_or_default());
    let what = format!("{kind} {name}");
    println!("{what:<44}{:>8}{:>10}{:>8}{:>10}", line.len(), theirs.as_nanos(), frame.len(), ours.as_nanos());
}

fn shows<T: Kind>(decoder: &dyn Decoder<T>, event: &[u8], name: &str) -> bool {
    match decoder.event(event, &Interest::everything()) {
        Ok(Event::Applied(object)) => &*object.meta().name == name,
        _ => false,
    }
}

/// Time for one event, as a provisioner reads it; the best of many short runs, which a busy machine leaves alone.
fn cost<T: Kind>(decoder: &dyn Decoder<T>, event: &[u8]) -> Duration {
    let interest = Interest::of_drivers([DRIVER]);
    let run = || {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            let _ = black_box(decoder.event(black_box(event), &interest));
        }
        began.elapsed() / ROUNDS
    };
    (0..REPEATS).map(|_| run()).min().unwrap_or_default()
}
