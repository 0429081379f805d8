//! From changes in the caches to keys in the queues.
//!
//! Upstream queues every attachment in the cluster whenever anything about it changes. Here what obviously needs nothing
//! is not queued at all: attachments of other drivers, attached ones, volumes that keep their finalizer.

use std::sync::{Arc, Weak};

use sidecar_core::cache::Delta;
use sidecar_core::objects::{Attachment, AttachmentIndex, CsiNode, Volume};
use tokio::time::{Instant, interval_at};
use tracing::info;

use super::Shared;
use crate::policy::change::needs_look;
use crate::policy::failure::WaitsFor;
use crate::policy::{finalizer, needs_work};

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
    let _attachments = shared
        .stores
        .attachments
        .subscribe(move |delta| with(&subscriber, |shared| shared.attachment_changed(delta)));
    let _nodes = shared.stores.nodes.as_ref().map(|nodes| {
        let subscriber = weak();
        nodes.subscribe(move |delta| with(&subscriber, |shared| shared.node_changed(delta)))
    });
    let Some(resync) = shared.flags.resync else {
        return std::future::pending().await;
    };
    let mut resync = interval_at(Instant::now() + resync, resync);
    loop {
        resync.tick().await;
        shared.stores.attachments.list().iter().for_each(|attachment| shared.offer(attachment));
        shared.stores.volumes.list().iter().for_each(|volume| shared.offer_volume(volume));
    }
}

fn with(subscriber: &Weak<Shared>, act: impl FnOnce(&Shared)) {
    if let Some(shared) = subscriber.upgrade() {
        act(&shared);
    }
}

impl Shared {
    fn attachment_changed(&self, delta: &Delta<Attachment>) {
        if self.flags.detach_before_attach.is_some() {
            self.let_go(delta);
        }
        match delta {
            Delta::Added(new) => self.offer(new),
            Delta::Updated { old, new } if !self.is_ours(new) => self.renamed(old, new),
            Delta::Updated { old, new } if old.meta.uid != new.meta.uid => {
                self.attachment_gone(old);
                self.offer(new);
            }
            Delta::Updated { old, new } => {
                let own = self.memory.is_own(&new.meta.name, new.meta.resource_version);
                if needs_look(old, new, own) {
                    self.offer(new);
                } else {
                    info!(v = 3, VolumeAttachment = %new.meta.name, "Ignoring VolumeAttachment change");
                }
            }
            Delta::Deleted(gone) => self.attachment_gone(gone),
        }
    }

    /// An attachment of somebody else that was replaced between two looks.
    fn renamed(&self, old: &Attachment, new: &Attachment) {
        if old.meta.uid != new.meta.uid {
            self.attachment_gone(old);
        }
    }

    fn offer(&self, attachment: &Attachment) {
        if self.is_ours(attachment) && needs_work(attachment, &self.driver.finalizer) {
            self.attachments.add(attachment.meta.name.clone());
        }
    }

    /// Its name may come again and must not inherit anything; its volume may lose our finalizer now.
    fn attachment_gone(&self, gone: &Attachment) {
        if self.is_ours(gone) {
            self.memory.gone(&gone.meta.name);
            self.attachments.forget(&gone.meta.name);
        }
        let Some(volume) = &gone.volume else { return };
        if self.volume(volume).is_some_and(|volume| self.is_removable(&volume)) {
            self.volumes.add(volume.clone());
        }
        if self.attachments_of(volume).is_empty() {
            self.memory.forget_volume(volume);
        }
    }

    fn volume_changed(&self, delta: &Delta<Volume>) {
        match delta {
            Delta::Added(volume) | Delta::Updated { new: volume, .. } => {
                self.offer_volume(volume);
                for attachment in self.attachments_of(&volume.meta.name) {
                    self.wake(&attachment, WaitsFor::Volume);
                }
            }
            Delta::Deleted(volume) => {
                self.volumes.forget(&volume.meta.name);
                let needed = self.attachments_of(&volume.meta.name);
                if needed.iter().any(|attachment| self.is_ours(attachment)) {
                    self.memory.volume_lost(volume.clone());
                }
            }
        }
    }

    fn offer_volume(&self, volume: &Volume) {
        if self.is_removable(volume) {
            self.volumes.add(volume.meta.name.clone());
        }
    }

    fn is_removable(&self, volume: &Volume) -> bool {
        finalizer::is_removable(volume, &self.driver.finalizer, &self.driver.name)
    }

    fn node_changed(&self, delta: &Delta<CsiNode>) {
        let (Delta::Added(node) | Delta::Updated { new: node, .. }) = delta else { return };
        if node.driver(&self.driver.name).is_some() {
            for attachment in self.stores.attachments.by(AttachmentIndex::Node, &node.meta.name) {
                self.wake(&attachment, WaitsFor::Node);
            }
        }
    }

    /// What an attachment waited for is there: its back-off is over.
    fn wake(&self, attachment: &Attachment, what: WaitsFor) {
        let name = &attachment.meta.name;
        if self.is_ours(attachment) && self.memory.waits_for(name, what) {
            self.attachments.forget(name);
            self.attachments.add(name.clone());
        }
    }
}
