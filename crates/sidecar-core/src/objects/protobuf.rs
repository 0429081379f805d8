//! Where the fields that the projections read are in Kubernetes' protobuf.
//!
//! A wire struct says which members of an object's JSON are read. A [`Shape`] says, for one message, under which number each
//! of them comes in protobuf, so that the same wire struct reads both encodings. Numbers are part of Kubernetes' API and
//! never change. A field that no wire struct reads is in no shape, and is skipped without being looked at.

mod claim;
mod class;
mod meta;
mod node;
mod volume;

pub(super) use claim::CLAIM;
pub(super) use class::{ATTRIBUTES_CLASS, CLASS};
pub(crate) use meta::{BARE, STATUS};
pub(super) use node::{CSI_NODE, NODE, POD};
pub(super) use volume::{ATTACHMENT, VOLUME};

/// The fields of a message that are read.
#[derive(Debug)]
pub struct Shape {
    /// In any order; at most 64.
    pub(crate) fields: &'static [Field],
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// In protobuf.
    pub(crate) number: u32,
    /// In JSON.
    pub(crate) name: &'static str,
    pub(crate) of: Type,
    /// Whether a zero means something. Go writes the zeroes of all fields that are no pointers; in JSON most are left out.
    pub(crate) keeps_zero: bool,
}

/// What a field holds, and what it is in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type {
    /// A string.
    Text,
    /// A boolean.
    Bool,
    /// A number.
    Int,
    /// A message of seconds since 1970; in JSON a string.
    Time,
    /// A message.
    Message(&'static Shape),
    /// A message whose fields are members of the surrounding object in JSON.
    Inline(&'static Shape),
    /// Repeated strings.
    Texts,
    /// Repeated messages.
    Messages(&'static Shape),
    /// A map of strings.
    TextMap,
    /// A map of quantities, which are messages of one string; in JSON a map of strings.
    QuantityMap,
}

impl Shape {
    /// The field of that number and its place in the shape.
    pub(crate) fn find(&self, number: u32) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, field)| field.number == number)
    }
}

impl Type {
    /// Whether the field may occur any number of times.
    pub(crate) fn repeats(self) -> bool {
        matches!(self, Self::Texts | Self::Messages(_) | Self::TextMap | Self::QuantityMap)
    }
}

/// A field that is no pointer in Go.
const fn field(number: u32, name: &'static str, of: Type) -> Field {
    Field { number, name, of, keeps_zero: false }
}

/// A pointer in Go, or a field whose zero is in JSON too.
const fn kept(number: u32, name: &'static str, of: Type) -> Field {
    Field { number, name, of, keeps_zero: true }
}
