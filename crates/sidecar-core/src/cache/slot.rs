//! The order of a store: its objects as a sorted set of pointers, found by namespace and name without building a key.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

use crate::objects::Kind;

/// An object in the set. 8 bytes, and the tree holds nothing else.
#[derive(Debug)]
pub(super) struct Slot<T>(pub(super) Arc<T>);

/// Something with a place in the order of namespaces and names.
pub(super) trait Placed {
    fn place(&self) -> (&str, &str);
}

impl<T: Kind> Placed for Slot<T> {
    fn place(&self) -> (&str, &str) {
        place(&*self.0)
    }
}

impl Placed for (&str, &str) {
    fn place(&self) -> (&str, &str) {
        *self
    }
}

pub(super) fn place<T: Kind>(object: &T) -> (&str, &str) {
    (object.meta().namespace(), &object.meta().name)
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
