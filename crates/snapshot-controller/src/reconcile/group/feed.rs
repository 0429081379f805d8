//! From changes of groups to keys in the queues (13.6).

use std::sync::{Arc, Weak};

use sidecar_core::cache::Delta;
use sidecar_core::objects::{GroupContent, GroupSnapshot, GroupSnapshotIndex, ObjectKey};
use tokio::time::{Instant, interval_at};

use super::super::Shared;
use super::{Groups, driver_of};
use crate::metrics::Operation;
use crate::policy::group::deletion;

/// Feeds the queues for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>, groups: Arc<Groups>) {
    let weak = || Arc::downgrade(&shared);
    let (stores, to) = (&groups.stores, weak());
    let _classes = stores.classes.subscribe(move |delta| {
        if !matches!(delta, Delta::Deleted(_)) {
            with(&to, |shared, _| shared.wake_classless());
        }
    });
    let to = weak();
    let _snapshots = stores
        .snapshots
        .subscribe(move |delta| with(&to, |shared, groups| shared.group_changed(groups, delta)));
    let to = weak();
    let _contents = stores
        .contents
        .subscribe(move |delta| with(&to, |shared, groups| shared.group_content_changed(groups, delta)));
    let Some(period) = shared.settings.resync else {
        return std::future::pending().await;
    };
    let mut resync = interval_at(Instant::now() + period, period);
    loop {
        resync.tick().await;
        groups.resync();
    }
}

fn with(subscriber: &Weak<Shared>, act: impl FnOnce(&Shared, &Groups)) {
    if let Some(shared) = subscriber.upgrade()
        && let Some(groups) = shared.groups.get()
    {
        act(&shared, groups);
    }
}

impl Groups {
    /// Everything is looked at again from time to time, but what waits for its next try goes on waiting.
    fn resync(&self) {
        for group in self.stores.snapshots.list() {
            let key = group.meta.key();
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

    /// Its back-off is over.
    pub(in super::super) fn wake(&self, key: &ObjectKey) {
        self.snapshots.forget(key);
        self.snapshots.add(key.clone());
    }
}

impl Shared {
    fn group_changed(&self, groups: &Groups, delta: &Delta<GroupSnapshot>) {
        match delta {
            Delta::Added(group) => groups.snapshots.add(group.meta.key()),
            Delta::Updated { old, new } => {
                if old.meta.uid != new.meta.uid {
                    self.group_gone(groups, old);
                }
                groups.snapshots.add(new.meta.key());
            }
            Delta::Deleted(gone) => self.group_gone(groups, gone),
        }
    }

    /// Its members may go now. With upstream they wait for their back-off.
    fn group_gone(&self, groups: &Groups, gone: &GroupSnapshot) {
        let (key, uid) = (gone.meta.key(), &gone.meta.uid);
        self.metrics.end(Operation::DeleteGroup, uid, driver_of(groups, gone).as_deref());
        self.metrics.forget(uid);
        self.memory.forget(&key, uid);
        groups.snapshots.forget(&key);
        for member in deletion::members(gone, &self.stores) {
            self.wake(&member.meta.key());
        }
        if let Some(name) = gone.bound_content() {
            groups.contents.add(name.into());
        }
    }

    fn group_content_changed(&self, groups: &Groups, delta: &Delta<GroupContent>) {
        let content = delta.object();
        let (owner, uid) = (&content.snapshot, &content.snapshot.uid);
        if let Delta::Deleted(gone) = delta {
            groups.contents.forget(&gone.meta.name);
            let group = groups.stores.snapshots.get(&owner.namespace, &owner.name);
            if group.is_some_and(|group| !uid.is_empty() && group.meta.uid == *uid) {
                self.memory.content_seen(uid, true);
            }
            groups.wake(&ObjectKey::new(&owner.namespace, &owner.name));
            return;
        }
        self.memory.content_seen(uid, false);
        groups.contents.add(content.meta.name.clone());
        for waiting in groups.stores.snapshots.by(GroupSnapshotIndex::Content, &content.meta.name) {
            let key = waiting.meta.key();
            if groups.snapshots.failures(&key) > 0 {
                groups.wake(&key);
            }
        }
    }
}
