//! The objects and their history: one increasing version for the whole cluster, a log of changes per kind
//! for watches that start in the past, and channels to those that watch now.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};

use super::clock::Clock;
use super::doc;
use super::resources::{Id, RESOURCES, Resource};

/// Namespace (empty for cluster-scoped kinds) and name.
pub(crate) type Key = (String, String);

/// A stored object and its text, made once for all readers. Reads like the JSON value that it is.
#[derive(Debug)]
pub struct Object {
    pub(crate) value: Value,
    pub(crate) version: u64,
    text: OnceLock<Bytes>,
}

impl Object {
    pub(crate) fn new(value: Value, version: u64) -> Self {
        Self { value, version, text: OnceLock::new() }
    }

    /// The object as text; made when the first reader asks.
    pub(crate) fn text(&self) -> Bytes {
        self.text.get_or_init(|| Bytes::from(self.value.to_string())).clone()
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One entry of the history.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) kind: ChangeKind,
    pub(crate) resource: &'static Resource,
    pub(crate) object: Arc<Object>,
    pub(crate) previous: Option<Arc<Object>>,
}

/// A change as those outside the server see it.
#[derive(Debug, Clone)]
pub struct Delta {
    /// Kind of the object.
    pub kind: &'static str,
    /// Whether the object is gone.
    pub deleted: bool,
    /// The object as it is now, or was last.
    pub object: Arc<Object>,
}

/// What a watch channel carries.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    Change(Change),
    /// The connection breaks: end of stream without any notice.
    Break,
    /// The server says 410 in the stream and ends it.
    Expire,
}

#[derive(Default)]
struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    log: VecDeque<Change>,
    watchers: Vec<mpsc::UnboundedSender<Signal>>,
}

/// All kinds.
pub(crate) struct Store {
    version: u64,
    compacted: u64,
    tables: BTreeMap<Id, Table>,
    clock: Clock,
    ids: fastrand::Rng,
    versions: watch::Sender<u64>,
    written: Arc<Notify>,
    subscribers: Vec<mpsc::UnboundedSender<Delta>>,
}

impl Store {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        Self {
            version: 1,
            compacted: 0,
            tables: RESOURCES.iter().map(|row| (row.id(), Table::default())).collect(),
            clock,
            ids: fastrand::Rng::with_seed(seed),
            versions: watch::Sender::new(1),
            written: Arc::default(),
            subscribers: Vec::new(),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.versions.subscribe()
    }

    pub(crate) fn written(&self) -> Arc<Notify> {
        Arc::clone(&self.written)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A fresh UID.
    pub(crate) fn uid(&mut self) -> String {
        let bytes = self.ids.u128(..).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five characters for generateName, from the alphabet that avoids words.
    pub(crate) fn suffix(&mut self) -> String {
        (0..5).filter_map(|_| self.ids.choice(*b"bcdfghjklmnpqrstvwxz2456789")).map(char::from).collect()
    }

    pub(crate) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let key = (namespace.to_owned(), name.to_owned());
        self.tables.get(&resource.id())?.objects.get(&key)
    }

    /// All objects of a kind, in key order.
    pub(crate) fn all(&self, resource: &Resource) -> impl Iterator<Item = &Arc<Object>> {
        self.tables.get(&resource.id()).into_iter().flat_map(|table| table.objects.values())
    }

    /// The objects of a kind as they were at `version`: today's with the later changes undone.
    pub(crate) fn all_at(&self, resource: &Resource, version: u64) -> BTreeMap<Key, Arc<Object>> {
        let Some(table) = self.tables.get(&resource.id()) else { return BTreeMap::new() };
        let mut objects = table.objects.clone();
        for change in table.log.iter().rev().take_while(|change| change.object.version > version) {
            let key = key_of(&change.object.value);
            match &change.previous {
                Some(previous) => objects.insert(key, Arc::clone(previous)),
                None => objects.remove(&key),
            };
        }
        objects
    }

    /// The changes of a kind after `version`, oldest first.
    pub(crate) fn changes_after(&self, resource: &Resource, version: u64) -> Vec<Change> {
        let Some(table) = self.tables.get(&resource.id()) else { return Vec::new() };
        let start = table.log.partition_point(|change| change.object.version <= version);
        table.log.range(start..).cloned().collect()
    }

    /// Stores `value` under its key with the next version.
    pub(crate) fn put(&mut self, resource: &'static Resource, value: Value) -> Arc<Object> {
        let object = self.stamp(value);
        let key = key_of(&object.value);
        let table = self.tables.entry(resource.id()).or_default();
        let previous = table.objects.insert(key, Arc::clone(&object));
        let kind = if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added };
        self.publish(Change { kind, resource, object: Arc::clone(&object), previous });
        object
    }

    /// Removes the object whose last state is `value`.
    pub(crate) fn remove(&mut self, resource: &'static Resource, value: Value) -> Arc<Object> {
        let object = self.stamp(value);
        let key = key_of(&object.value);
        let previous = self.tables.entry(resource.id()).or_default().objects.remove(&key);
        self.publish(Change { kind: ChangeKind::Deleted, resource, object: Arc::clone(&object), previous });
        object
    }

    fn stamp(&mut self, mut value: Value) -> Arc<Object> {
        self.version += 1;
        doc::set(&mut value, &["metadata", "resourceVersion"], self.version.to_string());
        Arc::new(Object::new(value, self.version))
    }

    fn publish(&mut self, change: Change) {
        let table = self.tables.entry(change.resource.id()).or_default();
        table.watchers.retain(|watcher| watcher.send(Signal::Change(change.clone())).is_ok());
        self.subscribers.retain(|subscriber| {
            let delta = Delta {
                kind: change.resource.kind,
                deleted: change.kind == ChangeKind::Deleted,
                object: Arc::clone(&change.object),
            };
            subscriber.send(delta).is_ok()
        });
        table.log.push_back(change);
        self.versions.send_replace(self.version);
        self.written.notify_waiters();
    }

    /// Everything that happens to a kind from now on.
    pub(crate) fn watch(&mut self, resource: &Resource) -> mpsc::UnboundedReceiver<Signal> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.tables.entry(resource.id()).or_default().watchers.push(sender);
        receiver
    }

    /// Everything that happens to any kind from now on.
    pub(crate) fn subscribe(&mut self) -> mpsc::UnboundedReceiver<Delta> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.push(sender);
        receiver
    }

    /// Ends all running watches of a kind.
    pub(crate) fn end_watches(&mut self, resource: &Resource, signal: &Signal) {
        if let Some(table) = self.tables.get_mut(&resource.id()) {
            for watcher in table.watchers.drain(..) {
                // A receiver that is gone has no stream to end.
                let _ = watcher.send(signal.clone());
            }
        }
    }

    /// Running watches of a kind.
    pub(crate) fn watchers(&self, resource: &Resource) -> usize {
        self.tables
            .get(&resource.id())
            .map_or(0, |table| table.watchers.iter().filter(|watcher| !watcher.is_closed()).count())
    }

    /// Forgets the history up to and including now.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.version;
        self.tables.values_mut().for_each(|table| table.log.clear());
    }
}

pub(crate) fn key_of(value: &Value) -> Key {
    (doc::text(value, "/metadata/namespace").to_owned(), doc::text(value, "/metadata/name").to_owned())
}
