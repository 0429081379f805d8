//! One watch per kind and process, and what it has brought so far.
//!
//! * [`Caches`] holds a [`Store`] per kind. A controller says what it wants ([`Caches::want`]) before the watches start; the
//!   process keeps the union of the interests.
//! * A store is a sorted set of projected objects with indexes that exist once they have been asked for.
//! * Own writes go into an overlay ([`Store::wrote`], [`Store::removed`]) and are seen at once; the overlay gives way when
//!   the watch has caught up.
//! * Subscribers get every change with the old and the new object, deletions included, also those found by a new list.
//!
//! `kube_runtime`'s watcher is not used: it pages through etcd or loads everything at once, has no fallback from streaming
//! lists, and its stores keep whole objects twice during a relist. Here a new list is taken over object by object; what
//! it has not shown is swept afterwards.

mod caches;
mod content;
mod decode;
mod frames;
mod index;
mod overlay;
mod reflector;
mod skipped;
mod slot;
mod store;

pub use caches::{Borrowed, Cached, Caches};
pub use decode::{
    DecodeError, Decoder, Event, Framing, Item, Json, Page, Protobuf, ProtobufError, Unreadable,
};
pub use skipped::SkippedObjects;
pub use store::{Delta, Store, Subscription};

#[cfg(test)]
mod tests;
