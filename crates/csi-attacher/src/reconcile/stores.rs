//! What the attacher reads from the caches.

use std::sync::Arc;

use sidecar_core::cache::{Caches, Store};
use sidecar_core::objects::{Attachment, AttachmentIndex, CsiNode, Interest, Interned, Sections, Volume};

use super::Shared;
use crate::driver::Driver;

/// The caches.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) attachments: Store<Attachment>,
    pub(crate) volumes: Store<Volume>,
    /// Only for drivers that attach.
    pub(crate) nodes: Option<Store<CsiNode>>,
    /// What is kept of attachments; answers to writes are read in the same way.
    pub(crate) attachment_interest: Interest,
    /// What is kept of volumes.
    pub(crate) volume_interest: Interest,
}

impl Stores {
    /// Asks for what a driver's attacher needs: its own attachments in full and of those of others what volumes they use; its
    /// own entries in CSINodes. Volumes are kept whoever's they are, because an attachment names its volume without
    /// saying whose that is, and so does the finalizer on it.
    pub(crate) fn want(caches: &Caches, driver: &Driver) -> Self {
        let ours = Interest::of_drivers([&driver.name]);
        let attachment_interest = ours.clone().with(Sections::ATTACHMENT_STATUS);
        let volume_interest = Interest::all().with(Sections::VOLUME_SOURCE);
        Self {
            attachments: caches.want(attachment_interest.clone()),
            volumes: caches.want(volume_interest.clone()),
            nodes: driver.capabilities.publish_unpublish.then(|| caches.want(ours)),
            attachment_interest,
            volume_interest,
        }
    }
}

impl Shared {
    pub(super) fn attachment(&self, name: &str) -> Option<Arc<Attachment>> {
        self.stores.attachments.get("", name)
    }

    /// The attachment as it is now, if it is still the same one.
    pub(super) fn same(&self, attachment: &Attachment) -> Option<Arc<Attachment>> {
        self.attachment(&attachment.meta.name).filter(|now| now.meta.uid == attachment.meta.uid)
    }

    pub(super) fn volume(&self, name: &str) -> Option<Arc<Volume>> {
        self.stores.volumes.get("", name)
    }

    pub(super) fn node(&self, name: &str) -> Option<Arc<CsiNode>> {
        self.stores.nodes.as_ref()?.get("", name)
    }

    pub(super) fn is_ours(&self, attachment: &Attachment) -> bool {
        *attachment.attacher == *self.driver.name
    }

    /// The attachments that name a volume, whoever's they are.
    pub(super) fn attachments_of(&self, volume: &Interned) -> Vec<Arc<Attachment>> {
        self.stores.attachments.by(AttachmentIndex::Volume, volume)
    }
}
