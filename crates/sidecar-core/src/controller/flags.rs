//! The part of the command line that all controller sidecars have.

use std::path::PathBuf;
use std::time::Duration;

use crate::api::{ApiConfig, Budget};
use crate::election::ElectionFlags;
use crate::exit::Exit;
use crate::flags::Parsed;
use crate::gates::Gates;
use crate::queue::Backoff;
use crate::random::Random;

/// What the command lines of all controller sidecars say. Flags that a binary does not have are at their neutral value.
#[derive(Clone, Debug)]
pub struct CommonFlags {
    /// All of it.
    pub parsed: Parsed,
    /// Feature gates.
    pub gates: Gates,
    /// Where the driver listens.
    pub csi_address: String,
    /// What the driver must be called; empty: anything.
    pub driver_name: String,
    /// Deadline of one call to the driver.
    pub timeout: Duration,
    /// Where a logged answer of the driver is cut, in bytes.
    pub max_log_length: Option<usize>,
    /// The API server.
    pub api: ApiConfig,
    /// Calls per second to it.
    pub budget: Budget,
    /// Shortest back-off.
    pub retry_start: Duration,
    /// Longest back-off.
    pub retry_max: Duration,
    /// By which part at most later back-offs are shorter, at random.
    pub retry_jitter: f64,
    /// Leader election, if there is one.
    pub election: Option<ElectionFlags>,
}

impl CommonFlags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        Ok(Self {
            csi_address: parsed.string("csi-address").to_owned(),
            driver_name: parsed.string("driver-name").to_owned(),
            timeout: timeout(parsed)?,
            max_log_length: usize::try_from(parsed.int("max-grpc-log-length")).ok().filter(|max| *max > 0),
            api: ApiConfig {
                kubeconfig: non_empty(parsed.string("kubeconfig")).map(PathBuf::from),
                master: non_empty(parsed.string("master")),
            },
            budget: Budget { qps: parsed.float("kube-api-qps"), burst: parsed.int("kube-api-burst") },
            retry_start: parsed.duration("retry-interval-start"),
            retry_max: parsed.duration("retry-interval-max"),
            retry_jitter: jitter(parsed)?,
            election: ElectionFlags::read(parsed)?,
            parsed: parsed.clone(),
            gates,
        })
    }

    /// How failed items of a queue are delayed.
    pub fn backoff(&self) -> Backoff {
        Backoff::exponential(self.retry_start, self.retry_max)
    }

    /// The same with the jitter that was asked for.
    pub fn spread_backoff(&self, random: &Random) -> Backoff {
        self.backoff().with_jitter(self.retry_jitter, random)
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn jitter(parsed: &Parsed) -> Result<f64, Exit> {
    let jitter = parsed.float("retry-interval-jitter");
    if (0.0..=1.0).contains(&jitter) {
        return Ok(jitter);
    }
    Err(Exit::failure(1, "--retry-interval-jitter must be from 0 to 1: it is a part of the wait"))
}

/// With none, upstream probes its driver for ever and never hears an answer. Who has no driver has no such flag.
fn timeout(parsed: &Parsed) -> Result<Duration, Exit> {
    match parsed.duration("timeout") {
        Duration::ZERO if parsed.value("timeout").is_some() => {
            Err(Exit::failure(1, "--timeout must be positive: no driver answers in no time"))
        }
        timeout => Ok(timeout),
    }
}
