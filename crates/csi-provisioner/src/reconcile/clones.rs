//! Claims that were cloned may go when nothing is being made from them any more (sheet 5.8).
//!
//! Upstream's provisioners look at all claims of the namespace, so that any of them may let a source go. Caches here hold
//! the claims of one driver only. So the provisioner of the driver that has the source's volume does it, and nobody else:
//! what another driver is cloning is not known here.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::ListParams;
use sidecar_core::objects::{Claim, Interned};
use sidecar_core::reconciler::Outcome;
use tracing::info;

use super::Shared;
use super::api::{self, text};
use crate::policy::data_source::{Place, Source, clone};
use crate::policy::protection::{Cloner, cloner, cloning_in_progress, is_cloned_from};

impl Shared {
    /// Queues a claim that is going, if we may be what keeps it; and what a claim that is no longer in need of its source
    /// was cloned from.
    pub(super) fn offer_clones(&self, claim: &Claim) {
        if self.clone_workers == 0 {
            return;
        }
        if claim.awaits_clones() {
            self.clone_sources.add(key(claim.meta.namespace(), &claim.meta.name));
        }
    }

    /// Queues the source of a clone, if it waits for that.
    pub(super) fn offer_clone_source(&self, place: &Place) {
        if let Some(source) = self.stores.claims.get(&place.namespace, &place.name) {
            self.offer_clones(&source);
        }
    }

    /// The same for the source that a claim names.
    pub(super) fn offer_source_of(&self, claim: &Claim) {
        let source = claim.data_source.as_deref().or(claim.data_source_ref.as_deref());
        if let Some(source) = source.filter(|source| &*source.kind == "PersistentVolumeClaim") {
            let namespace = source.namespace.as_deref().unwrap_or_else(|| claim.meta.namespace());
            self.offer_clone_source(&Place {
                namespace: namespace.to_owned(),
                name: source.name.to_string(),
            });
        }
    }

    /// Looks at a source that is to go.
    pub(super) async fn sync_clone_source(&self, key: &Interned) -> Outcome {
        let Some((namespace, name)) = key.split_once('/') else { return Outcome::Done };
        let place = Place { namespace: namespace.to_owned(), name: name.to_owned() };
        let source = Source::Claim(place.clone());
        let _held = self.sources.lock_source(&source).await;
        let Some(claim) = self.stores.claims.get(namespace, name).filter(|claim| claim.awaits_clones())
        else {
            return Outcome::Done;
        };
        let cloner = self.cloner_of(&claim);
        if cloner == Cloner::Another {
            info!(v = 4, claim = %key, "Left to the provisioner of the driver that has its volume");
            return Outcome::Done;
        }
        if let Some(clone) = self.clone_of(&place) {
            return Outcome::RetryBackoff(cloning_in_progress(&clone.meta.name));
        }
        if self.sources.is_used(&source, None) {
            return Outcome::RetryBackoff(format!("PVC '{name}' is being cloned for a claim that is gone"));
        }
        if cloner == Cloner::Unknown {
            match self.clone_of_any_driver(&place).await {
                Ok(None) => {}
                Ok(Some(clone)) => return Outcome::RetryBackoff(cloning_in_progress(&clone)),
                Err(error) => return Outcome::RetryBackoff(text(&error)),
            }
        }
        let written = api::update_claim(&self.client, &claim, |live| {
            let finalizers = live.metadata.finalizers.get_or_insert_default();
            let before = finalizers.len();
            finalizers.retain(|finalizer| finalizer != clone::FINALIZER);
            finalizers.len() < before
        })
        .await;
        match written {
            Ok(live) => {
                if let Some(live) = live {
                    self.wrote_claim(&live);
                }
                Outcome::Done
            }
            Err(error) => Outcome::RetryBackoff(text(&error)),
        }
    }

    fn cloner_of(&self, source: &Claim) -> Cloner {
        let Some(name) = &source.volume_name else { return Cloner::Unknown };
        let exists = self.stores.volumes.exists("", name);
        cloner(self.driver.names.name(), self.volume(name).as_deref(), exists)
    }

    /// The name of a claim that waits to be cloned from the one at `place`, whatever its driver: as upstream looks for it.
    async fn clone_of_any_driver(&self, place: &Place) -> Result<Option<String>, kube::Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &place.namespace);
        let found = claims.list(&ListParams::default()).await?.items;
        Ok(found.into_iter().find(|claim| is_cloned_from(claim, &place.name)).and_then(|c| c.metadata.name))
    }
}

fn key(namespace: &str, name: &str) -> Interned {
    Interned::new(&format!("{namespace}/{name}"))
}
