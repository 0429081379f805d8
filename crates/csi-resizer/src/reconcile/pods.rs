//! Which claims are in use: a watch of pods that is there only while some driver has refused to expand a volume in use
//! (sheet 5.6, 13.1).
//!
//! Upstream keeps every pod of the cluster all the time, and runs out of memory over it (upstream issue 211).

use std::sync::{Arc, Mutex, PoisonError};

use sidecar_core::cache::{Borrowed, Delta, Store, Subscription};
use sidecar_core::objects::{Claim, Interest, Pod, PodIndex};

use super::Shared;

/// The watch, if there is one.
#[derive(Debug, Default)]
pub(super) struct Pods {
    watch: Mutex<Option<Watch>>,
}

#[derive(Debug)]
struct Watch {
    // In this order: who subscribes goes before the store is emptied.
    _subscription: Subscription<Pod>,
    pods: Borrowed<Pod>,
}

impl Pods {
    fn store(&self) -> Option<Store<Pod>> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.as_ref().map(|watch| watch.pods.store().clone())
    }

    /// Nobody waits for pods any more.
    pub(super) fn give_back(&self) {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(watch);
    }
}

impl Shared {
    /// The driver cannot expand the volume of this claim in use: from now on its pods matter.
    pub(super) fn watch_pods(self: &Arc<Self>) {
        if !self.settings.handle_in_use {
            return;
        }
        let mut watch = self.pods.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.is_some() {
            return;
        }
        let pods = self.context.caches.borrow::<Pod>(Interest::all(), &self.client);
        let weak = Arc::downgrade(self);
        let subscription = pods.store().subscribe(move |delta| {
            if let (Delta::Deleted(pod), Some(shared)) = (delta, weak.upgrade()) {
                shared.pod_ended(pod);
            }
        });
        *watch = Some(Watch { _subscription: subscription, pods });
    }

    /// The claims of a pod that is gone, or has finished, may be free now.
    fn pod_ended(&self, pod: &Pod) {
        for name in &pod.claims {
            let claim = self.stores.claims.get(pod.meta.namespace(), name);
            if let Some(claim) = claim.filter(|claim| self.memory.is_refused_in_use(&claim.meta.uid)) {
                self.expansions.add(claim.meta.key());
            }
        }
    }

    /// Whether to wait: the driver refused the last try because the volume was in use, and it still is.
    pub(super) async fn waits_for_pods(&self, claim: &Claim) -> bool {
        if !self.memory.is_refused_in_use(&claim.meta.uid) {
            return false;
        }
        let Some(pods) = self.pods.store() else { return false };
        // Where pods cannot be read the driver is asked again, at the pace of the back-off.
        if tokio::time::timeout(self.settings.timeout, pods.synced()).await.is_err() {
            return false;
        }
        !pods.by(PodIndex::Claim, &claim.meta.key().to_string()).is_empty()
    }
}
