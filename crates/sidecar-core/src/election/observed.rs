//! What this process last saw of the Lease, and what follows for its health.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::record::Record;
use crate::clock::Clock;

/// How much longer than its lease a leader may go unrenewed before it counts as stuck (csi-lib-utils).
const HEALTH_TOLERANCE: Duration = Duration::from_secs(20);

/// The record last seen, and the local time at which it was seen to change.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    pub(super) record: Record,
    pub(super) since: Option<Instant>,
}

impl Observed {
    /// Whether the record still has to be honoured: by its own duration, from when *we* saw it.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| since + self.record.duration() > now)
    }
}

/// Answers `/healthz/leader-election`: unhealthy is a leader that neither renews nor stops. Clones share their state.
#[derive(Debug, Clone)]
pub struct Health {
    observed: Arc<Mutex<Observed>>,
    holder: Arc<str>,
    limit: Duration,
    clock: Clock,
}

/// The leader is stuck; kubelet should restart it. The text is upstream's, which ends in an empty lease name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed election to renew leadership on lease ")]
pub struct Unhealthy;

impl Health {
    pub(super) fn new(holder: &str, lease_duration: Duration, clock: Clock) -> Self {
        Self {
            observed: Arc::default(),
            holder: holder.into(),
            limit: lease_duration + HEALTH_TOLERANCE,
            clock,
        }
    }

    /// Whether all is well. A standby always is.
    pub fn check(&self) -> Result<(), Unhealthy> {
        let Observed { record, since } = self.observed();
        let stuck = since.is_some_and(|since| self.clock.monotonic() - since > self.limit);
        if *record.holder == *self.holder && stuck { Err(Unhealthy) } else { Ok(()) }
    }

    pub(super) fn observed(&self) -> Observed {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn observe(&self, record: Record, since: Instant) {
        *self.observed.lock().unwrap_or_else(PoisonError::into_inner) =
            Observed { record, since: Some(since) };
    }
}
