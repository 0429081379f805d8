//! Kubernetes' protobuf: smaller than JSON, and several times cheaper for the server to write and for us to read.
//!
//! An object comes in an envelope, `k8s\0` and a `runtime.Unknown`, whose `raw` is the object's message. A list is an object
//! with items. An event of a watch is a bare `WatchEvent` around an object in its envelope.
//!
//! The messages are read by serde into the same wire structs as JSON, along the shapes in `objects/protobuf`.

mod message;
mod wire;

use kube::core::Status;
use serde::Deserialize;

use super::{Bare, DecodeError, Decoder, Event, Framing, Item, Page, Unreadable};
use crate::objects::{BARE, Interest, Kind, Projected, STATUS, Shape};
use message::Message;
use wire::{Content, Fields};

#[cfg(test)]
mod tests;

/// What answers in protobuf are called.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// Bytes that are not the protobuf they should be.
#[derive(Debug, thiserror::Error)]
pub enum ProtobufError {
    /// The bytes end inside a field.
    #[error("protobuf ends in the middle of a field")]
    Truncated,
    /// A number that does not fit into 64 bits, or a field number that is none.
    #[error("protobuf with an impossible number")]
    Number,
    /// A field of a type that Kubernetes does not use.
    #[error("protobuf with a field of wire type {0}")]
    WireType(u8),
    /// A field that has another type than its shape says.
    #[error("protobuf with an unexpected type of field {0}")]
    Mismatch(&'static str),
    /// No object of Kubernetes.
    #[error("no object in protobuf: {0}")]
    Envelope(&'static str),
    /// A frame of a watch that is longer than any object.
    #[error("frame of {0} bytes in a watch")]
    Frame(u32),
    /// There is no protobuf of this kind.
    #[error("protobuf of a kind that has none")]
    NoShape,
    /// The fields do not make up the object.
    #[error("{0}")]
    Content(String),
}

/// Protobuf, which API servers have for the kinds that are built in.
#[derive(Clone, Copy, Debug)]
pub struct Protobuf;

impl<T: Kind> Decoder<T> for Protobuf {
    fn framing(&self) -> Framing {
        Framing::Lengths
    }

    fn object(&self, bytes: &[u8], interest: &Interest) -> Result<Projected<T>, DecodeError> {
        Ok(read::<T>(opened(bytes)?, shape::<T>()?, interest)?)
    }

    fn event(&self, bytes: &[u8], interest: &Interest) -> Result<Event<T>, DecodeError> {
        let shape = shape::<T>()?;
        let (kind, object) = event(bytes)?;
        match kind {
            b"ADDED" | b"MODIFIED" => Ok(match read(object, shape, interest) {
                Ok(object) => Event::Applied(object),
                Err(error) => Event::Unreadable(Unreadable::new(bare(object), error)),
            }),
            b"DELETED" => Ok(Event::Deleted(bare(object)?.metadata.keep(false))),
            b"BOOKMARK" => {
                let meta = bare(object)?.metadata;
                Ok(Event::Bookmark { version: meta.version(), ends_list: meta.ends_initial_events() })
            }
            b"ERROR" => Ok(Event::Error(Box::new(Status::deserialize(Message::new(object, &STATUS))?))),
            other => Err(DecodeError::EventType(String::from_utf8_lossy(other).into_owned())),
        }
    }

    fn page(
        &self,
        bytes: &[u8],
        interest: &Interest,
        each: &mut dyn FnMut(Item<T>),
    ) -> Result<Page, DecodeError> {
        let shape = shape::<T>()?;
        let mut page = Page::default();
        let mut fields = Fields::of(opened(bytes)?);
        while let Some(field) = fields.next()? {
            match field {
                (1, Content::Bytes(meta)) => page = list_meta(meta)?,
                (2, Content::Bytes(item)) => {
                    each(read(item, shape, interest).map_err(|error| Unreadable::new(bare(item), error)));
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

/// The status in a refusal.
pub(super) fn status(bytes: &[u8]) -> Result<Status, ProtobufError> {
    Status::deserialize(Message::new(opened(bytes)?, &STATUS))
}

fn shape<T: Kind>() -> Result<&'static Shape, ProtobufError> {
    T::PROTOBUF.ok_or(ProtobufError::NoShape)
}

fn read<T: Kind>(
    object: &[u8],
    shape: &'static Shape,
    interest: &Interest,
) -> Result<Projected<T>, ProtobufError> {
    T::Wire::deserialize(Message::new(object, shape)).map(|wire| T::project(wire, interest))
}

fn bare(object: &[u8]) -> Result<Bare<'_>, ProtobufError> {
    Bare::deserialize(Message::new(object, &BARE))
}

/// The message in an envelope.
fn opened(bytes: &[u8]) -> Result<&[u8], ProtobufError> {
    let unknown = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::Envelope("it begins otherwise"))?;
    let mut fields = Fields::of(unknown);
    let mut raw = None;
    while let Some(field) = fields.next()? {
        match field {
            (2, Content::Bytes(bytes)) => raw = Some(bytes),
            (3, Content::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(ProtobufError::Envelope("it is compressed"));
            }
            (4, Content::Bytes(kind)) if !kind.is_empty() && kind != MEDIA_TYPE.as_bytes() => {
                return Err(ProtobufError::Envelope("it holds something else"));
            }
            _ => {}
        }
    }
    raw.ok_or(ProtobufError::Envelope("it is empty"))
}

/// Type and object of a watch event.
fn event(bytes: &[u8]) -> Result<(&[u8], &[u8]), ProtobufError> {
    let (mut kind, mut object): (&[u8], &[u8]) = Default::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        match field {
            (1, Content::Bytes(bytes)) => kind = bytes,
            // A `RawExtension`, whose only field is an object.
            (2, Content::Bytes(bytes)) => object = wire::member(bytes, 1)?,
            _ => {}
        }
    }
    Ok((kind, opened(object)?))
}

fn list_meta(bytes: &[u8]) -> Result<Page, ProtobufError> {
    let text = |number| wire::member(bytes, number).map(String::from_utf8_lossy);
    Ok(Page { version: text(2)?.parse().unwrap_or_default(), next: text(3)?.into_owned() })
}
