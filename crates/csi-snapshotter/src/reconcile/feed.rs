//! From changes in the caches to keys in the queue.
//!
//! Upstream queues every content in the cluster, whoever's it is and whatever its state. Here what needs nothing is not
//! queued at all.

use std::sync::{Arc, Weak};

use sidecar_core::cache::Delta;
use tokio::time::{Instant, interval_at};

use super::Shared;
use crate::content::{Class, Content};
use crate::driver::Calls;
use crate::policy::change::needs_look;
use crate::policy::next::Step;

/// Feeds the queue for as long as it is polled.
pub(super) async fn run<C: Calls + PartialEq>(shared: Arc<Shared<C>>) {
    // The stores outlive a leadership; they must not keep its state alive.
    let weak = || Arc::downgrade(&shared);
    let subscriber = weak();
    let _contents = shared
        .stores
        .contents
        .subscribe(move |delta| with(&subscriber, |shared| shared.content_changed(delta)));
    let subscriber = weak();
    let _classes =
        shared.stores.classes.subscribe(move |delta| with(&subscriber, |shared| shared.class_changed(delta)));
    let Some(period) = shared.parts.flags.resync else {
        return std::future::pending().await;
    };
    let mut resync = interval_at(Instant::now() + period, period);
    loop {
        resync.tick().await;
        shared.stores.contents.list().iter().for_each(|content| shared.resync(content));
    }
}

fn with<C: Content>(subscriber: &Weak<Shared<C>>, act: impl FnOnce(&Shared<C>)) {
    if let Some(shared) = subscriber.upgrade() {
        act(&shared);
    }
}

impl<C: Calls + PartialEq> Shared<C> {
    fn content_changed(&self, delta: &Delta<C>) {
        match delta {
            Delta::Added(new) => self.offer(new),
            Delta::Updated { old, new } if old.meta().uid != new.meta().uid => {
                self.gone(old);
                self.offer(new);
            }
            Delta::Updated { old, new } if needs_look(&**old, &**new) => self.offer(new),
            Delta::Updated { .. } => {}
            Delta::Deleted(gone) => self.gone(gone),
        }
    }

    fn offer(&self, content: &C) {
        if self.is_ours(&content.view()) && self.next(content) != Step::Nothing {
            self.queue.add(content.meta().name.clone());
        }
    }

    /// Its name may come again and must not inherit anything.
    fn gone(&self, content: &C) {
        let name = &content.meta().name;
        self.queue.forget(name);
        self.memory.forget(name);
    }

    /// Contents that failed, perhaps for want of this class or for what was wrong with it, are tried again. So are those that
    /// were not ours for as long as it was the class of another driver: nobody else looks at them either.
    fn class_changed(&self, delta: &Delta<C::Class>) {
        let (class, before) = match delta {
            Delta::Added(class) => (class, None),
            Delta::Updated { old, new } => (new, Some(old)),
            Delta::Deleted(gone) => (gone, Some(gone)),
        };
        let was_foreign = before.is_some_and(|before| *before.class().driver != *self.parts.driver.name);
        if matches!(delta, Delta::Deleted(_)) && !was_foreign {
            return;
        }
        for content in self.stores.contents.by(C::BY_CLASS, &class.class().meta.name) {
            let failed = self.queue.failures(&content.meta().name) > 0;
            if failed {
                self.queue.forget(&content.meta().name);
            }
            if failed || was_foreign {
                self.offer(&content);
            }
        }
    }

    /// Everything is looked at again from time to time, but what has a time for its next look goes on waiting for it.
    fn resync(&self, content: &C) {
        let meta = content.meta();
        if self.queue.failures(&meta.name) == 0 && !self.memory.is_being_followed(meta) {
            self.offer(content);
        }
    }
}
