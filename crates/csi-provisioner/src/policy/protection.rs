//! When a source that is protected by our finalizer may go (sheet 5.8, 5.9).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use sidecar_core::objects::{Claim, ClaimPhase, DataSource, Snapshot, Volume};
use snapshot_api::v1::VolumeSnapshotContent;

use super::data_source::{Place, SNAPSHOT_GROUP, restore};
use super::migration;

/// The snapshot that `claim` is to be restored from.
///
/// Told from the claim as it is, without regard to gates and grants: better a snapshot that stays too long. So a
/// `VolumeSnapshot` without group counts, although no volume will come of it.
pub(crate) fn snapshot_source(claim: &Claim) -> Option<Place> {
    let is_snapshot = |source: &&DataSource| {
        &*source.kind == "VolumeSnapshot"
            && source.api_group.as_deref().is_none_or(|group| group == SNAPSHOT_GROUP)
    };
    let own = claim.data_source.as_deref().filter(is_snapshot);
    let found = own.or_else(|| claim.data_source_ref.as_deref().filter(is_snapshot))?;
    let elsewhere = found.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = elsewhere.unwrap_or_else(|| claim.meta.namespace());
    Some(Place { namespace: namespace.to_owned(), name: found.name.to_string() })
}

/// Whether a claim waits for its volume.
pub(crate) fn is_waiting(claim: &Claim) -> bool {
    claim.phase == ClaimPhase::Pending
}

/// The snapshots that are protected by us although none of `claims` waits for them and `is_used` knows of no other use.
pub(crate) fn orphans<'a>(
    snapshots: impl IntoIterator<Item = &'a Snapshot>,
    claims: impl IntoIterator<Item = &'a Claim>,
    is_used: impl Fn(&Place) -> bool,
) -> Vec<Place> {
    let wanted: BTreeSet<Place> =
        claims.into_iter().filter(|claim| is_waiting(claim)).filter_map(snapshot_source).collect();
    snapshots
        .into_iter()
        .filter(|snapshot| snapshot.meta.finalizers.has(restore::FINALIZER))
        .map(|snapshot| Place {
            namespace: snapshot.meta.namespace().to_owned(),
            name: snapshot.meta.name.to_string(),
        })
        .filter(|place| !wanted.contains(place) && !is_used(place))
        .collect()
}

/// Whether the protection of a snapshot is ours to end. Upstream's provisioners end everybody's, be a restore of another
/// driver in progress or not. `content` is what the snapshot is bound to, if that is still there: where nothing is left
/// that could be restored, nobody else may be left to end it.
pub(crate) fn is_ours(content: Option<&VolumeSnapshotContent>, driver: &str) -> bool {
    content.is_none_or(|content| content.spec.driver == driver)
}

/// Whose provisioner may be cloning a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloner {
    /// Ours, so that all there is to know is in the cache.
    Us,
    /// That of another driver: what waits to be cloned there is not in the cache, and it is for that one to say.
    Another,
    /// Nobody can tell any more.
    Unknown,
}

/// Whose provisioner may be cloning a claim: the one of the driver that has its volume, whatever the claim says.
/// `volume` is what the cache keeps of that, `exists` whether it knows one of that name at all.
pub(crate) fn cloner(driver: &str, volume: Option<&Volume>, exists: bool) -> Cloner {
    match volume.map(|volume| migration::csi_handle(driver, volume)) {
        Some(Ok(None)) => Cloner::Another,
        // An in-tree volume that cannot be translated is of our plugin all the same.
        Some(_) => Cloner::Us,
        None if exists => Cloner::Another,
        None => Cloner::Unknown,
    }
}

/// Whether a live claim waits to be cloned from the one of this name in its namespace.
pub(crate) fn is_cloned_from(claim: &PersistentVolumeClaim, source: &str) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let named = claim.spec.as_ref().and_then(|spec| spec.data_source.as_ref());
    matches!(phase, "" | "Pending")
        && named.is_some_and(|named| named.kind == "PersistentVolumeClaim" && named.name == source)
}

/// Why a source stays.
pub(crate) fn cloning_in_progress(clone: &str) -> String {
    format!("PVC '{clone}' is in 'Pending' state, cloning in progress")
}

#[cfg(test)]
mod tests;
