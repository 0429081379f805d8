//! From changes in the caches to keys in the queues.
//!
//! Upstream hears of snapshots and contents only; who waits for a class, a claim, a volume or a node waits for its back-off. Here
//! what somebody waits for brings it back (13.6).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use sidecar_core::cache::Delta;
use sidecar_core::objects::{
    Claim, ClaimPhase, Node, ObjectKey, Snapshot, SnapshotClass, SnapshotContent, SnapshotIndex, Volume,
};
use snapshot_api::names::finalizers::CLAIM_SOURCE;
use tokio::time::{Instant, interval_at};

use super::Shared;
use crate::metrics::Operation;
use crate::policy::content;

/// Feeds the queues for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>) {
    // The stores outlive a leadership; they must not keep its state alive.
    let weak = || Arc::downgrade(&shared);
    let (stores, to) = (&shared.stores, weak());
    let _classes = stores.classes.subscribe(move |delta| with(&to, |shared| shared.class_changed(delta)));
    let to = weak();
    let _volumes = stores.volumes.subscribe(move |delta| with(&to, |shared| shared.volume_changed(delta)));
    let to = weak();
    let _snapshots =
        stores.snapshots.subscribe(move |delta| with(&to, |shared| shared.snapshot_changed(delta)));
    let to = weak();
    let _contents = stores.contents.subscribe(move |delta| with(&to, |shared| shared.content_changed(delta)));
    let to = weak();
    let _claims = stores.claims.subscribe(move |delta| with(&to, |shared| shared.claim_changed(delta)));
    // Contents have been queued just now; only nodes that come later are news.
    let (listening, heard) = (Arc::new(AtomicBool::new(false)), weak());
    let listens = listening.clone();
    let _nodes = stores.nodes.as_ref().map(|nodes| {
        nodes.subscribe(move |delta| {
            if listens.load(Ordering::Relaxed) {
                with(&heard, |shared| shared.node_changed(delta));
            }
        })
    });
    listening.store(true, Ordering::Relaxed);
    let Some(period) = shared.settings.resync else {
        return std::future::pending().await;
    };
    let mut resync = interval_at(Instant::now() + period, period);
    loop {
        resync.tick().await;
        shared.resync();
    }
}

fn with(subscriber: &Weak<Shared>, act: impl FnOnce(&Shared)) {
    if let Some(shared) = subscriber.upgrade() {
        act(&shared);
    }
}

impl Shared {
    /// Everything is looked at again from time to time, but what waits for its next try goes on waiting.
    fn resync(&self) {
        for snapshot in self.stores.snapshots.list() {
            let key = snapshot.meta.key();
            if self.snapshots.failures(&key) == 0 {
                self.snapshots.add(key);
            }
        }
        for content in self.stores.contents.list() {
            if self.contents.failures(&content.meta.name) == 0 {
                self.contents.add(content.meta.name.clone());
            }
        }
    }

    fn snapshot_changed(&self, delta: &Delta<Snapshot>) {
        match delta {
            Delta::Added(snapshot) => self.snapshots.add(snapshot.meta.key()),
            Delta::Updated { old, new } => {
                if old.meta.uid != new.meta.uid {
                    self.snapshot_gone(old);
                }
                self.snapshots.add(new.meta.key());
            }
            Delta::Deleted(gone) => self.snapshot_gone(gone),
        }
    }

    fn snapshot_gone(&self, gone: &Snapshot) {
        let key = gone.meta.key();
        let driver = self.driver_of(gone);
        self.metrics.end(Operation::Delete, &gone.meta.uid, driver.as_deref());
        self.metrics.forget(&gone.meta.uid);
        self.memory.forget(&key, &gone.meta.uid);
        self.snapshots.forget(&key);
        if let Some(name) = gone.bound_content() {
            self.contents.add(name.into());
        }
        // A group may have waited for its member to go.
        if let (Some(owner), Some(groups)) = (&gone.group, self.groups.get()) {
            let key = ObjectKey::new(gone.meta.namespace(), &owner.name);
            if groups.snapshots.failures(&key) > 0 {
                groups.wake(&key);
            }
        }
        // Its finalizers may have been taken off by hand, and the claim's be left over.
        if let Some(name) = &gone.claim {
            self.offer_claim(gone.meta.namespace(), name);
        }
    }

    fn offer_claim(&self, namespace: &str, name: &str) {
        let claim = self.stores.claims.get(namespace, name);
        if claim.is_some_and(|claim| claim.meta.finalizers.has(CLAIM_SOURCE)) {
            self.claims.add(ObjectKey::new(namespace, name));
        }
    }

