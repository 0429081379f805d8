//! When a claim may lose the finalizer that protects it while snapshots are taken of it (sheet 5.9, 13.9, 13.18).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sidecar_core::objects::{Claim, Snapshot, SnapshotIndex};
use snapshot_api::names::finalizers::CLAIM_SOURCE;

use super::{Stores, lookup};

/// How long a snapshot that failed before it had a content goes on protecting its claim. With upstream it is for ever, and a claim
/// with a snapshot that can never be taken can never be deleted (upstream issue 1305).
pub const GRACE: Duration = Duration::from_secs(10 * 60);

/// Whether the claim has our finalizer and no snapshot needs it any more. `besides` is not counted: it is going.
pub fn is_releasable(claim: &Claim, besides: Option<&str>, stores: &Stores, now: Timestamp) -> bool {
    claim.meta.finalizers.has(CLAIM_SOURCE) && !is_in_use(claim, besides, stores, now)
}

fn is_in_use(claim: &Claim, besides: Option<&str>, stores: &Stores, now: Timestamp) -> bool {
    let snapshots = stores.snapshots.by(SnapshotIndex::Claim, &claim.meta.key().to_string());
    snapshots.iter().any(|snapshot| Some(&*snapshot.meta.name) != besides && needs(snapshot, stores, now))
}

/// Whether a snapshot is being taken, or still to be.
fn needs(snapshot: &Snapshot, stores: &Stores, now: Timestamp) -> bool {
    if snapshot.content.is_some() || snapshot.is_ready() {
        return false;
    }
    let made = lookup::made_name(snapshot);
    stores.contents.get("", &made).is_some() || !is_given_up(snapshot, now)
}

/// Whether it failed a while ago, and nothing has come of it since.
fn is_given_up(snapshot: &Snapshot, now: Timestamp) -> bool {
    let error = snapshot.status.as_ref().and_then(|status| status.error.as_ref());
    let since = error.and_then(|error| error.time.parse::<Timestamp>().ok());
    let grace = SignedDuration::try_from(GRACE).unwrap_or(SignedDuration::MAX);
    since.is_some_and(|since| now.duration_since(since) >= grace)
}
