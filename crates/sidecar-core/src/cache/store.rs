//! The objects of one kind, as the watch has shown them, with own writes on top.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use tokio::sync::watch;

use super::decode::{DecodeError, Decoder, Json};
use super::index::{Index, has_value};
use super::overlay::{Entry, Overlay};
use super::slot::{Placed, Slot};
use crate::objects::{Interest, Kind, Meta, ObjectKey, Projected, Uid};

/// A change of one object, as the watch has shown it.
#[derive(Clone, Debug)]
pub enum Delta<T> {
    /// The object is new to this process.
    Added(Arc<T>),
    /// The object has changed.
    Updated {
        /// Before.
        old: Arc<T>,
        /// After.
        new: Arc<T>,
    },
    /// The object is gone, or is nobody's here any more; this was its last known state.
    Deleted(Arc<T>),
}

impl<T> Delta<T> {
    /// The latest known state.
    pub fn object(&self) -> &Arc<T> {
        match self {
            Self::Added(object) | Self::Updated { new: object, .. } | Self::Deleted(object) => object,
        }
    }
}

type Handler<T> = Arc<dyn Fn(&Delta<T>) + Send + Sync>;

/// The objects of one kind. Clones share their content.
pub struct Store<T: Kind> {
    shared: Arc<Shared<T>>,
}

struct Shared<T: Kind> {
    content: RwLock<Content<T>>,
    interest: RwLock<Interest>,
    /// Held while deltas are delivered, so that each subscriber sees a gapless sequence.
    subscribers: Mutex<Subscribers<T>>,
    synced: watch::Sender<bool>,
    obstacle: Mutex<Option<String>>,
}

struct Subscribers<T> {
    next: u64,
    handlers: BTreeMap<u64, Handler<T>>,
}

struct Content<T: Kind> {
    base: BTreeSet<Slot<T>>,
    indexes: BTreeMap<T::Index, Index<T>>,
    overlay: Overlay<T>,
    /// The newest version the watch has shown.
    version: u64,
    generation: u8,
}

impl<T: Kind> Clone for Store<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T: Kind> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("kind", &T::RESOURCE.kind)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T: Kind> Default for Store<T> {
    fn default() -> Self {
        Self::new(Interest::nothing())
    }
}

