//! What a store holds, and how the watch changes it. No locks, no waiting: every step is a plain function.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::index::{Index, has_value};
use super::overlay::{Entry, Overlay};
use super::slot::{Placed, Slot, place};
use super::store::Delta;
use crate::objects::{Kind, Meta, ObjectKey, Projected, Uid};

pub(super) struct Content<T: Kind> {
    base: BTreeSet<Slot<T>>,
    /// Names of objects of other drivers.
    foreign: BTreeSet<ObjectKey>,
    /// Those that have been asked for.
    indexes: BTreeMap<T::Index, Index<T>>,
    overlay: Overlay<T>,
    /// The newest version the watch has shown.
    version: u64,
    /// While a list is taken over on top of an older state: hashes of the names it has shown.
    shown: Option<HashSet<u64>>,
    /// What `version` was when the list began.
    listed_from: u64,
}

impl<T: Kind> Content<T> {
    pub(super) fn new() -> Self {
        Self {
            base: BTreeSet::new(),
            foreign: BTreeSet::new(),
            indexes: BTreeMap::new(),
            overlay: Overlay::new(),
            version: 0,
            shown: None,
            listed_from: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.base.len() + self.foreign.len()
    }
}

// Reading.
impl<T: Kind> Content<T> {
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        let base = self.shown_object(namespace, name);
        if self.overlay.is_empty() {
            return base;
        }
        self.overlay.view(&ObjectKey::new(namespace, name), base)
    }

    pub(super) fn exists(&self, namespace: &str, name: &str) -> bool {
        self.get(namespace, name).is_some() || self.foreign.contains(&ObjectKey::new(namespace, name))
    }

    pub(super) fn has_index(&self, index: T::Index) -> bool {
        self.indexes.contains_key(&index)
    }

    pub(super) fn build_index(&mut self, index: T::Index) {
        let built = Index::build(index, self.base.iter().map(|slot| &slot.0));
        self.indexes.entry(index).or_insert(built);
    }

    pub(super) fn by(&self, index: T::Index, value: &str) -> Vec<Arc<T>> {
        let Some(entries) = self.indexes.get(&index) else { return Vec::new() };
        self.with_overlay(entries.find(index, value), |object| has_value(object, index, value))
    }

    pub(super) fn list(&self) -> Vec<Arc<T>> {
        self.with_overlay(self.shown_objects(), |_| true)
    }

    pub(super) fn shown_objects(&self) -> impl Iterator<Item = &Arc<T>> {
        self.base.iter().map(|slot| &slot.0)
    }

    /// What the watch has shown, replaced by own writes where there are any.
    fn with_overlay<'s>(
        &'s self,
        shown: impl Iterator<Item = &'s Arc<T>>,
        wanted: impl Fn(&T) -> bool,
    ) -> Vec<Arc<T>> {
        if self.overlay.is_empty() {
            return shown.cloned().collect();
        }
        let mut objects: Vec<_> =
            shown.filter(|object| !self.overlay.covers(object.meta())).cloned().collect();
        let overlaid = self.overlay.iter().filter_map(|(key, entry)| match entry {
            Entry::Written(object) => Some(object),
            Entry::Removed(uid) => self
                .shown_object(key.namespace.as_deref().unwrap_or_default(), &key.name)
                .filter(|object| object.meta().uid != *uid),
        });
        objects.extend(overlaid.filter(|object| wanted(object)).cloned());
        objects.sort_by(|a, b| place(&**a).cmp(&place(&**b)));
        objects
    }

    fn shown_object(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.base.get::<dyn Placed>(&(namespace, name)).map(|slot| &slot.0)
    }
}

// Own writes.
impl<T: Kind> Content<T> {
    pub(super) fn wrote(&mut self, object: T) {
        let (namespace, name) = place(&object);
        let version = object.meta().resource_version;
        let outdated = match self.shown_object(namespace, name) {
            Some(shown) => shown.meta().resource_version >= version,
            // The watch is past this version and shows nothing: the object has been deleted since.
            None => self.version >= version,
        };
        if !outdated {
            self.overlay.write(Arc::new(object));
        }
    }

