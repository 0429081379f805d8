//! What a real API server sends reads the same in both encodings.

use std::collections::BTreeSet;

use super::super::super::{self as decode, Decoder, Event, Item, Json, Page};
use super::super::wire::{Content, Fields, entry};
use super::super::{Protobuf, opened};
use super::{frames, recorded};
use crate::objects::{
    Attachment, AttributesClass, Claim, Class, CsiNode, Interest, Kind, Node, Pod, Projected, STATUS, Shape,
    Type, Volume,
};

const DRIVER: &str = "hostpath.csi.k8s.io";

/// Does the same for every kind and its recording.
macro_rules! every_kind {
    ($check:ident $(, $with:expr)?) => {
        $check::<Volume>("volumes" $(, $with)?);
        $check::<Claim>("claims" $(, $with)?);
        $check::<Pod>("pods" $(, $with)?);
        $check::<Node>("nodes" $(, $with)?);
        $check::<Attachment>("attachments" $(, $with)?);
        $check::<CsiNode>("csinodes" $(, $with)?);
        $check::<Class>("classes" $(, $with)?);
        $check::<AttributesClass>("attributesclasses" $(, $with)?);
    };
}

fn interests() -> [Interest; 3] {
    [Interest::everything(), Interest::of_drivers([DRIVER]), Interest::nothing()]
}

fn assert_same<T: Kind>(ours: &Projected<T>, theirs: &Projected<T>) {
    match (ours, theirs) {
        (Projected::Own(ours), Projected::Own(theirs)) => assert_eq!(ours, theirs),
        (Projected::Foreign(ours), Projected::Foreign(theirs))
        | (Projected::Nothing(ours), Projected::Nothing(theirs)) => assert_eq!(ours, theirs),
        _ => panic!("{ours:?} is not {theirs:?}"),
    }
}

fn page<T: Kind>(decoder: &dyn Decoder<T>, body: &[u8], interest: &Interest) -> (Page, Vec<Projected<T>>) {
    let mut items = Vec::new();
    let mut each = |item: Item<T>| items.push(item.unwrap());
    (decoder.page(body, interest, &mut each).unwrap(), items)
}

#[test]
fn lists_are_the_same_in_both_encodings() {
    fn check<T: Kind>(name: &str) {
        let (json, protobuf) =
            (recorded(&format!("{name}.list.json")), recorded(&format!("{name}.list.protobuf")));
        for interest in interests() {
            let (expected, objects) = page::<T>(&Json, &json, &interest);
            let (found, same) = page::<T>(&Protobuf, &protobuf, &interest);
            assert!(expected.version > 0 && !objects.is_empty());
            assert_eq!((found, same.len()), (expected, objects.len()));
            same.iter().zip(&objects).for_each(|(ours, theirs)| assert_same(ours, theirs));
        }
    }
    every_kind!(check);
}

fn assert_same_events<T: Kind>(name: &str) -> Vec<Event<T>> {
    let (json, protobuf) =
        (recorded(&format!("{name}.watch.json")), recorded(&format!("{name}.watch.protobuf")));
    let lines: Vec<_> = json.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let frames = frames(&protobuf);
    assert_eq!(frames.len(), lines.len());
    let interest = Interest::everything();
    let same = |(frame, line): (&[u8], &[u8])| {
        let ours: Event<T> = Protobuf.event(frame, &interest).unwrap();
        let theirs: Event<T> = Json.event(line, &interest).unwrap();
        match (&ours, &theirs) {
            (Event::Applied(ours), Event::Applied(theirs)) => assert_same(ours, theirs),
            (Event::Deleted(ours), Event::Deleted(theirs)) => assert_eq!(ours, theirs),
            (Event::Bookmark { .. }, Event::Bookmark { .. }) => {
                assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
            }
            _ => panic!("{ours:?} is not {theirs:?}"),
        }
        ours
    };
    frames.into_iter().zip(lines).map(same).collect()
}

#[test]
fn streaming_lists_are_the_same_in_both_encodings() {
    fn check<T: Kind>(name: &str) {
        let events = assert_same_events::<T>(name);
        assert!(events.len() > 1, "objects and the bookmark behind them");
        assert!(matches!(events.last(), Some(Event::Bookmark { ends_list: true, .. })));
    }
    every_kind!(check);
}

#[test]
fn changes_and_deletions_are_the_same_in_both_encodings() {
    let events = assert_same_events::<AttributesClass>("changes");
    assert!(matches!(&events[..], [Event::Applied(_), Event::Applied(_), Event::Deleted(meta)]
        if &*meta.name == "gold" && meta.resource_version > 0));
}

#[test]
fn refusals_are_the_same_in_both_encodings() {
    let (json, protobuf) = (recorded("refused.status.json"), recorded("refused.status.protobuf"));
    let mut expected: kube::core::Status = serde_json::from_slice(&json).unwrap();
    let found = decode::protobuf::status(&protobuf).unwrap();
    assert_eq!((found.code, found.details.as_ref().unwrap().causes.len()), (422, 1));
    // An empty object in one, nothing in the other.
    expected.metadata = None;
    assert_eq!(found, expected);
}

/// A recording proves a number only if it holds something under it.
#[test]
fn recordings_hold_every_field_that_is_read() {
    fn collect<T: Kind>(name: &str, found: &mut Found) {
        let body = recorded(&format!("{name}.list.protobuf"));
        let mut list = Fields::of(opened(&body).unwrap());
        while let Some((number, content)) = list.next().unwrap() {
            if let (2, Content::Bytes(item)) = (number, content) {
                note(T::PROTOBUF.unwrap(), item, found);
            }
        }
    }
    fn check<T: Kind>(name: &str, found: &mut Found) {
        assert_all_found(name, T::PROTOBUF.unwrap(), found);
    }
    let mut found = Found::new();
    every_kind!(collect, &mut found);
    every_kind!(check, &mut found);
    note(&STATUS, opened(&recorded("refused.status.protobuf")).unwrap(), &mut found);
    let holds = |number| found.contains(&(std::ptr::from_ref(&STATUS).addr(), number));
    assert!(STATUS.fields.iter().all(|field| holds(field.number)));
}

/// Fields that hold something, by the addresses of their shapes and their numbers.
type Found = BTreeSet<(usize, u32)>;

fn note(shape: &'static Shape, message: &[u8], found: &mut Found) {
    let mut fields = Fields::of(message);
    while let Some((number, content)) = fields.next().unwrap() {
        let Some((_, field)) = shape.find(number) else { continue };
        match (field.of, content) {
            (Type::Message(inner) | Type::Messages(inner) | Type::Inline(inner), Content::Bytes(bytes)) => {
                note(inner, bytes, found);
            }
            (Type::TextMap | Type::QuantityMap, Content::Bytes(bytes)) => {
                assert!(!entry(bytes).unwrap().0.is_empty());
            }
            (_, Content::Bytes([]) | Content::Number(0)) => continue,
            _ => {}
        }
        found.insert((std::ptr::from_ref(shape).addr(), number));
    }
}

fn assert_all_found(path: &str, shape: &'static Shape, found: &Found) {
    for field in shape.fields {
        // Which sources an attachment can contain is shown by the volumes.
        if field.name == "inlineVolumeSpec" {
            continue;
        }
        let path = format!("{path}.{}", field.name);
        let holds = found.contains(&(std::ptr::from_ref(shape).addr(), field.number));
        assert!(holds, "nothing recorded in {path}");
        if let Type::Message(inner) | Type::Messages(inner) | Type::Inline(inner) = field.of {
            assert_all_found(&path, inner, found);
        }
    }
}
