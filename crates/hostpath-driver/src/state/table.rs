//! Records by id, and their ids by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What has an id of its own and the name that it was asked for under.
pub trait Record {
    /// Unique.
    fn id(&self) -> &str;
    /// The key of idempotency.
    fn name(&self) -> &str;
}

/// Records of one kind. Clones share the records.
#[derive(Debug, PartialEq)]
pub struct Table<T> {
    records: BTreeMap<Arc<str>, Arc<T>>,
    names: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were put or removed since somebody [asked](Table::take_changed).
    changed: BTreeSet<Arc<str>>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { records: self.records.clone(), names: self.names.clone(), changed: self.changed.clone() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), names: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<T: Record> Table<T> {
    /// The record with this id.
    pub fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.records.get(id)
    }

    /// The record that was asked for under this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<T>> {
        self.records.get(self.names.get(name)?)
    }

    /// All records, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<T>> {
        self.records.values()
    }

    /// Adds a record or replaces the one with the same id.
    pub fn put(&mut self, record: T) {
        let id: Arc<str> = record.id().into();
        self.names.insert(record.name().into(), id.clone());
        self.changed.insert(id.clone());
        self.records.insert(id, Arc::new(record));
    }

    /// Forgets a record.
    pub fn remove(&mut self, id: &str) {
        let Some(record) = self.records.remove(id) else { return };
        self.changed.insert(id.into());
        if self.names.get(record.name()).is_some_and(|named| **named == *id) {
            self.names.remove(record.name());
        }
    }

    /// The ids that were put or removed since the last time.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }
}
