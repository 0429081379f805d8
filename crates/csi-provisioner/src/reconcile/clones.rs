//! Claims that were cloned may go when nothing is being made from them any more (sheet 5.8).

use sidecar_core::objects::{Claim, Interned};
use sidecar_core::reconciler::Outcome;

use super::Shared;
use super::api::{self, text};
use crate::policy::data_source::{Place, Source, clone};
use crate::policy::protection::{awaits_clones, cloning_in_progress};

impl Shared {
    /// Queues a claim that is going, if we may be what keeps it; and what a claim that is no longer in need of its source
    /// was cloned from.
    pub(super) fn offer_clones(&self, claim: &Claim) {
        if self.clone_workers == 0 {
            return;
        }
        if awaits_clones(claim) {
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
        let Some(claim) = self.stores.claims.get(namespace, name).filter(|claim| awaits_clones(claim)) else {
            return Outcome::Done;
        };
        if let Some(clone) = self.clone_of(&place) {
            return Outcome::RetryBackoff(cloning_in_progress(&clone.meta.name));
        }
        if self.sources.is_used(&source, None) {
            return Outcome::RetryBackoff(format!("PVC '{name}' is being cloned for a claim that is gone"));
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
}

fn key(namespace: &str, name: &str) -> Interned {
    Interned::new(&format!("{namespace}/{name}"))
}
