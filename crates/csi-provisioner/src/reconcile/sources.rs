//! Which claims are being filled from which snapshots and claims, and what keeps those sources meanwhile (sheet 5.8, 5.9).
//!
//! A source is in use from before it is looked at until the volume is saved, or surely will not come. Two things tell: the
//! cache, of claims that wait for their volume, and [`Sources`], of claims that are gone while the driver may still be at
//! work for them. Looking at a source and protecting it, and asking whether anybody uses it and ending its protection, are
//! each done under the lock of that source: else one claim could find a protection that another is about to end. The lock is
//! held for some calls to the API server, never for one to the driver.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidecar_core::objects::{Claim, ClaimIndex, Interned, Uid};
use sidecar_core::reconciler::Outcome;
use tokio::sync::OwnedMutexGuard;

use super::Shared;
use crate::policy::data_source::{Place, Source};
use crate::policy::protection::is_waiting;

/// The sources in use. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<Uid, Source>,
    locks: BTreeMap<Source, Arc<tokio::sync::Mutex<()>>>,
}

impl Sources {
    /// What the claim of this UID is being filled from.
    pub(super) fn of(&self, claim: &Uid) -> Option<Source> {
        self.lock().users.get(claim).cloned()
    }

    /// Notes that a claim is being filled from a source.
    pub(super) fn begin(&self, claim: &Uid, source: &Source) {
        self.lock().users.insert(claim.clone(), source.clone());
    }

    /// Notes that a claim is not being filled any more.
    pub(super) fn end(&self, claim: &Uid) {
        self.lock().users.remove(claim);
    }

    /// Whether a claim other than `except` is being filled from a source.
    pub(super) fn is_used(&self, source: &Source, except: Option<&Uid>) -> bool {
        self.lock().users.iter().any(|(claim, used)| used == source && Some(claim) != except)
    }

    /// Has a source for itself.
    pub(super) async fn lock_source(&self, source: &Source) -> OwnedMutexGuard<()> {
        let lock = {
            let mut state = self.lock();
            state.locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            state.locks.entry(source.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Whether a claim other than `except` needs the snapshot.
    pub(super) fn is_restored_from(&self, place: &Place, except: Option<&Uid>) -> bool {
        let waiting = self.stores.claims.by(ClaimIndex::SourceSnapshot, &place.to_string());
        self.sources.is_used(&Source::Snapshot(place.clone()), except)
            || waiting.iter().any(|claim| Some(&claim.meta.uid) != except && self.needs_source(claim))
    }

    /// A claim that waits to be cloned from the one at `place`.
    pub(super) fn clone_of(&self, place: &Place) -> Option<Arc<Claim>> {
        let waiting = self.stores.claims.by(ClaimIndex::SourceClaim, &place.to_string());
        let elsewhere = || {
            // Not in the index, and rare enough to be looked for.
            let is_possible = self.settings.cross_namespace;
            let claims = if is_possible { self.stores.claims.list() } else { Vec::new() };
            claims.into_iter().find(|claim| {
                claim.data_source_ref.as_deref().is_some_and(|source| {
                    &*source.kind == "PersistentVolumeClaim"
                        && source.namespace.as_deref() == Some(place.namespace.as_str())
                        && *source.name == *place.name
                }) && self.needs_source(claim)
            })
        };
        waiting.into_iter().find(|claim| self.needs_source(claim)).or_else(elsewhere)
    }

    /// Whether a claim still waits for its content: its volume is neither bound nor saved.
    fn needs_source(&self, claim: &Claim) -> bool {
        let name = self.settings.naming.volume_name(&claim.meta.uid.to_string()).ok();
        is_waiting(claim) && name.is_none_or(|name| self.volume(&Interned::new(&name)).is_none())
    }

    /// The claim of this UID needs its source no longer: the source may go, unless somebody else needs it.
    pub(super) async fn release_source(&self, uid: &Uid) -> Outcome {
        let released = match self.sources.of(uid) {
            Some(Source::Snapshot(place)) => self.release_snapshot(&place, uid).await,
            Some(Source::Claim(place)) => {
                self.sources.end(uid);
                self.offer_clone_source(&place);
                Ok(())
            }
            Some(Source::Empty | Source::Populator { .. }) | None => Ok(()),
        };
        released.map_or_else(Outcome::RetryBackoff, |()| Outcome::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Source {
        Source::Snapshot(Place { namespace: "default".into(), name: name.into() })
    }

    #[tokio::test]
    async fn a_source_is_used_by_others_or_not() {
        let (sources, one, two) = (Sources::default(), Uid::new("one"), Uid::new("two"));
        sources.begin(&one, &source("a"));
        assert_eq!(sources.of(&one), Some(source("a")));
        assert!(sources.is_used(&source("a"), None) && !sources.is_used(&source("b"), None));
        assert!(!sources.is_used(&source("a"), Some(&one)), "nobody but the one who asks");
        sources.begin(&two, &source("a"));
        assert!(sources.is_used(&source("a"), Some(&one)));
        sources.end(&one);
        sources.end(&two);
        assert!(!sources.is_used(&source("a"), None));
    }

    #[tokio::test]
    async fn one_at_a_time_has_a_source_for_itself() {
        let sources = Sources::default();
        let held = sources.lock_source(&source("a")).await;
        let _other = sources.lock_source(&source("b")).await;
        let again = source("a");
        let mut waits = Box::pin(sources.lock_source(&again));
        assert!(futures_now(&mut waits).await.is_none());
        drop(held);
        assert!(futures_now(&mut waits).await.is_some());
    }

    /// What a future has to say now.
    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