// Reading.
impl<T: Kind> Store<T> {
    /// The object of that name; the namespace is empty for cluster-scoped kinds. Foreign objects are not returned.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        let content = self.read();
        let base = content.base.get::<dyn Placed>(&(namespace, name)).and_then(Slot::object);
        if content.overlay.is_empty() {
            return base.cloned();
        }
        content.overlay.view(&ObjectKey::new(namespace, name), base).cloned()
    }

    /// Whether an object of that name is known, be it foreign.
    pub fn exists(&self, namespace: &str, name: &str) -> bool {
        let foreign = {
            let content = self.read();
            let slot = content.base.get::<dyn Placed>(&(namespace, name));
            slot.is_some_and(|slot| slot.object().is_none())
        };
        foreign || self.get(namespace, name).is_some()
    }

    /// The objects found under a value, in the order of their names. The first use of an index builds it.
    pub fn by(&self, index: T::Index, value: &str) -> Vec<Arc<T>> {
        if !self.read().indexes.contains_key(&index) {
            self.write().build_index(index);
        }
        let content = self.read();
        let Some(found) = content.indexes.get(&index).map(|entries| entries.find(index, value)) else {
            return Vec::new();
        };
        if content.overlay.is_empty() {
            return found.cloned().collect();
        }
        let mut objects: Vec<_> =
            found.filter(|object| !content.overlay.covers(object.meta())).cloned().collect();
        objects.extend(content.overlaid().filter(|object| has_value(&***object, index, value)).cloned());
        objects.sort_by(|a, b| place(a).cmp(&place(b)));
        objects
    }

    /// All objects that are not foreign, in the order of their names.
    pub fn list(&self) -> Vec<Arc<T>> {
        let content = self.read();
        let base = content.base.iter().filter_map(Slot::object);
        if content.overlay.is_empty() {
            return base.cloned().collect();
        }
        let mut objects: Vec<_> =
            base.filter(|object| !content.overlay.covers(object.meta())).cloned().collect();
        objects.extend(content.overlaid().cloned());
        objects.sort_by(|a, b| place(a).cmp(&place(b)));
        objects
    }

    /// How many objects the watch has shown, foreign ones included.
    pub fn len(&self) -> usize {
        self.read().base.len()
    }

    /// Whether the watch has shown nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list is complete.
    pub fn is_synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Completes when the first list is complete.
    pub async fn synced(&self) {
        let mut synced = self.shared.synced.subscribe();
        // The sender lives as long as this store.
        let _closed = synced.wait_for(|synced| *synced).await;
    }

    /// Why the watch does not get through at the moment: what is missing, in words for a person.
    pub fn obstacle(&self) -> Option<String> {
        self.shared.obstacle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// Own writes.
impl<T: Kind> Store<T> {
    /// Remembers what the API server returned for a write, until the watch shows it.
    pub fn wrote(&self, object: T) {
        let object = Arc::new(object);
        let mut content = self.write();
        let meta = object.meta();
        let base = content.base.get::<dyn Placed>(&place(&object)).and_then(Slot::object);
        let outdated = match base {
            Some(shown) => shown.meta().resource_version >= meta.resource_version,
            // The watch is past this version and shows nothing: the object has been deleted since.
            None => content.version >= meta.resource_version,
        };
        if !outdated {
            content.overlay.write(object);
        }
    }

    /// [`Store::wrote`] for a response as JSON.
    pub fn wrote_json(&self, json: &[u8]) -> Result<(), DecodeError> {
        if let Projected::Own(object) = Json.object(json, &self.interest())? {
            self.wrote(object);
        }
        Ok(())
    }

    /// [`Store::wrote`] for a response that was decoded in full.
    pub fn wrote_full(&self, object: &impl Serialize) -> Result<(), DecodeError> {
        self.wrote_json(&serde_json::to_vec(object)?)
    }

    /// Remembers that the object with this uid is gone, until the watch shows it.
    pub fn removed(&self, namespace: &str, name: &str, uid: &Uid) {
        let mut content = self.write();
        let key = ObjectKey::new(namespace, name);
        let base = content.base.get::<dyn Placed>(&(namespace, name)).and_then(Slot::object);
        let seen = content.overlay.view(&key, base).is_some_and(|object| object.meta().uid == *uid);
        if seen {
            content.overlay.remove(key, uid.clone());
        }
    }
}

// Changes.
impl<T: Kind> Store<T> {
    /// Calls `handler` with every object there is, as added, and from then on with every change the watch shows. Own writes
    /// are delivered when the watch shows them.
    ///
    /// The handler runs inside the watch: it may read stores and feed queues, but must neither wait nor subscribe.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(&self, handler: impl Fn(&Delta<T>) + Send + Sync + 'static) -> Subscription<T> {
        let mut subscribers = self.subscribers();
        let known: Vec<_> = self.read().base.iter().filter_map(Slot::object).cloned().collect();
        for object in known {
            handler(&Delta::Added(object));
        }
        let id = subscribers.next;
        subscribers.next += 1;
        subscribers.handlers.insert(id, Arc::new(handler));
        Subscription { store: self.clone(), id }
    }

    fn deliver(&self, subscribers: &Subscribers<T>, delta: Option<Delta<T>>) {
        if let Some(delta) = delta {
            subscribers.handlers.values().for_each(|handler| handler(&delta));
        }
    }
}

/// Keeps a handler subscribed.
#[derive(Debug)]
pub struct Subscription<T: Kind> {
    store: Store<T>,
    id: u64,
}

impl<T: Kind> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.store.subscribers().handlers.remove(&self.id);
    }
}

