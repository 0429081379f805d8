//! The objects of one kind, as the watch has shown them, with own writes on top.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::Serialize;
use tokio::sync::watch;

use super::content::Content;
use super::decode::{DecodeError, Decoder, Json, Unreadable};
use crate::objects::{Interest, Kind, Meta, Projected, Uid};

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
    skipped: AtomicU64,
}

struct Subscribers<T> {
    next: u64,
    handlers: BTreeMap<u64, Handler<T>>,
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
        self.read().get(namespace, name).cloned()
    }

    /// Whether an object of that name is known, be it foreign.
    pub fn exists(&self, namespace: &str, name: &str) -> bool {
        self.read().exists(namespace, name)
    }

    /// The objects found under a value, in the order of their names. The first use of an index builds it.
    pub fn by(&self, index: T::Index, value: &str) -> Vec<Arc<T>> {
        if !self.read().has_index(index) {
            self.write().build_index(index);
        }
        self.read().by(index, value)
    }

    /// All objects that are not foreign, in the order of their names.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.read().list()
    }

    /// How many objects the watch has shown, foreign ones included.
    pub fn len(&self) -> usize {
        self.read().len()
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

    /// How many objects were passed over because nobody could read them.
    pub fn skipped(&self) -> u64 {
        self.shared.skipped.load(Ordering::Relaxed)
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
        self.write().wrote(object);
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
        self.write().removed(namespace, name, uid);
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
        let known: Vec<_> = self.read().shown_objects().cloned().collect();
        for object in known {
            handler(&Delta::Added(object));
        }
        let id = subscribers.next;
        subscribers.next += 1;
        subscribers.handlers.insert(id, Arc::new(handler));
        Subscription { store: self.clone(), id }
    }
}

impl<T> Subscribers<T> {
    fn deliver(&self, delta: Option<Delta<T>>) {
        if let Some(delta) = delta {
            self.handlers.values().for_each(|handler| handler(&delta));
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
        let shared = Shared {
            content: RwLock::new(Content::new()),
            interest: RwLock::new(interest),
            subscribers: Mutex::new(Subscribers { next: 0, handlers: BTreeMap::new() }),
            synced: watch::Sender::new(false),
            obstacle: Mutex::new(None),
            skipped: AtomicU64::new(0),
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
        subscribers.deliver(delta);
    }

    /// Removes an object as the watch shows it.
    pub fn delete(&self, meta: &Meta) {
        let subscribers = self.subscribers();
        let delta = self.write().delete(meta);
        subscribers.deliver(delta);
    }

    /// Passes over an object that the watch shows and nobody can read.
    pub(super) fn skip(&self, object: &Unreadable) {
        if let Some(meta) = &object.meta {
            self.write().skip(meta);
        }
        let skipped = self.shared.skipped.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::error!(
            r#type = T::RESOURCE.go_type(), object = object.meta.as_ref().map(|meta| meta.key().to_string()),
            err = %object.error, skipped,
            "Skipped an object that does not have the shape of its kind, it stays as it was last seen"
        );
    }

    /// A list begins: what it does not show will be swept.
    pub(super) fn begin_list(&self) {
        self.write().begin_list();
    }

    /// A list is complete as of `version`.
    pub(super) fn end_list(&self, version: u64) {
        let subscribers = self.subscribers();
        let swept = self.write().end_list(version);
        for object in swept {
            subscribers.deliver(Some(Delta::Deleted(object)));
        }
        drop(subscribers);
        self.report_obstacle(None);
        self.shared.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
    }

    /// Everything up to `version` has been shown.
    pub(super) fn reached(&self, version: u64) {
        self.write().reached(version);
    }

    /// Forgets everything, as before the first list. Nobody is told.
    pub(super) fn clear(&self) {
        *self.write() = Content::new();
        *self.shared.interest.write().unwrap_or_else(PoisonError::into_inner) = Interest::nothing();
        self.report_obstacle(None);
        self.shared.synced.send_replace(false);
    }

    /// The newest version the watch has shown.
    pub(super) fn version(&self) -> u64 {
        self.read().version()
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
