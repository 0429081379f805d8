//! Lookups by value: a sorted set of (hash of the value, object). 16 bytes per entry, and results come in the order of names.
//!
//! Different values can share a hash, so a lookup compares the object's own values before it returns it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::objects::Kind;

#[derive(Debug)]
pub(super) struct Index<T> {
    entries: BTreeSet<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    object: Arc<T>,
}

fn hash_of(value: &str) -> u64 {
    // The default hasher has fixed keys: the same order in every run.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether the object is found under `value`.
pub(super) fn has_value<T: Kind>(object: &T, index: T::Index, value: &str) -> bool {
    let mut found = false;
    object.index_values(index, &mut |own| found |= own == value);
    found
}

impl<T: Kind> Index<T> {
    pub(super) fn build<'o>(index: T::Index, objects: impl Iterator<Item = &'o Arc<T>>) -> Self {
        let mut built = Self { entries: BTreeSet::new() };
        objects.for_each(|object| built.insert(index, object));
        built
    }

    pub(super) fn insert(&mut self, index: T::Index, object: &Arc<T>) {
        object.index_values(index, &mut |value| {
            self.entries.replace(Entry { hash: hash_of(value), object: object.clone() });
        });
    }

    pub(super) fn remove(&mut self, index: T::Index, object: &Arc<T>) {
        object.index_values(index, &mut |value| {
            self.entries.remove(&Entry { hash: hash_of(value), object: object.clone() });
        });
    }

    pub(super) fn find<'s>(&'s self, index: T::Index, value: &'s str) -> impl Iterator<Item = &'s Arc<T>> {
        let hash = hash_of(value);
        let from: &dyn Place = &(hash, "", "");
        let entries =
            self.entries.range::<dyn Place, _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
        entries
            .take_while(move |entry| entry.hash == hash)
            .map(|entry| &entry.object)
            .filter(move |object| has_value(&***object, index, value))
    }
}

/// A place in the order of hash, namespace and name.
trait Place {
    fn place(&self) -> (u64, &str, &str);
}

impl<T: Kind> Place for Entry<T> {
    fn place(&self) -> (u64, &str, &str) {
        (self.hash, self.object.meta().namespace(), &self.object.meta().name)
    }
}

impl Place for (u64, &str, &str) {
    fn place(&self) -> (u64, &str, &str) {
        *self
    }
}

impl<'a, T: Kind> Borrow<dyn Place + 'a> for Entry<T> {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Place + '_ {}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl<T: Kind> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<T: Kind> Eq for Entry<T> {}

impl<T: Kind> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Kind> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}