    pub(super) fn removed(&mut self, namespace: &str, name: &str, uid: &Uid) {
        if self.get(namespace, name).is_some_and(|object| object.meta().uid == *uid) {
            self.overlay.remove(ObjectKey::new(namespace, name), uid.clone());
        }
    }
}

// What the watch shows.
impl<T: Kind> Content<T> {
    pub(super) fn apply(&mut self, projected: Projected<T>) -> Option<Delta<T>> {
        let meta = projected.meta();
        self.version = self.version.max(meta.resource_version);
        self.overlay.watch_shows(meta);
        if let Some(shown) = &mut self.shown {
            shown.insert(hash_of(meta.namespace(), &meta.name));
        }
        match projected {
            Projected::Own(object) => self.put(object),
            Projected::Foreign(meta) => {
                self.foreign.insert(meta.key());
                self.forget(&meta)
            }
            Projected::Nothing(meta) => self.forget(&meta),
        }
    }

    /// An object that cannot be read stays as it was last seen.
    pub(super) fn skip(&mut self, meta: &Meta) {
        self.version = self.version.max(meta.resource_version);
        if let Some(shown) = &mut self.shown {
            shown.insert(hash_of(meta.namespace(), &meta.name));
        }
    }

    pub(super) fn delete(&mut self, meta: &Meta) -> Option<Delta<T>> {
        self.version = self.version.max(meta.resource_version);
        self.overlay.watch_deletes(meta);
        self.forget_foreign(meta);
        self.forget(meta)
    }

    pub(super) fn reached(&mut self, version: u64) {
        self.version = self.version.max(version);
        self.overlay.watch_reached(version);
    }

    pub(super) fn begin_list(&mut self) {
        // A first list has nothing to sweep.
        self.shown = (self.len() > 0).then(HashSet::new);
        self.listed_from = self.version;
    }

    /// Ends a list: removes and returns what it has not shown.
    pub(super) fn end_list(&mut self, version: u64) -> Vec<Arc<T>> {
        let mut swept = Vec::new();
        if let Some(shown) = self.shown.take() {
            self.base.retain(|slot| {
                let (namespace, name) = slot.place();
                let keep = shown.contains(&hash_of(namespace, name));
                if !keep {
                    swept.push(slot.0.clone());
                }
                keep
            });
            self.foreign.retain(|key| {
                shown.contains(&hash_of(key.namespace.as_deref().unwrap_or_default(), &key.name))
            });
        }
        for object in &swept {
            self.unindex(object);
        }
        if version < self.listed_from {
            // All lists are consistent reads, so versions have gone back: the cluster's storage was restored from a copy.
            // What was newer never happened, and a watch from there would stay silent.
            self.version = version;
            self.overlay.clear();
        } else {
            self.version = self.version.max(version);
            self.overlay.listed(version);
        }
        swept
    }

    fn put(&mut self, object: T) -> Option<Delta<T>> {
        self.forget_foreign(object.meta());
        let object = Arc::new(object);
        let old = self.base.replace(Slot(object.clone())).map(|slot| slot.0);
        if let Some(old) = &old {
            self.unindex(old);
        }
        for (index, entries) in &mut self.indexes {
            entries.insert(*index, &object);
        }
        match old {
            None => Some(Delta::Added(object)),
            // A new list shows again what is known already, but more of it if the interest has grown.
            Some(old) if is_same_state(old.meta(), object.meta()) && old == object => None,
            Some(old) => Some(Delta::Updated { old, new: object }),
        }
    }

    fn forget(&mut self, meta: &Meta) -> Option<Delta<T>> {
        let old = self.base.take::<dyn Placed>(&(meta.namespace(), &*meta.name))?.0;
        self.unindex(&old);
        Some(Delta::Deleted(old))
    }

    fn forget_foreign(&mut self, meta: &Meta) {
        if !self.foreign.is_empty() {
            self.foreign.remove(&meta.key());
        }
    }

    fn unindex(&mut self, object: &Arc<T>) {
        for (index, entries) in &mut self.indexes {
            entries.remove(*index, object);
        }
    }
}

fn is_same_state(old: &Meta, new: &Meta) -> bool {
    old.resource_version == new.resource_version && old.uid == new.uid && new.resource_version != 0
}

fn hash_of(namespace: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (namespace, name).hash(&mut hasher);
    hasher.finish()
}
