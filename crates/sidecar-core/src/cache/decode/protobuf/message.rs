//! A serde deserializer over a message and its shape.
//!
//! The wire structs see what they would see of JSON: objects with named members, borrowed strings, lists and maps. How deep it
//! goes is decided by the shapes, never by the bytes. The API server writes the values of a repeated field side by side;
//! nothing relies on it: the first one collects all others, wherever they are.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::ProtobufError;
use super::wire::{Content, Fields, entry, member};
use crate::objects::{Field, Shape, Type};

impl Error for ProtobufError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Content(message.to_string())
    }
}

/// What all deserializers here have in common: what is skipped costs nothing, and what is there is there.
macro_rules! self_describing {
    () => {
        fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
            visitor.visit_unit()
        }

        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
            visitor.visit_some(self)
        }

        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, ProtobufError> {
            visitor.visit_newtype_struct(self)
        }
    };
}

/// A message, which is an object in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'de> {
    bytes: &'de [u8],
    shape: &'static Shape,
}

impl<'de> Message<'de> {
    pub(super) fn new(bytes: &'de [u8], shape: &'static Shape) -> Self {
        Self { bytes, shape }
    }
}

impl<'de> Deserializer<'de> for Message<'de> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_map(Members { level: Level::of(self.bytes, self.shape), outer: None, value: None })
    }

    self_describing!();
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier
    }
}

/// The members of a message, and of one whose fields are members of it.
struct Members<'de> {
    level: Level<'de>,
    /// Where to go on after an inlined message.
    outer: Option<Level<'de>>,
    value: Option<Value<'de>>,
}

struct Level<'de> {
    fields: Fields<'de>,
    shape: &'static Shape,
    /// Repeated fields that have been seen, and with them all their values.
    collected: u64,
}

impl<'de> Level<'de> {
    fn of(bytes: &'de [u8], shape: &'static Shape) -> Self {
        Self { fields: Fields::of(bytes), shape, collected: 0 }
    }

    /// Notes that a repeated field is being read; `false` if it was before.
    fn collect(&mut self, place: usize) -> bool {
        let bit = 1_u64.wrapping_shl(u32::try_from(place).unwrap_or_default());
        let new = self.collected & bit == 0;
        self.collected |= bit;
        new
    }
}

