//! What no API server sends today: fields in other orders, text that is none, objects that are none.

use super::super::super::{DecodeError, Decoder, Event, Item};
use super::super::{Protobuf, ProtobufError};
use super::{envelope, event, field, recorded};
use crate::objects::{Claim, Interest, Pod, Projected, Snapshot, Volume};

/// A name and a version.
fn named(name: &str) -> Vec<u8> {
    field(1, [field(1, name), field(6, "7")].concat())
}

fn applied(bytes: &[u8]) -> Volume {
    match Protobuf.event(bytes, &Interest::everything()) {
        Ok(Event::Applied(Projected::Own(volume))) => volume,
        other => panic!("{other:?}"),
    }
}

#[test]
fn repeated_fields_may_be_scattered() {
    let meta =
        [field(14, "a"), field(1, "pv"), field(14, "b"), field(12, "\n\x01k"), field(14, "c")].concat();
    let spec = [field(3, "ReadWriteOnce"), field(6, "class"), field(3, "ReadOnlyMany")].concat();
    let volume = applied(&event("ADDED", [field(2, spec), field(1, meta)].concat()));
    assert_eq!(volume.meta.finalizers.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!((&*volume.meta.name, volume.class.as_deref()), ("pv", Some("class")));
    let modes: Vec<_> = volume.source.unwrap().access_modes.iter().collect();
    assert_eq!(modes, ["ReadWriteOnce", "ReadOnlyMany"]);
}

#[test]
fn fields_of_an_inlined_message_may_come_anywhere() {
    let csi = field(2, field(22, [field(2, "handle"), field(1, "driver")].concat()));
    for spec in [
        [csi.clone(), field(6, "class")].concat(),
        [field(6, "class"), csi.clone()].concat(),
        [field(2, ""), csi, field(2, ""), field(6, "class")].concat(),
    ] {
        let volume = applied(&event("ADDED", [named("pv"), field(2, spec)].concat()));
        assert_eq!((volume.driver.as_deref(), &*volume.handle), (Some("driver"), "handle"));
        assert_eq!(volume.class.as_deref(), Some("class"));
    }
}

#[test]
fn text_that_is_none_reads_as_in_json() {
    let spec = field(6, b"a\xe2\x82b\xff");
    let volume = applied(&event("ADDED", [named("pv"), field(2, spec)].concat()));
    assert_eq!(volume.class.as_deref(), Some("a\u{fffd}\u{fffd}b\u{fffd}"), "one for each byte");
}

#[test]
fn times_are_texts_of_seconds() {
    let condition = |seconds: &[u8]| {
        let time = [&[8], seconds].concat();
        field(3, field(4, [field(1, "Resizing"), field(4, time)].concat()))
    };
    let read = |seconds: &[u8]| {
        let object = envelope([named("c"), condition(seconds)].concat());
        let read: Result<Projected<Claim>, _> = Protobuf.object(&object, &Interest::everything());
        read.map(|claim| match claim {
            Projected::Own(claim) => claim.resize.unwrap().conditions[0].last_transition_time.to_string(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(read(&[0]).unwrap(), "1970-01-01T00:00:00Z");
    assert_eq!(read(&[0xff, 0xe6, 0xd4, 0xd7, 0x06]).unwrap(), "2026-11-12T03:33:19Z");
    assert_eq!(read(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]).unwrap(), "1969-12-31T23:59:59Z");
    let too_late = [255, 255, 255, 255, 255, 255, 255, 255, 127];
    assert!(matches!(read(&too_late), Err(DecodeError::Protobuf(ProtobufError::Content(_)))));
}

#[test]
fn an_object_in_another_shape_is_passed_over_with_its_metadata() {
    // The spec is a number, the finalizers are, or the class is there twice.
    let broken = [
        [named("pv"), vec![2 << 3, 1]].concat(),
        [named("pv"), field(2, [vec![6 << 3, 1]].concat())].concat(),
        [named("pv"), field(2, [field(6, "a"), field(6, "b")].concat())].concat(),
        [named("pv"), field(2, [0x32, 99])].concat(),
    ];
    let interest = Interest::everything();
    for object in broken {
        match Protobuf.event(&event("MODIFIED", &object), &interest) {
            Ok(Event::<Volume>::Unreadable(skipped)) => {
                let meta = skipped.meta.unwrap();
                assert_eq!((&*meta.name, meta.resource_version), ("pv", 7));
            }
            other => panic!("{other:?}"),
        }
        let good = [named("good")].concat();
        let list = envelope([field(1, field(2, "9")), field(2, &object), field(2, &good)].concat());
        let (mut skipped, mut read) = (0, 0);
        let page = Protobuf.page(&list, &interest, &mut |item: Item<Volume>| match item {
            Ok(_) => read += 1,
            Err(_) => skipped += 1,
        });
        assert_eq!((page.unwrap().version, skipped, read), (9, 1, 1));
    }
    // Without metadata nobody can tell which object it is.
    let nameless = Protobuf.event(&event("ADDED", [8, 1]), &interest);
    assert!(matches!(nameless, Ok(Event::<Pod>::Unreadable(skipped)) if skipped.meta.is_none()));
}

#[test]
fn an_error_event_carries_a_status() {
    let status = recorded("refused.status.protobuf");
    let bytes = [field(1, "ERROR"), field(2, field(1, &status))].concat();
    match Protobuf.event(&bytes, &Interest::all()) {
        Ok(Event::<Volume>::Error(status)) => assert_eq!((status.code, &*status.reason), (422, "Invalid")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_envelope_is_an_error() {
    let read = |bytes: &[u8]| -> Result<Projected<Volume>, _> { Protobuf.object(bytes, &Interest::all()) };
    let compressed = [&b"k8s\0"[..], &field(2, "x"), &field(3, "gzip")].concat();
    let json = [&b"k8s\0"[..], &field(2, "{}"), &field(4, "application/json")].concat();
    for bytes in [&b"{}"[..], b"", b"k8s", b"k8s\0", b"k8s\x01\x12\0", &compressed, &json] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, DecodeError::Protobuf(ProtobufError::Envelope(_))), "{bytes:?}: {error:?}");
    }
    let news = Protobuf.event(&event("NEWS", named("pv")), &Interest::all());
    assert!(matches!(news, Err::<Event<Volume>, _>(DecodeError::EventType(kind)) if kind == "NEWS"));
    let none: Result<Event<Snapshot>, _> =
        Protobuf.event(&event("ADDED", named("snap")), &Interest::everything());
    assert!(matches!(none, Err(DecodeError::Protobuf(ProtobufError::NoShape))));
}
