//! How long failed items wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::TokenBucket;
use crate::random::Random;

/// So many waits are exact whatever the jitter: what fails once or twice is tried again as soon as ever.
const EXACT: u32 = 3;

/// The rate limit of a queue: per item exponential, optionally with one token bucket for all items, whichever is longer.
#[derive(Clone, Debug)]
pub struct Backoff {
    start: Duration,
    max: Duration,
    bucket: Option<TokenBucket>,
    jitter: Option<Jitter>,
}

/// What makes later waits shorter.
#[derive(Clone, Debug)]
struct Jitter {
    part: f64,
    random: Random,
}

impl Backoff {
    /// `start * 2^failures`, at most `max`, without jitter.
    pub fn exponential(start: Duration, max: Duration) -> Self {
        Self { start, max, bucket: None, jitter: None }
    }

    /// The same, but from the fourth on each wait is shorter by a part of it that is chosen at random, at most `part`. It is never
    /// longer, so that the limits stay what they are.
    #[must_use]
    pub fn with_jitter(self, part: f64, random: &Random) -> Self {
        let part = part.clamp(0.0, 1.0);
        Self { jitter: (part > 0.0).then(|| Jitter { part, random: random.clone() }), ..self }
    }

    /// client-go's default controller limit: 5 ms doubling up to 1000 s, and ten items a second in all with a burst of 100.
    pub fn controller_default() -> Self {
        Self {
            start: Duration::from_millis(5),
            max: Duration::from_secs(1000),
            bucket: Some(TokenBucket::new(10.0, 100)),
            jitter: None,
        }
    }

    /// The delay of an item that has failed `failures` times before, before it is spread.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures).filter(|_| failures < 32);
        factor.and_then(|factor| self.start.checked_mul(factor)).map_or(self.max, |delay| delay.min(self.max))
    }

    /// [`Backoff::delay`], spread.
    pub(super) fn spread_delay(&self, failures: u32) -> Duration {
        let delay = self.delay(failures);
        match &self.jitter {
            Some(jitter) if failures >= EXACT => delay.mul_f64(1.0 - jitter.part * jitter.random.f64()),
            _ => delay,
        }
    }

    pub(super) fn bucket_delay(&mut self, now: Instant) -> Duration {
        self.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.reserve(now))
    }
}

/// Failures per item; only looked up, never iterated.
#[derive(Debug)]
pub(super) struct Failures<K> {
    counts: HashMap<K, u32>,
}

impl<K: Clone + Eq + Hash> Failures<K> {
    pub(super) fn new() -> Self {
        Self { counts: HashMap::new() }
    }

    /// Counts one more failure and returns how many there were before.
    pub(super) fn count(&mut self, key: &K) -> u32 {
        let count = self.counts.entry(key.clone()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    pub(super) fn of(&self, key: &K) -> u32 {
        self.counts.get(key).copied().unwrap_or_default()
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.counts.remove(key);
        if self.counts.capacity() > 1024 && self.counts.len() * 4 < self.counts.capacity() {
            self.counts.shrink_to(self.counts.len() * 2);
        }
    }
}