impl<'de> Members<'de> {
    /// The next field that is read, and its value.
    fn advance(&mut self) -> Result<Option<(&'static Field, Value<'de>)>, ProtobufError> {
        loop {
            let Some((number, content)) = self.level.fields.next()? else {
                let Some(outer) = self.outer.take() else { return Ok(None) };
                self.level = outer;
                continue;
            };
            let Some((place, field)) = self.level.shape.find(number) else { continue };
            match (field.of, content) {
                (Type::Inline(shape), Content::Bytes(bytes)) => {
                    let level = std::mem::replace(&mut self.level, Level::of(bytes, shape));
                    self.outer = Some(level);
                }
                (of, _) if of.repeats() => {
                    if self.level.collect(place) {
                        let values = Occurrences { field, next: Some(content), rest: self.level.fields };
                        return Ok(Some((field, Value::Many(values))));
                    }
                }
                (Type::Text | Type::Time, Content::Bytes([]))
                | (Type::Bool | Type::Int, Content::Number(0))
                    if !field.keeps_zero => {}
                _ => return Ok(Some((field, Value::One(field, content)))),
            }
        }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = ProtobufError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProtobufError> {
        let Some((field, value)) = self.advance()? else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(BorrowedStrDeserializer::new(field.name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProtobufError> {
        let value = self.value.take().ok_or_else(|| ProtobufError::custom("a value without a key"))?;
        seed.deserialize(value)
    }
}

/// The value of a member.
#[derive(Clone, Copy)]
enum Value<'de> {
    One(&'static Field, Content<'de>),
    Many(Occurrences<'de>),
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        let (field, content) = match self {
            Self::One(field, content) => (field, content),
            Self::Many(values) if matches!(values.field.of, Type::TextMap | Type::QuantityMap) => {
                return visitor.visit_map(Entries { values, value: &[] });
            }
            Self::Many(values) => return visitor.visit_seq(values),
        };
        match (field.of, content) {
            (Type::Text | Type::Texts, Content::Bytes(bytes)) => Characters(bytes).deserialize_any(visitor),
            (Type::Bool, Content::Number(number)) => visitor.visit_bool(number != 0),
            (Type::Int, Content::Number(number)) => visitor.visit_i64(number.cast_signed()),
            (Type::Time, Content::Bytes(bytes)) => time(bytes, visitor),
            (Type::Message(shape) | Type::Messages(shape), Content::Bytes(bytes)) => {
                Message::new(bytes, shape).deserialize_any(visitor)
            }
            _ => Err(ProtobufError::Mismatch(field.name)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        match self {
            Self::One(field, Content::Bytes(bytes)) if matches!(field.of, Type::Text) => {
                Characters(bytes).deserialize_enum(name, variants, visitor)
            }
            Self::One(field, _) | Self::Many(Occurrences { field, .. }) => {
                Err(ProtobufError::Mismatch(field.name))
            }
        }
    }

    self_describing!();
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

/// The values of a repeated field: the first one, and those among the fields behind it.
#[derive(Clone, Copy)]
struct Occurrences<'de> {
    field: &'static Field,
    next: Option<Content<'de>>,
    rest: Fields<'de>,
}

impl<'de> Occurrences<'de> {
    fn advance(&mut self) -> Result<Option<Content<'de>>, ProtobufError> {
        if let Some(content) = self.next.take() {
            return Ok(Some(content));
        }
        while let Some((number, content)) = self.rest.next()? {
            if number == self.field.number {
                return Ok(Some(content));
            }
        }
        Ok(None)
    }
}

impl<'de> SeqAccess<'de> for Occurrences<'de> {
    type Error = ProtobufError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ProtobufError> {
        let Some(content) = self.advance()? else { return Ok(None) };
        seed.deserialize(Value::One(self.field, content)).map(Some)
    }
}

/// The entries of a map: messages of key and value.
struct Entries<'de> {
    values: Occurrences<'de>,
    value: &'de [u8],
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ProtobufError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProtobufError> {
        let Some(content) = self.values.advance()? else { return Ok(None) };
        let Content::Bytes(bytes) = content else {
            return Err(ProtobufError::Mismatch(self.values.field.name));
        };
        let (key, value) = entry(bytes)?;
        self.value = value;
        seed.deserialize(Characters(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProtobufError> {
        let text = match self.values.field.of {
            Type::QuantityMap => member(self.value, 1)?,
            _ => self.value,
        };
        seed.deserialize(Characters(text))
    }
}

/// A string. Go does not care whether it is UTF-8; in its JSON each byte that is not becomes a replacement character.
#[derive(Clone, Copy)]
struct Characters<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for Characters<'de> {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        match std::str::from_utf8(self.0) {
            Ok(text) => visitor.visit_borrowed_str(text),
            Err(_) => visitor.visit_string(replaced(self.0)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        visitor.visit_enum(self)
    }

    self_describing!();
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

/// The name of a variant.
impl<'de> EnumAccess<'de> for Characters<'de> {
    type Error = ProtobufError;
    type Variant = <serde::de::value::StrDeserializer<'de, ProtobufError> as EnumAccess<'de>>::Variant;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), ProtobufError> {
        let text = std::str::from_utf8(self.0).map_err(ProtobufError::custom)?;
        EnumAccess::variant_seed(IntoDeserializer::<ProtobufError>::into_deserializer(text), seed)
    }
}

fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A `Time`: nanoseconds are never in JSON, and always zero here.
fn time<'de, V: Visitor<'de>>(bytes: &'de [u8], visitor: V) -> Result<V::Value, ProtobufError> {
    let (mut fields, mut seconds) = (Fields::of(bytes), 0);
    while let Some(field) = fields.next()? {
        if let (1, Content::Number(number)) = field {
            seconds = number.cast_signed();
        }
    }
    let time = jiff::Timestamp::from_second(seconds).map_err(ProtobufError::custom)?;
    visitor.visit_string(time.to_string())
}
