//! What the provisioner reads from the caches, and how it notes its own writes there.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::DynamicObject;
use sidecar_core::cache::Store;
use sidecar_core::objects::{Attachment, Claim, ClaimIndex, Class, Interned, Uid, Volume};

use super::Shared;

/// The caches.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    pub(crate) claims: Store<Claim>,
    pub(crate) volumes: Store<Volume>,
    pub(crate) classes: Store<Class>,
    /// Only for drivers that attach volumes.
    pub(crate) attachments: Option<Store<Attachment>>,
}

impl Shared {
    pub(super) fn claim(&self, uid: &Uid) -> Option<Arc<Claim>> {
        uid.with_str(|uid| self.stores.claims.by(ClaimIndex::Uid, uid).into_iter().next())
    }

    pub(super) fn volume(&self, name: &Interned) -> Option<Arc<Volume>> {
        self.stores.volumes.get("", name)
    }

    pub(super) fn class(&self, name: &str) -> Option<Arc<Class>> {
        self.stores.classes.get("", name)
    }

    /// Notes a claim as the API server returned it.
    pub(super) fn wrote_claim(&self, claim: &DynamicObject) {
        if let Err(error) = self.stores.claims.wrote_full(claim) {
            tracing::error!(err = %error, "Cannot read back a claim that was just written");
        }
    }

    /// Notes a volume as the API server returned it, and returns it as reconciles will see it.
    pub(super) fn wrote_volume(&self, volume: &PersistentVolume) -> Option<Arc<Volume>> {
        if let Err(error) = self.stores.volumes.wrote_full(volume) {
            tracing::error!(err = %error, "Cannot read back a volume that was just written");
        }
        self.stores.volumes.get("", volume.metadata.name.as_deref().unwrap_or_default())
    }
}
