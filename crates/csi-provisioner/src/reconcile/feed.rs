//! From what the watches show to keys in the queues.
//!
//! Upstream queues every change of every claim and volume in the cluster. Here what obviously needs nothing is not
//! queued at all: bound claims, volumes of others, volumes in the middle of their life.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sidecar_core::cache::Delta;
use sidecar_core::objects::{Claim, Volume};
use tokio::time::{Instant, interval_at};

use super::Shared;
use super::guard::is_guarded;
use crate::policy::claim::is_news;
use crate::policy::deletion::{finalizer_change, is_owned, should_delete};
use crate::policy::protection::is_waiting;

/// How often everything is looked at again although nothing changed, as upstream's informers do it.
const RESYNC: Duration = Duration::from_secs(15 * 60);

/// Feeds the queues for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>) {
    // The stores outlive a leadership; they must not keep its state alive.
    let weak = || Arc::downgrade(&shared);
    let subscriber = weak();
    let _claims =
        shared.stores.claims.subscribe(move |delta| with(&subscriber, |shared| shared.claim_changed(delta)));
    let subscriber = weak();
    let _volumes = shared
        .stores
        .volumes
        .subscribe(move |delta| with(&subscriber, |shared| shared.volume_changed(delta)));
    let _attachments = shared.stores.attachments.as_ref().map(|attachments| {
        let subscriber = weak();
        attachments.subscribe(move |delta| {
            if let (Delta::Deleted(gone), Some(shared)) = (delta, subscriber.upgrade())
                && let Some(volume) = &gone.volume
                && shared.memory.knows_volume(volume)
            {
                shared.volumes.add(volume.clone());
            }
        })
    });
    let mut resync = interval_at(Instant::now() + RESYNC, RESYNC);
    loop {
        resync.tick().await;
        shared.stores.claims.list().iter().for_each(|claim| shared.offer_claim(claim));
        shared.stores.volumes.list().iter().for_each(|volume| shared.offer_volume(volume));
    }
}

fn with(subscriber: &Weak<Shared>, act: impl FnOnce(&Shared)) {
    if let Some(shared) = subscriber.upgrade() {
        act(&shared);
    }
}

impl Shared {
    fn claim_changed(&self, delta: &Delta<Claim>) {
        match delta {
            Delta::Added(claim) => self.offer_claim(claim),
            Delta::Updated { old, new } => {
                if is_news(old, new) {
                    self.offer_claim(new);
                }
                if is_waiting(old) && !is_waiting(new) {
                    self.offer_source_of(new);
                }
            }
            // A claim in progress is finished even though it is gone; of others the memory is cleared.
            Delta::Deleted(claim) => {
                if self.knows(claim) {
                    self.claims.add(claim.meta.uid.clone());
                }
                self.offer_source_of(claim);
            }
        }
    }

    fn offer_claim(&self, claim: &Claim) {
        let unbound = claim.volume_name.is_none() && claim.provisioner.is_some();
        if unbound || is_guarded(claim) || self.knows(claim) {
            self.claims.add(claim.meta.uid.clone());
        }
        self.offer_clones(claim);
    }

    /// Whether anything about the claim is left to be put in order.
    fn knows(&self, claim: &Claim) -> bool {
        self.memory.knows_claim(&claim.meta.uid) || self.sources.of(&claim.meta.uid).is_some()
    }

    fn volume_changed(&self, delta: &Delta<Volume>) {
        match delta {
            Delta::Added(volume) | Delta::Updated { new: volume, .. } => self.offer_volume(volume),
            Delta::Deleted(volume) => {
                self.volumes.forget(&volume.meta.name);
                if self.memory.knows_volume(&volume.meta.name) {
                    self.volumes.add(volume.meta.name.clone());
                }
                // The claim was left alone because it had its volume.
                let owner = volume.claim.as_ref().and_then(|reference| self.claim(&reference.uid));
                if let Some(claim) = owner.filter(|claim| claim.volume_name.is_none()) {
                    self.claims.add(claim.meta.uid.clone());
                }
            }
        }
    }

    fn offer_volume(&self, volume: &Volume) {
        let owned = is_owned(&self.driver.names, volume);
        if owned && (finalizer_change(volume).is_some() || should_delete(volume)) {
            self.volumes.add(volume.meta.name.clone());
        }
    }
}
