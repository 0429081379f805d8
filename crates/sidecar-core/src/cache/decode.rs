//! From bytes to projections, in either of two encodings: Kubernetes' protobuf, which costs both sides least, and JSON, which
//! every API server has for every kind. What the server's answer says it is decides; no controller notices.

mod json;
mod protobuf;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use kube::core::Status;
use serde::Deserialize;

use crate::objects::{Interest, Kind, Meta, Projected, WireMeta};

pub use json::Json;
pub use protobuf::{Protobuf, ProtobufError};

/// A response that is not what the API promises.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON of this kind.
    #[error("unreadable response: {0}")]
    Json(#[from] serde_json::Error),
    /// Not the protobuf of this kind.
    #[error("unreadable response: {0}")]
    Protobuf(#[from] ProtobufError),
    /// A watch event of a type this program does not know.
    #[error("unknown watch event {0:?}")]
    EventType(String),
}

/// One event of a watch.
#[derive(Debug)]
pub enum Event<T> {
    /// Added or modified.
    Applied(Projected<T>),
    /// Deleted; the version is that of the deletion.
    Deleted(Meta),
    /// Added or modified, but not in the shape that the API promises.
    Unreadable(Unreadable),
    /// Nothing has changed up to this version.
    Bookmark {
        /// The version.
        version: u64,
        /// Whether the initial events of a streaming list end here.
        ends_list: bool,
    },
    /// The watch ends with this.
    Error(Box<Status>),
}

/// An object that is not what the API promises, as far as it can be told.
#[derive(Debug)]
pub struct Unreadable {
    /// Its metadata, if at least that is in order.
    pub meta: Option<Meta>,
    /// What is wrong.
    pub error: DecodeError,
}

impl Unreadable {
    fn new<E>(object: Result<Bare<'_>, E>, error: impl Into<DecodeError>) -> Self {
        Self { meta: object.ok().map(|object| object.metadata.keep(false)), error: error.into() }
    }
}

/// An object of which only the metadata matters.
#[derive(Deserialize)]
struct Bare<'a> {
    #[serde(borrow, default)]
    metadata: WireMeta<'a>,
}

/// An item of a list.
pub type Item<T> = Result<Projected<T>, Unreadable>;

/// What surrounds the items of a list page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The version of the list.
    pub version: u64,
    /// The token for the next page, empty on the last one.
    pub next: String,
}

/// How the body of a watch is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One per line.
    Lines,
    /// Each behind its length, a big-endian number of four bytes.
    Lengths,
}

/// Reads one encoding of one kind.
pub trait Decoder<T: Kind>: Send + Sync {
    /// How the body of a watch is cut into events.
    fn framing(&self) -> Framing;
    /// One object.
    fn object(&self, bytes: &[u8], interest: &Interest) -> Result<Projected<T>, DecodeError>;
    /// One watch event.
    fn event(&self, bytes: &[u8], interest: &Interest) -> Result<Event<T>, DecodeError>;
    /// One page of a list; `each` gets the items as they are read, so that they never exist side by side. Where an item is
    /// unreadable, it may get those before it twice.
    fn page(
        &self,
        bytes: &[u8],
        interest: &Interest,
        each: &mut dyn FnMut(Item<T>),
    ) -> Result<Page, DecodeError>;
}

/// What to ask the server for: protobuf where there is any, unless that went wrong before.
pub(super) fn accept<T: Kind>(protobuf: bool) -> &'static str {
    if protobuf && T::PROTOBUF.is_some() {
        "application/vnd.kubernetes.protobuf,application/json"
    } else {
        "application/json"
    }
}

/// The decoder of an answer with these headers.
pub(super) fn decoder<T: Kind>(headers: &HeaderMap) -> &'static dyn Decoder<T> {
    if is_protobuf(headers) { &Protobuf } else { &Json }
}

/// The body of a refusal, in words of the server or somebody in between.
pub(super) fn status(headers: &HeaderMap, code: u16, body: &[u8]) -> Status {
    let status =
        if is_protobuf(headers) { protobuf::status(body).ok() } else { serde_json::from_slice(body).ok() };
    let unread = || {
        let message = String::from_utf8_lossy(body).trim().to_owned();
        Status { code, message, status: None, reason: String::new(), metadata: None, details: None }
    };
    Status { code, ..status.unwrap_or_else(unread) }
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    let full = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = full.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case(protobuf::MEDIA_TYPE)
}
