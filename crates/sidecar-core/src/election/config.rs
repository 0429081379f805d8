//! Settings of an election, checked before anything starts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::names;
use crate::duration;

/// Upper bound of the random part of a candidate's pause, as a factor of the retry period (client-go's `JitterFactor`).
pub(super) const JITTER_FACTOR: f64 = 1.2;

/// The three periods of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long others honour a record after they saw it change. Written in whole seconds.
    pub lease_duration: Duration,
    /// How long a leader tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Pause between tries; a candidate adds a random part.
    pub retry_period: Duration,
}

/// The defaults of all sidecars (sheet `common-library`, 2.1).
pub const DEFAULT_TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(5),
};

/// What an [`super::Elector`] is to compete for, and how.
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    /// Lock name before sanitising, as in [`names`]; also part of the events' source.
    pub lock_name: String,
    /// Namespace of the Lease.
    pub namespace: String,
    /// Who competes, before sanitising: the host's name, unless told otherwise.
    pub identity: String,
    /// Labels that the Lease is to have, besides those it has.
    pub labels: BTreeMap<String, String>,
    /// Periods.
    pub timing: Timing,
    /// Whether to give the Lease up at the end (gate `ReleaseLeaderElectionOnExit`).
    pub release_on_exit: bool,
}

impl ElectionConfig {
    /// An election with default periods, no labels and no release.
    pub fn new(lock_name: &str, namespace: &str, identity: &str) -> Self {
        Self {
            lock_name: lock_name.to_owned(),
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            labels: BTreeMap::new(),
            timing: DEFAULT_TIMING,
            release_on_exit: false,
        }
    }

    /// Name of the Lease.
    pub fn lease_name(&self) -> String {
        names::lease_name(&self.lock_name)
    }

    /// The `holderIdentity` written into the Lease.
    pub fn holder(&self) -> String {
        names::sanitize(&self.identity)
    }

    /// Source of the events on the Lease (sheet `common-library`, section 8).
    pub fn event_component(&self) -> String {
        format!("{}/{}", self.lock_name, self.identity)
    }

    /// Checks what upstream checks, and what it would only find out from the API server.
    pub fn validate(&self) -> Result<(), InvalidElection> {
        if self.identity.is_empty() {
            return Err(InvalidElection::NoIdentity);
        }
        self.timing.validate()
    }
}

impl Timing {
    /// Checks client-go's rules. Each must hold even where the numbers come from flags.
    pub fn validate(&self) -> Result<(), InvalidElection> {
        let Self { lease_duration, renew_deadline, retry_period } = *self;
        let named = [("lease", lease_duration), ("renew", renew_deadline), ("retry", retry_period)];
        if let Some((which, _)) = named.into_iter().find(|(_, period)| period.is_zero()) {
            return Err(InvalidElection::Zero(which));
        }
        if lease_duration <= renew_deadline {
            return Err(InvalidElection::LeaseTooShort {
                lease: duration::format_std(lease_duration),
                renew: duration::format_std(renew_deadline),
            });
        }
        if renew_deadline <= retry_period.mul_f64(JITTER_FACTOR) {
            return Err(InvalidElection::DeadlineTooShort {
                renew: duration::format_std(renew_deadline),
                retry: duration::format_std(retry_period),
            });
        }
        if lease_duration.as_secs() == 0 {
            return Err(InvalidElection::LessThanASecond { lease: duration::format_std(lease_duration) });
        }
        Ok(())
    }

    /// The `leaseDurationSeconds` of the record.
    pub(super) fn seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }

    /// How long after a renewal was *sent* its sender may at most lead without another one.
    ///
    /// Half-way between renew deadline and lease duration, and never longer than the whole seconds that others read:
    /// what remains covers clocks that run at different speeds.
    pub(super) fn trust(&self) -> Duration {
        let midway = self.renew_deadline + self.lease_duration.saturating_sub(self.renew_deadline) / 2;
        midway.min(Duration::from_secs(self.lease_duration.as_secs()))
    }

    /// Pause between renewals: the retry period, or less where that would be too late.
    pub(super) fn renewal_pause(&self) -> Duration {
        self.retry_period.min(self.trust() * 2 / 3)
    }
}

/// Why an election cannot be held as configured. Upstream panics with the first half of these texts (exit code 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidElection {
    /// Others would take the Lease while its holder still tries to renew it.
    #[error(
        "leaseDuration must be greater than renewDeadline: --leader-election-lease-duration={lease}, \
         --leader-election-renew-deadline={renew}"
    )]
    LeaseTooShort {
        /// Lease duration as in Go.
        lease: String,
        /// Renew deadline as in Go.
        renew: String,
    },
    /// A leader would give up after its first failure.
    #[error(
        "renewDeadline must be greater than retryPeriod*JitterFactor: --leader-election-renew-deadline={renew} must \
         exceed 1.2 times --leader-election-retry-period={retry}"
    )]
    DeadlineTooShort {
        /// Renew deadline as in Go.
        renew: String,
        /// Retry period as in Go.
        retry: String,
    },
    /// A period is zero (or negative, on a command line).
    #[error("{} must be greater than zero: set {} to a positive duration", go_name(.0), flag_name(.0))]
    Zero(&'static str),
    /// The record has whole seconds, and the API server refuses zero.
    #[error("leaseDuration must be at least one second: --leader-election-lease-duration={lease}")]
    LessThanASecond {
        /// Lease duration as in Go.
        lease: String,
    },
    /// Nobody would know who leads.
    #[error(
        "the identity for leader election is empty: the host has no name; set --leader-election-identity"
    )]
    NoIdentity,
}

fn go_name(which: &str) -> &'static str {
    match which {
        "lease" => "leaseDuration",
        "renew" => "renewDeadline",
        _ => "retryPeriod",
    }
}

fn flag_name(which: &str) -> &'static str {
    match which {
        "lease" => "--leader-election-lease-duration",
        "renew" => "--leader-election-renew-deadline",
        _ => "--leader-election-retry-period",
    }
}
