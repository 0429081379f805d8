//! From what the watches show to keys in the queues.
//!
//! Upstream queues every claim of the cluster at every resync, and every echo of its own writes. Here a claim is queued
//! when it wants something, its volume is not known to be another driver's, and somebody else has changed it.

use std::sync::{Arc, Weak};

use sidecar_core::cache::Delta;
use sidecar_core::objects::{AttributesClass, Claim, ClaimIndex, Volume};
use tokio::time::{Instant, interval_at};
use tracing::info;

use super::Shared;
use crate::policy::wake::{self, Wake};
use crate::policy::{expand, modify, volume_patch};

/// Feeds the queues for as long as it is polled.
pub(super) async fn run(shared: Arc<Shared>) {
    // The stores outlive a leadership; they must not keep its state alive.
    let weak = || Arc::downgrade(&shared);
    let subscriber = weak();
    let _volumes = shared
        .stores
        .volumes
        .subscribe(move |delta| with(&subscriber, |shared| shared.volume_changed(delta)));
    let subscriber = weak();
    let _claims =
        shared.stores.claims.subscribe(move |delta| with(&subscriber, |shared| shared.claim_changed(delta)));
    let _classes = shared.stores.classes.as_ref().map(|classes| {
        let subscriber = weak();
        classes.subscribe(move |delta| {
            if let Delta::Added(class) = delta {
                with(&subscriber, |shared| shared.class_appeared(class));
            }
        })
    });
    let Some(period) = shared.settings.resync else { return std::future::pending().await };
    let mut resync = interval_at(Instant::now() + period, period);
    loop {
        resync.tick().await;
        shared.stores.claims.list().iter().for_each(|claim| shared.resync(claim));
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
            Delta::Added(claim) => {
                self.offer_expansion(claim);
                self.offer_modification(claim);
            }
            Delta::Updated { old, new } => {
                if old.meta.uid != new.meta.uid {
                    self.claim_gone(old);
                }
                if self.is_worth_a_look(wake::expansion(old, new), new) {
                    self.offer_expansion(new);
                }
                if self.is_worth_a_look(wake::modification(old, new), new) {
                    self.offer_modification(new);
                }
            }
            Delta::Deleted(claim) => self.claim_gone(claim),
        }
    }

    fn is_worth_a_look(&self, wake: Wake, claim: &Claim) -> bool {
        let meta = &claim.meta;
        match wake {
            Wake::No => false,
            Wake::Yes => true,
            // While a claim is worked on, its watch may show a write before its answer is here.
            Wake::UnlessOwn => {
                !self.memory.has_written(&meta.uid, meta.resource_version) && !self.locks.is_held(&meta.key())
            }
        }
    }

    fn claim_gone(&self, claim: &Claim) {
        let uid = &claim.meta.uid;
        self.expansions.forget(&claim.meta.key());
        self.modifications.forget(&claim.meta.key());
        self.slow_expansions.remove(uid);
        self.slow_modifications.remove(uid);
        if self.memory.forget(uid) {
            self.pods.give_back();
        }
    }

    /// A volume may come after its claim, or may learn only now to whom it belongs.
    fn volume_changed(&self, delta: &Delta<Volume>) {
        let volume = match delta {
            Delta::Added(volume) => volume,
            Delta::Updated { old, new } if old.claim != new.claim => new,
            Delta::Updated { .. } | Delta::Deleted(_) => return,
        };
        let Some(owner) = &volume.claim else { return };
        if let Some(claim) = self.stores.claims.get(&owner.namespace, &owner.name) {
            self.offer_expansion(&claim);
            self.offer_modification(&claim);
        }
    }

    /// Claims that wait for a class are tried when it is there.
    fn class_appeared(&self, class: &AttributesClass) {
        for claim in self.stores.claims.by(ClaimIndex::AttributesClass, &class.meta.name) {
            self.offer_modification(&claim);
        }
    }

    /// Everything is looked at again from time to time, but what waits for its next try goes on waiting.
    fn resync(&self, claim: &Claim) {
        let key = claim.meta.key();
        if self.expansions.failures(&key) == 0 {
            self.offer_expansion(claim);
        }
        if self.modifications.failures(&key) == 0 && !modify::is_begun(claim) {
            self.offer_modification(claim);
        }
    }

    fn offer_expansion(&self, claim: &Claim) {
        let noted = |volume: &Volume| self.settings.annotate && volume_patch::caught_up(volume).is_some();
        let wanted = match self.volume_behind(claim) {
            Behind::Nothing => false,
            Behind::Unknown => expand::is_needed(claim),
            Behind::Volume(volume) => expand::is_needed(claim) || noted(&volume),
        };
        if wanted && self.driver.expansion.is_some() {
            self.expansions.add(claim.meta.key());
        }
    }

    fn offer_modification(&self, claim: &Claim) {
        let wanted = self.settings.modify && modify::is_needed(claim);
        if wanted && !matches!(self.volume_behind(claim), Behind::Nothing) {
            self.modifications.add(claim.meta.key());
        }
    }

    /// Whether the volume is this process's business, where each node has its own.
    pub(super) fn is_here(&self, volume: &Volume) -> bool {
        let here = self.driver.here.as_ref().is_none_or(|here| here.reaches(volume));
        if !here {
            info!(v = 4, PV = %volume.meta.name, affinity = volume.affinity.is_some(), "Volume is not this node's");
        }
        here
    }

    fn volume_behind(&self, claim: &Claim) -> Behind {
        let Some(name) = &claim.volume_name else { return Behind::Nothing };
        match self.stores.volumes.get("", name) {
            Some(volume) if self.is_here(&volume) => Behind::Volume(volume),
            Some(_) => Behind::Nothing,
            None if self.stores.volumes.exists("", name) => Behind::Nothing,
            None => Behind::Unknown,
        }
    }
}

/// What is known of a claim's volume.
enum Behind {
    /// It may be ours.
    Volume(Arc<Volume>),
    /// Nobody has seen it yet.
    Unknown,
    /// There is none, or it is another driver's, or another node's.
    Nothing,
}
