//! Own writes, until the watch has caught up with them.
//!
//! Without it a reconcile that follows a write could act on a state older than that write: create a second time, delete a
//! second time, patch what is patched. An entry is dropped as soon as the watch shows the same or a newer state.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::objects::{Kind, Meta, ObjectKey, Uid};

#[derive(Debug)]
pub(super) struct Overlay<T> {
    entries: BTreeMap<ObjectKey, Entry<T>>,
}

#[derive(Debug)]
pub(super) enum Entry<T> {
    /// The object as the API server returned it.
    Written(Arc<T>),
    /// The object with this uid is gone.
    Removed(Uid),
}

impl<T: Kind> Overlay<T> {
    pub(super) fn new() -> Self {
        Self { entries: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn write(&mut self, object: Arc<T>) {
        self.entries.insert(object.meta().key(), Entry::Written(object));
    }

    pub(super) fn remove(&mut self, key: ObjectKey, uid: Uid) {
        self.entries.insert(key, Entry::Removed(uid));
    }

    /// What a reader sees of an object: `base` is what the watch has shown.
    pub(super) fn view<'o>(&'o self, key: &ObjectKey, base: Option<&'o Arc<T>>) -> Option<&'o Arc<T>> {
        match self.entries.get(key) {
            None => base,
            Some(Entry::Written(object)) => Some(object),
            Some(Entry::Removed(uid)) => base.filter(|object| object.meta().uid != *uid),
        }
    }

    /// Whether an entry decides about this object.
    pub(super) fn covers(&self, meta: &Meta) -> bool {
        !self.entries.is_empty() && self.entries.contains_key(&meta.key())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Entry<T>)> {
        self.entries.iter()
    }

    /// The watch shows this state of an object.
    pub(super) fn watch_shows(&mut self, meta: &Meta) {
        if self.entries.is_empty() {
            return;
        }
        let key = meta.key();
        let caught_up = match self.entries.get(&key) {
            Some(Entry::Written(object)) => object.meta().resource_version <= meta.resource_version,
            Some(Entry::Removed(uid)) => *uid != meta.uid,
            None => false,
        };
        if caught_up {
            self.entries.remove(&key);
        }
    }

    /// The watch shows that an object is gone.
    pub(super) fn watch_deletes(&mut self, meta: &Meta) {
        if self.entries.is_empty() {
            return;
        }
        let key = meta.key();
        let caught_up = match self.entries.get(&key) {
            Some(Entry::Written(object)) => object.meta().resource_version <= meta.resource_version,
            Some(Entry::Removed(uid)) => *uid == meta.uid,
            None => false,
        };
        if caught_up {
            self.entries.remove(&key);
        }
    }

    /// The watch has shown everything up to this version.
    pub(super) fn watch_reached(&mut self, version: u64) {
        // A removal has no version of its own: it ends with the deletion event, or with a list.
        self.entries.retain(|_, entry| match entry {
            Entry::Written(object) => object.meta().resource_version > version,
            Entry::Removed(_) => true,
        });
    }

    /// None of the writes count any more.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// A complete list of this version has been taken over.
    pub(super) fn listed(&mut self, version: u64) {
        self.entries.retain(|_, entry| match entry {
            Entry::Written(object) => object.meta().resource_version > version,
            Entry::Removed(_) => false,
        });
    }
}
