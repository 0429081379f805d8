//! JSON, as every API server speaks it: serde_json does the reading.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{Bare, DecodeError, Decoder, Event, Framing, Item, Page, Unreadable};
use crate::objects::{Interest, Kind, Projected, Text};

/// JSON, which every API server speaks.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl<T: Kind> Decoder<T> for Json {
    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn object(&self, bytes: &[u8], interest: &Interest) -> Result<Projected<T>, DecodeError> {
        Ok(T::project(serde_json::from_slice(bytes)?, interest))
    }

    fn event(&self, bytes: &[u8], interest: &Interest) -> Result<Event<T>, DecodeError> {
        match event_type(bytes)?.as_str() {
            "ADDED" | "MODIFIED" => match event_object(bytes) {
                Ok(object) => Ok(Event::Applied(T::project(object, interest))),
                // Only JSON can be skipped: what is none breaks the stream.
                Err(error) if error.is_data() => {
                    Ok(Event::Unreadable(Unreadable::new(event_object(bytes), error)))
                }
                Err(error) => Err(error.into()),
            },
            "DELETED" => {
                let object: Bare<'_> = event_object(bytes)?;
                Ok(Event::Deleted(object.metadata.keep(false)))
            }
            "BOOKMARK" => {
                let object: Bare<'_> = event_object(bytes)?;
                let (version, ends_list) = (object.metadata.version(), object.metadata.ends_initial_events());
                Ok(Event::Bookmark { version, ends_list })
            }
            "ERROR" => Ok(Event::Error(Box::new(event_object(bytes)?))),
            other => Err(DecodeError::EventType(other.to_owned())),
        }
    }

    fn page(
        &self,
        bytes: &[u8],
        interest: &Interest,
        each: &mut dyn FnMut(Item<T>),
    ) -> Result<Page, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        match (PageSeed { interest, each: &mut *each }).deserialize(&mut deserializer) {
            Ok(page) => Ok(page),
            Err(error) if error.is_data() => one_by_one(bytes, interest, each),
            Err(error) => Err(error.into()),
        }
    }
}

#[derive(Deserialize)]
struct WireEvent<O> {
    object: O,
}

#[derive(Deserialize)]
struct WireType<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

fn event_object<'a, O: Deserialize<'a>>(bytes: &'a [u8]) -> Result<O, serde_json::Error> {
    serde_json::from_slice::<WireEvent<O>>(bytes).map(|event| event.object)
}

/// The type, which API servers write first.
fn event_type(bytes: &[u8]) -> Result<String, serde_json::Error> {
    let first = bytes.strip_prefix(br#"{"type":""#).and_then(|rest| rest.split(|byte| *byte == b'"').next());
    match first.and_then(|text| std::str::from_utf8(text).ok()) {
        Some(text) => Ok(text.to_owned()),
        None => serde_json::from_slice::<WireType<'_>>(bytes).map(|event| event.kind.as_str().to_owned()),
    }
}

/// A page with an item that cannot be read: the others are found by reading the whole page into memory first.
fn one_by_one<T: Kind>(
    bytes: &[u8],
    interest: &Interest,
    each: &mut dyn FnMut(Item<T>),
) -> Result<Page, DecodeError> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(default)]
        metadata: Value,
        #[serde(default)]
        items: Option<Vec<Value>>,
    }
    let whole: Whole = serde_json::from_slice(bytes)?;
    for item in whole.items.unwrap_or_default() {
        let item = item.to_string();
        each(match serde_json::from_str(&item) {
            Ok(wire) => Ok(T::project(wire, interest)),
            Err(error) => Err(Unreadable::new(serde_json::from_str(&item), error)),
        });
    }
    let text = |name: &str| whole.metadata.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(Page {
        version: text("resourceVersion").parse().unwrap_or_default(),
        next: text("continue").to_owned(),
    })
}

struct PageSeed<'s, T> {
    interest: &'s Interest,
    each: &'s mut dyn FnMut(Item<T>),
}

impl<'de, T: Kind> DeserializeSeed<'de> for PageSeed<'_, T> {
    type Value = Page;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Page, D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireListMeta<'a> {
    #[serde(borrow)]
    resource_version: Text<'a>,
    #[serde(borrow, rename = "continue")]
    next: Text<'a>,
}

impl<'de, T: Kind> Visitor<'de> for PageSeed<'_, T> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page, A::Error> {
        let mut page = Page::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match key.as_str() {
                "metadata" => {
                    let meta: WireListMeta<'de> = map.next_value()?;
                    page.version = meta.resource_version.as_str().parse().unwrap_or_default();
                    meta.next.as_str().clone_into(&mut page.next);
                }
                "items" => {
                    map.next_value_seed(ItemsSeed { interest: self.interest, each: &mut *self.each })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(page)
    }
}

struct ItemsSeed<'s, T> {
    interest: &'s Interest,
    each: &'s mut dyn FnMut(Item<T>),
}

impl<'de, T: Kind> DeserializeSeed<'de> for ItemsSeed<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Kind> Visitor<'de> for ItemsSeed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(wire) = sequence.next_element::<T::Wire<'de>>()? {
            (self.each)(Ok(T::project(wire, self.interest)));
        }
        Ok(())
    }
}
