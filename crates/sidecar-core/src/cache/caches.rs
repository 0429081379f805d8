//! The stores of a process and the watches that feed them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::reflector::Reflector;
use super::skipped::SkippedObjects;
use super::store::Store;
use crate::objects::{
    Attachment, AttributesClass, Claim, Class, CsiNode, GroupContent, GroupSnapshot, GroupSnapshotClass,
    Interest, Kind, Node, Pod, Snapshot, SnapshotClass, SnapshotContent, Volume,
};
use crate::random::Random;

/// The stores of a process. Clones share them; when the last clone goes, the watches end.
#[derive(Clone, Debug)]
pub struct Caches {
    shared: Arc<Shared>,
}

/// Everything that goes over all kinds, in the order in which their watches start: what is looked up before what is acted on.
macro_rules! caches {
    ($($field:ident: $kind:ty),+ $(,)?) => {
        #[derive(Debug)]
        struct Shared {
            $($field: Entry<$kind>,)+
            random: Random,
            watches: Mutex<Watches>,
        }

        $(impl Cached for $kind {
            fn entry(caches: &Caches) -> &Entry<Self> {
                &caches.shared.$field
            }
        })+

        impl Caches {
            /// Empty stores that nobody wants yet. `random` spreads the watches' time-outs and back-offs.
            pub fn new(random: Random) -> Self {
                let watches = Mutex::default();
                Self { shared: Arc::new(Shared { $($field: Entry::default(),)+ random, watches }) }
            }

            /// Starts the watches of all kinds that are wanted and not watched yet. Must be called inside a tokio runtime.
            pub fn start(&self, client: &kube::Client) {
                $(self.start_kind::<$kind>(client);)+
            }

            /// Completes when every wanted kind has been listed once.
            pub async fn synced(&self) {
                $(self.synced_kind::<$kind>().await;)+
            }

            /// What keeps watches from getting through at the moment, in words for a person; empty if all is well.
            pub fn obstacles(&self) -> Vec<String> {
                [$(self.shared.$field.store.obstacle(),)+].into_iter().flatten().collect()
            }
        }

        impl Shared {
            /// Kinds that are asked for, or were, by their plural names, and how many of their objects were skipped.
            fn skipped(&self) -> Vec<(&'static str, u64)> {
                let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
                [$((<$kind as Kind>::RESOURCE.plural, self.$field.store.skipped()),)+]
                    .into_iter()
                    .filter(|(kind, skipped)| *skipped > 0 || watches.is_asked_for(kind))
                    .collect()
            }
        }
    };
}

caches! {
    classes: Class,
    attributes_classes: AttributesClass,
    snapshot_classes: SnapshotClass,
    group_snapshot_classes: GroupSnapshotClass,
    csi_nodes: CsiNode,
    nodes: Node,
    volumes: Volume,
    attachments: Attachment,
    pods: Pod,
    claims: Claim,
    group_contents: GroupContent,
    group_snapshots: GroupSnapshot,
    snapshot_contents: SnapshotContent,
    snapshots: Snapshot,
}

#[derive(Debug, Default)]
struct Watches {
    /// Kinds that somebody wants, by their plural names.
    wanted: BTreeSet<&'static str>,
    /// How many [`Borrowed`] there are of a kind.
    borrowed: BTreeMap<&'static str, usize>,
    running: Vec<(&'static str, AbortHandle)>,
}

/// One kind's store, and the bell that makes its watch read everything again.
#[derive(Debug)]
pub struct Entry<T: Kind> {
    store: Store<T>,
    widened: Arc<Notify>,
}

impl<T: Kind> Default for Entry<T> {
    fn default() -> Self {
        Self { store: Store::default(), widened: Arc::default() }
    }
}

/// A kind that is watched while this lives. When the last borrower goes, and nobody wants the kind for good, the watch ends
/// and the store is emptied.
#[derive(Debug)]
pub struct Borrowed<T: Cached> {
    caches: Caches,
    store: Store<T>,
}

impl<T: Cached> Borrowed<T> {
    /// The store.
    pub fn store(&self) -> &Store<T> {
        &self.store
    }
}

impl<T: Cached> Drop for Borrowed<T> {
    fn drop(&mut self) {
        let kind = T::RESOURCE.plural;
        let mut watches = self.caches.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.give_back(kind) {
            watches.stop_kind(kind);
            self.store.clear();
        }
    }
}

/// The kinds that are cached.
pub trait Cached: Kind {
    /// The entry of this kind.
    fn entry(caches: &Caches) -> &Entry<Self>;
}

impl Caches {
    /// Declares an interest in a kind and returns its store, which fills after [`Caches::start`]. A watch that runs already and
    /// brought too little starts over.
    pub fn want<T: Cached>(&self, interest: Interest) -> Store<T> {
        let entry = T::entry(self);
        let widened = entry.store.widen(interest);
        let mut watches = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.wanted.insert(T::RESOURCE.plural);
        if widened && watches.is_running(T::RESOURCE.plural) {
            entry.widened.notify_one();
        }
        entry.store.clone()
    }

