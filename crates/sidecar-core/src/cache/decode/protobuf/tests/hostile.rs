//! No bytes make the decoder panic or read without end.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::super::{Decoder, Item};
use super::super::{Protobuf, status};
use super::{frames, recorded};
use crate::objects::{Attachment, AttributesClass, Claim, Class, CsiNode, Interest, Kind, Node, Pod, Volume};

/// Reads the bytes as anything they might be.
fn read_all(bytes: &[u8]) {
    fn read<T: Kind>(bytes: &[u8]) {
        let interest = Interest::everything();
        let decoder: &dyn Decoder<T> = &Protobuf;
        let _either = decoder.object(bytes, &interest);
        let _either = decoder.event(bytes, &interest);
        let mut items = 0;
        let _either = decoder.page(bytes, &interest, &mut |_: Item<T>| items += 1);
        assert!(items <= bytes.len(), "an item takes at least a byte");
    }
    read::<Volume>(bytes);
    read::<Claim>(bytes);
    read::<Pod>(bytes);
    read::<Node>(bytes);
    read::<Attachment>(bytes);
    read::<CsiNode>(bytes);
    read::<Class>(bytes);
    read::<AttributesClass>(bytes);
    let _either = status(bytes);
}

/// Messages of the real server.
fn genuine() -> impl Strategy<Value = Vec<u8>> {
    let names = ["volumes", "claims", "pods", "nodes", "attachments", "csinodes", "classes"];
    let mut all = vec![recorded("refused.status.protobuf")];
    for name in names {
        let watch = recorded(&format!("{name}.watch.protobuf"));
        all.extend(frames(&watch).into_iter().map(<[u8]>::to_vec));
        all.push(recorded(&format!("{name}.list.protobuf")));
    }
    select(all)
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
        with_magic in any::<bool>(),
    ) {
        if with_magic {
            bytes.splice(0..0, *b"k8s\0\x12\x7f");
        }
        read_all(&bytes);
    }

    #[test]
    fn damaged_messages_are_read_or_refused(
        mut bytes in genuine(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..6),
        keep in any::<Index>(),
        cut in any::<bool>(),
    ) {
        for (place, byte, how) in changes {
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] = byte,
                // Lengths and tags that are off by a little do the most interesting things.
                1 => bytes[place] = bytes[place].wrapping_add(byte % 3).wrapping_sub(1),
                2 => bytes.insert(place, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => {}
            }
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        read_all(&bytes);
    }
}

#[test]
fn every_beginning_of_a_message_is_read_or_refused() {
    for name in ["attachments", "csinodes", "classes"] {
        let watch = recorded(&format!("{name}.watch.protobuf"));
        for frame in frames(&watch) {
            (0..frame.len()).for_each(|length| read_all(&frame[..length]));
        }
    }
}