    fn content_changed(&self, delta: &Delta<SnapshotContent>) {
        let content = delta.object();
        let (owner, uid) = (&content.snapshot, &content.snapshot.uid);
        let snapshot = self.stores.snapshots.get(&owner.namespace, &owner.name);
        let of_snapshot = snapshot.filter(|snapshot| !uid.is_empty() && snapshot.meta.uid == *uid);
        if let Delta::Deleted(gone) = delta {
            self.contents.forget(&gone.meta.name);
            if of_snapshot.is_some() {
                self.memory.content_seen(uid, true);
            }
            self.wake(&ObjectKey::new(&owner.namespace, &owner.name));
            return;
        }
        self.memory.content_seen(uid, false);
        self.contents.add(content.meta.name.clone());
        // Snapshots that wait for a content made by hand.
        for waiting in self.stores.snapshots.by(SnapshotIndex::Content, &content.meta.name) {
            self.wake_if_waiting(&waiting.meta.key());
        }
    }

    fn class_changed(&self, delta: &Delta<SnapshotClass>) {
        if !matches!(delta, Delta::Deleted(_)) {
            self.wake_classless();
        }
    }

    /// What waits for a class is looked at again. Snapshots and groups of the same name are kept apart no further: to look is cheap.
    pub(super) fn wake_classless(&self) {
        for key in self.memory.take_classless() {
            self.wake(&key);
            if let Some(groups) = self.groups.get() {
                groups.wake(&key);
            }
        }
    }

    fn claim_changed(&self, delta: &Delta<Claim>) {
        let claim = delta.object();
        let namespace = claim.meta.namespace();
        let gone = matches!(delta, Delta::Deleted(_));
        if gone {
            self.memory.forget_claim(&claim.meta.uid);
        }
        if claim.meta.finalizers.has(CLAIM_SOURCE) && !gone {
            self.claims.add(claim.meta.key());
        }
        // Our own writes are seen here, too: they are nothing that anybody waits for.
        if let Delta::Updated { old, new } = delta
            && (old.phase, &old.volume_name) == (new.phase, &new.volume_name)
        {
            return;
        }
        // It is filled, or never will be: its source may go.
        if gone || claim.phase != ClaimPhase::Pending {
            for source in [&claim.data_source, &claim.data_source_ref].into_iter().flatten() {
                if source.is_snapshot() {
                    let namespace = source.namespace.as_deref().unwrap_or(namespace);
                    self.wake_if_waiting(&ObjectKey::new(namespace, &source.name));
                    self.wake_group_of(namespace, &source.name);
                }
            }
        }
        if claim.phase == ClaimPhase::Bound && !gone {
            self.wake_takers(namespace, &claim.meta.name);
        }
    }

    fn volume_changed(&self, delta: &Delta<Volume>) {
        if let (Delta::Added(_), Some(owner)) = (delta, &delta.object().claim) {
            self.wake_takers(&owner.namespace, &owner.name);
        }
    }

    /// Snapshots of a claim that could not be taken before.
    fn wake_takers(&self, namespace: &str, claim: &str) {
        for snapshot in self.stores.snapshots.by(SnapshotIndex::Claim, &format!("{namespace}/{claim}")) {
            self.wake_if_waiting(&snapshot.meta.key());
        }
    }

    fn node_changed(&self, delta: &Delta<Node>) {
        if let Delta::Added(_) = delta {
            for content in self.stores.contents.list() {
                if content::is_unmanaged(&content) {
                    self.contents.add(content.meta.name.clone());
                }
            }
        }
    }

    /// What it waited for is there: its back-off is over.
    pub(super) fn wake(&self, key: &ObjectKey) {
        self.snapshots.forget(key);
        self.snapshots.add(key.clone());
    }

    /// The group that a snapshot is a member of may be deleted now.
    fn wake_group_of(&self, namespace: &str, snapshot: &str) {
        let snapshot = self.stores.snapshots.get(namespace, snapshot);
        let owner = snapshot.and_then(|snapshot| snapshot.group.clone());
        if let (Some(owner), Some(groups)) = (owner, self.groups.get()) {
            let key = ObjectKey::new(namespace, &owner.name);
            if groups.snapshots.failures(&key) > 0 {
                groups.wake(&key);
            }
        }
    }

    fn wake_if_waiting(&self, key: &ObjectKey) {
        if self.snapshots.failures(key) > 0 {
            self.wake(key);
        }
    }
}
