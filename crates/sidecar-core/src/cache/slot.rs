//! What a store's sorted set consists of: 16 bytes per object, ordered and found by namespace and name.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::objects::{Kind, Meta, ObjectKey};

/// An object, or the memory of a foreign one, with the generation of the list that saw it last.
#[derive(Debug)]
pub(super) enum Slot<T> {
    Own(Arc<T>, u8),
    Foreign(Box<ObjectKey>, u8),
}

impl<T: Kind> Slot<T> {
    pub(super) fn own(object: Arc<T>, generation: u8) -> Self {
        Self::Own(object, generation)
    }

    pub(super) fn foreign(meta: &Meta, generation: u8) -> Self {
        Self::Foreign(Box::new(meta.key()), generation)
    }

    pub(super) fn object(&self) -> Option<&Arc<T>> {
        match self {
            Self::Own(object, _) => Some(object),
            Self::Foreign(..) => None,
        }
    }

    pub(super) fn into_object(self) -> Option<Arc<T>> {
        match self {
            Self::Own(object, _) => Some(object),
            Self::Foreign(..) => None,
        }
    }

    pub(super) fn generation(&self) -> u8 {
        let (Self::Own(_, generation) | Self::Foreign(_, generation)) = self;
        *generation
    }
}

/// Something with a place in the order of namespaces and names. Lets the set be searched without building a key.
pub(super) trait Placed {
    fn place(&self) -> (&str, &str);
}

impl<T: Kind> Placed for Slot<T> {
    fn place(&self) -> (&str, &str) {
        match self {
            Self::Own(object, _) => (object.meta().namespace(), &object.meta().name),
            Self::Foreign(key, _) => (key.namespace.as_deref().unwrap_or_default(), &key.name),
        }
    }
}

impl Placed for (&str, &str) {
    fn place(&self) -> (&str, &str) {
        *self
    }
}

impl<'a, T: Kind> Borrow<dyn Placed + 'a> for Slot<T> {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Placed + '_ {}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl<T: Kind> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<T: Kind> Eq for Slot<T> {}

impl<T: Kind> PartialOrd for Slot<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Kind> Ord for Slot<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