// What the watch shows.
impl<T: Kind> Store<T> {
    /// An empty store that nothing feeds yet.
    pub(super) fn new(interest: Interest) -> Self {
        let content = Content {
            base: BTreeSet::new(),
            indexes: BTreeMap::new(),
            overlay: Overlay::new(),
            version: 0,
            generation: 0,
        };
        let shared = Shared {
            content: RwLock::new(content),
            interest: RwLock::new(interest),
            subscribers: Mutex::new(Subscribers { next: 0, handlers: BTreeMap::new() }),
            synced: watch::Sender::new(false),
            obstacle: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A store of exactly these objects, for tests of what reads it.
    pub fn of(objects: impl IntoIterator<Item = T>) -> Self {
        let store = Self::new(Interest::everything());
        objects.into_iter().for_each(|object| store.apply(Projected::Own(object)));
        store.end_list(0);
        store
    }

    /// Takes over an object as the watch shows it.
    pub fn apply(&self, projected: Projected<T>) {
        let subscribers = self.subscribers();
        let delta = self.write().apply(projected);
        self.deliver(&subscribers, delta);
    }

    /// Removes an object as the watch shows it.
    pub fn delete(&self, meta: &Meta) {
        let subscribers = self.subscribers();
        let delta = self.write().delete(meta);
        self.deliver(&subscribers, delta);
    }

    /// A list begins: what it does not show will be swept.
    pub(super) fn begin_list(&self) {
        let mut content = self.write();
        content.generation = content.generation.wrapping_add(1);
    }

    /// A list is complete as of `version`.
    pub(super) fn end_list(&self, version: u64) {
        let subscribers = self.subscribers();
        let swept = self.write().sweep(version);
        swept.into_iter().for_each(|object| self.deliver(&subscribers, Some(Delta::Deleted(object))));
        drop(subscribers);
        self.report_obstacle(None);
        self.shared.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
    }

    /// Everything up to `version` has been shown.
    pub(super) fn reached(&self, version: u64) {
        let mut content = self.write();
        content.version = content.version.max(version);
        content.overlay.watch_reached(version);
    }

    /// The newest version the watch has shown.
    pub(super) fn version(&self) -> u64 {
        self.read().version
    }

    pub(super) fn interest(&self) -> Interest {
        self.shared.interest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds to the interest; `true` if that changes anything.
    pub(super) fn widen(&self, wanted: Interest) -> bool {
        let mut interest = self.shared.interest.write().unwrap_or_else(PoisonError::into_inner);
        let union = interest.clone().union(wanted);
        let changed = union != *interest;
        *interest = union;
        changed
    }

    pub(super) fn report_obstacle(&self, obstacle: Option<String>) {
        *self.shared.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = obstacle;
    }

    fn read(&self) -> RwLockReadGuard<'_, Content<T>> {
        self.shared.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content<T>> {
        self.shared.content.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn subscribers(&self) -> MutexGuard<'_, Subscribers<T>> {
        self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place<T: Kind>(object: &Arc<T>) -> (&str, &str) {
    (object.meta().namespace(), &object.meta().name)
}

impl<T: Kind> Content<T> {
    fn apply(&mut self, projected: Projected<T>) -> Option<Delta<T>> {
        let meta = projected.meta();
        self.version = self.version.max(meta.resource_version);
        self.overlay.watch_shows(meta);
        match projected {
            Projected::Own(object) => self.put(object),
            Projected::Foreign(meta) => {
                let old = self.base.replace(Slot::foreign(&meta, self.generation));
                self.forget(old)
            }
            Projected::Nothing(meta) => {
                let old = self.base.take::<dyn Placed>(&(meta.namespace(), &*meta.name));
                self.forget(old)
            }
        }
    }

    fn put(&mut self, object: T) -> Option<Delta<T>> {
        let object = Arc::new(object);
        let old = self.base.replace(Slot::own(object.clone(), self.generation)).and_then(Slot::into_object);
        if let Some(old) = &old {
            self.unindex(old);
        }
        for (index, entries) in &mut self.indexes {
            entries.insert(*index, &object);
        }
        match old {
            None => Some(Delta::Added(object)),
            // A new list shows what is known already.
            Some(old)
                if old.meta().resource_version == object.meta().resource_version
                    && old.meta().uid == object.meta().uid
                    && object.meta().resource_version != 0 =>
            {
                None
            }
            Some(old) => Some(Delta::Updated { old, new: object }),
        }
    }

    fn delete(&mut self, meta: &Meta) -> Option<Delta<T>> {
        self.version = self.version.max(meta.resource_version);
        self.overlay.watch_deletes(meta);
        let old = self.base.take::<dyn Placed>(&(meta.namespace(), &*meta.name));
        self.forget(old)
    }

    fn forget(&mut self, old: Option<Slot<T>>) -> Option<Delta<T>> {
        let old = old.and_then(Slot::into_object)?;
        self.unindex(&old);
        Some(Delta::Deleted(old))
    }

    fn unindex(&mut self, object: &Arc<T>) {
        for (index, entries) in &mut self.indexes {
            entries.remove(*index, object);
        }
    }

    fn build_index(&mut self, index: T::Index) {
        let objects = self.base.iter().filter_map(Slot::object);
        let built = Index::build(index, objects);
        self.indexes.entry(index).or_insert(built);
    }

    /// Removes what the list of this generation has not shown.
    fn sweep(&mut self, version: u64) -> Vec<Arc<T>> {
        let (generation, mut swept) = (self.generation, Vec::new());
        self.base.retain(|slot| {
            let keep = slot.generation() == generation;
            if !keep {
                swept.extend(slot.object().cloned());
            }
            keep
        });
        swept.iter().for_each(|object| self.unindex(object));
        self.version = self.version.max(version);
        self.overlay.listed(version);
        swept
    }

    /// The objects that readers see because of own writes.
    fn overlaid(&self) -> impl Iterator<Item = &Arc<T>> {
        self.overlay.iter().filter_map(|(key, entry)| match entry {
            Entry::Written(object) => Some(object),
            Entry::Removed(uid) => {
                let place = (key.namespace.as_deref().unwrap_or_default(), &*key.name);
                let base = self.base.get::<dyn Placed>(&place).and_then(Slot::object);
                base.filter(|object| object.meta().uid != *uid)
            }
        })
    }
}
