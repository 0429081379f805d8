//! Shapes hold exactly what the wire structs read.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::super::ProtobufError;
use crate::objects::{
    Attachment, AttributesClass, Claim, Class, CsiNode, Field, Kind, Node, Pod, Shape, Snapshot, Type, Volume,
};

#[test]
fn every_field_that_is_read_has_a_number_and_no_other() {
    fn check<T: Kind>() {
        T::Wire::deserialize(Probe::Object(T::PROTOBUF.unwrap())).unwrap();
    }
    check::<Volume>();
    check::<Claim>();
    check::<Pod>();
    check::<Node>();
    check::<Attachment>();
    check::<CsiNode>();
    check::<Class>();
    check::<AttributesClass>();
    assert!(Snapshot::PROTOBUF.is_none(), "custom resources have no protobuf");
}

#[test]
fn shapes_are_sound() {
    fn check(shape: &'static Shape) {
        let numbers: BTreeSet<_> = shape.fields.iter().map(|field| field.number).collect();
        assert_eq!(numbers.len(), shape.fields.len(), "a number twice: {shape:?}");
        assert!(shape.fields.len() <= 64, "repeated fields are remembered in 64 bits");
        for field in shape.fields {
            if let Type::Inline(inner) = field.of {
                let nested = inner.fields.iter().any(|field| matches!(field.of, Type::Inline(_)));
                assert!(!nested, "only one level is inlined: {shape:?}");
            }
            if let Type::Message(inner) | Type::Messages(inner) | Type::Inline(inner) = field.of {
                check(inner);
            }
        }
    }
    let all = [Volume::PROTOBUF, Claim::PROTOBUF, Pod::PROTOBUF, Attachment::PROTOBUF, Node::PROTOBUF];
    let rest = [CsiNode::PROTOBUF, Class::PROTOBUF, AttributesClass::PROTOBUF, Some(&crate::objects::STATUS)];
    all.into_iter().chain(rest).for_each(|shape| check(shape.unwrap()));
}

/// Shows a wire struct every member that it asks for.
#[derive(Clone, Copy)]
enum Probe {
    Object(&'static Shape),
    Value(Field),
}

fn members(shape: &'static Shape) -> Vec<Field> {
    let inlined = |field: &Field| match field.of {
        Type::Inline(inner) => members(inner),
        _ => vec![*field],
    };
    shape.fields.iter().flat_map(inlined).collect()
}

impl<'de> Deserializer<'de> for Probe {
    type Error = ProtobufError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        let field = match self {
            Self::Object(shape) => return visitor.visit_map(Shown(members(shape))),
            Self::Value(field) => field,
        };
        match field.of {
            Type::Text | Type::Time => visitor.visit_borrowed_str("x"),
            Type::Bool => visitor.visit_bool(true),
            Type::Int => visitor.visit_i64(1),
            Type::Message(shape) | Type::Inline(shape) => Self::Object(shape).deserialize_any(visitor),
            Type::Texts => visitor.visit_seq(Once(Some(Field { of: Type::Text, ..field }))),
            Type::Messages(shape) => {
                visitor.visit_seq(Once(Some(Field { of: Type::Message(shape), ..field })))
            }
            Type::TextMap | Type::QuantityMap => {
                visitor.visit_map(Shown(vec![Field { name: "key", of: Type::Text, ..field }]))
            }
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        read: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProtobufError> {
        let shown: Vec<Field> = match self {
            Self::Object(shape) | Self::Value(Field { of: Type::Message(shape), .. }) => members(shape),
            // A map of which certain keys are read.
            Self::Value(field @ Field { of: Type::TextMap | Type::QuantityMap, .. }) => {
                read.iter().map(|name| Field { name, of: Type::Text, ..field }).collect()
            }
            Self::Value(field) => panic!("{name} reads a {field:?}"),
        };
        let names: BTreeSet<_> = shown.iter().map(|field| field.name).collect();
        assert_eq!(names, read.iter().copied().collect(), "what {name} reads, on the right");
        visitor.visit_map(Shown(shown))
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

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ProtobufError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map enum identifier
    }
}

/// The members that are still to be shown, the next one last.
struct Shown(Vec<Field>);

impl<'de> MapAccess<'de> for Shown {
    type Error = ProtobufError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ProtobufError> {
        let Some(field) = self.0.last() else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(field.name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ProtobufError> {
        seed.deserialize(Probe::Value(self.0.pop().unwrap()))
    }
}

struct Once(Option<Field>);

impl<'de> SeqAccess<'de> for Once {
    type Error = ProtobufError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ProtobufError> {
        self.0.take().map(|field| seed.deserialize(Probe::Value(field))).transpose()
    }
}