    /// Watches a kind only for as long as the result lives, for what is rarely needed and costs much. Starts the watch at
    /// once; the store is complete when [`Store::synced`] says so. Must be called inside a tokio runtime.
    pub fn borrow<T: Cached>(&self, interest: Interest, client: &kube::Client) -> Borrowed<T> {
        let entry = T::entry(self);
        {
            let mut watches = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
            *watches.borrowed.entry(T::RESOURCE.plural).or_default() += 1;
            if entry.store.widen(interest) && watches.is_running(T::RESOURCE.plural) {
                entry.widened.notify_one();
            }
        }
        self.start_kind::<T>(client);
        Borrowed { caches: self.clone(), store: entry.store.clone() }
    }

    /// The store of a kind, wanted or not.
    pub fn store<T: Cached>(&self) -> Store<T> {
        T::entry(self).store.clone()
    }

    /// Counts, kind by kind, the objects that nobody could read ([`Store::skipped`]). Does not keep the caches alive.
    pub fn skipped_objects(&self) -> SkippedObjects {
        let shared: Weak<Shared> = Arc::downgrade(&self.shared);
        SkippedObjects::new(move || shared.upgrade().map(|shared| shared.skipped()).unwrap_or_default())
    }

    /// Ends the watches. The stores keep what they have.
    pub fn stop(&self) {
        self.shared.stop();
    }

    fn start_kind<T: Cached>(&self, client: &kube::Client) {
        let kind = T::RESOURCE.plural;
        let mut watches = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if !watches.is_asked_for(kind) || watches.is_running(kind) {
            return;
        }
        let entry = T::entry(self);
        let reflector = Reflector {
            store: entry.store.clone(),
            client: client.clone(),
            random: self.shared.random.fork(),
            widened: entry.widened.clone(),
        };
        let task = tokio::spawn(reflector.run());
        watches.running.push((kind, task.abort_handle()));
    }

    async fn synced_kind<T: Cached>(&self) {
        let kind = T::RESOURCE.plural;
        let wanted = self.shared.watches.lock().unwrap_or_else(PoisonError::into_inner).wanted.contains(kind);
        if wanted {
            T::entry(self).store.synced().await;
        }
    }
}

impl Watches {
    fn is_asked_for(&self, kind: &str) -> bool {
        self.wanted.contains(kind) || self.borrowed.contains_key(kind)
    }

    /// One borrower less; whether the kind is now asked for by nobody.
    fn give_back(&mut self, kind: &'static str) -> bool {
        if let Some(borrowers) = self.borrowed.get_mut(kind) {
            *borrowers -= 1;
            if *borrowers == 0 {
                self.borrowed.remove(kind);
            }
        }
        !self.is_asked_for(kind)
    }

    fn stop_kind(&mut self, kind: &str) {
        self.running.retain(|(running, task)| {
            let ends = *running == kind;
            if ends {
                task.abort();
            }
            !ends
        });
    }

    fn is_running(&self, kind: &str) -> bool {
        self.running.iter().any(|(running, _)| *running == kind)
    }
}

impl Shared {
    fn stop(&self) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.running.drain(..).for_each(|(_, task)| task.abort());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}
