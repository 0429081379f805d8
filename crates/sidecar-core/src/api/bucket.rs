//! Client-side throttling with the arithmetic of client-go's flow control.
//!
//! Tokens flow in at `qps` and at most `burst` of them are kept. A call takes its token at once, going into debt if there
//! is none, and then waits until the debt is paid; so calls pass in the order in which they came.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Uri};
use tokio::time::Instant;

/// Tokens of one client.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    /// When `tokens` was right; `None` before the first use, when the bucket is full.
    updated: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket. `rate` is in tokens per second and must be positive.
    pub fn new(rate: f64, burst: u32) -> Self {
        Self { rate, burst: f64::from(burst), tokens: f64::from(burst), updated: None }
    }

    /// Takes a token and says how long to wait before using it.
    pub fn reserve(&mut self, now: Instant) -> Duration {
        let elapsed = self.updated.map_or(0.0, |then| now.saturating_duration_since(then).as_secs_f64());
        self.updated = Some(now);
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst) - 1.0;
        if self.tokens >= 0.0 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(-self.tokens / self.rate).unwrap_or(Duration::MAX)
    }
}

/// `--kube-api-qps` and `--kube-api-burst`, or another client's pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// Calls per second; 0 means client-go's default of 5, negative means no limit.
    pub qps: f64,
    /// Calls at once; ignored with the default or without a limit.
    pub burst: i64,
}

/// client-go's defaults where `qps` is 0.
const DEFAULT_QPS: f64 = 5.0;
const DEFAULT_BURST: u32 = 10;

/// The pair is unusable; the text is client-go's (sheet `common-library`, 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "burst is required to be greater than 0 when RateLimiter is not set and QPS is set to greater than 0"
)]
pub struct BudgetError;

impl Budget {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { qps: -1.0, burst: 0 };

    /// The bucket of this budget, `None` without a limit.
    pub fn bucket(self) -> Result<Option<TokenBucket>, BudgetError> {
        // client-go keeps the rate in 32 bits.
        #[expect(clippy::cast_possible_truncation, reason = "that is the point")]
        let qps = self.qps as f32;
        if qps > 0.0 {
            let burst = u32::try_from(self.burst).ok().filter(|burst| *burst > 0).ok_or(BudgetError)?;
            Ok(Some(TokenBucket::new(f64::from(qps), burst)))
        } else if qps < 0.0 {
            Ok(None)
        } else {
            Ok(Some(TokenBucket::new(DEFAULT_QPS, DEFAULT_BURST)))
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { qps: DEFAULT_QPS, burst: i64::from(DEFAULT_BURST) }
    }
}

/// A bucket that calls wait at. Clones share it.
#[derive(Clone, Debug)]
pub struct Throttle {
    bucket: Option<Arc<Mutex<Shared>>>,
}

#[derive(Debug)]
struct Shared {
    bucket: TokenBucket,
    last_notice: Option<Instant>,
}

/// Waits longer than this are logged at V(3).
const LONG: Duration = Duration::from_millis(50);
/// Waits longer than this are logged always, but not more often than [`NOTICE_PERIOD`].
const EXTRA_LONG: Duration = Duration::from_secs(1);
const NOTICE_PERIOD: Duration = Duration::from_secs(10);

impl Throttle {
    /// Waits at the bucket of `budget`.
    pub fn new(budget: Budget) -> Result<Self, BudgetError> {
        let bucket = budget.bucket()?;
        Ok(Self { bucket: bucket.map(|bucket| Arc::new(Mutex::new(Shared { bucket, last_notice: None }))) })
    }

    /// Waits for the turn of the call to `url`.
    pub async fn wait(&self, verb: &Method, url: &Uri) {
        let Some(shared) = &self.bucket else { return };
        let now = Instant::now();
        let (delay, notice) = {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = shared.bucket.reserve(now);
            (delay, shared.is_notice_due(delay, now))
        };
        if delay.is_zero() {
            return;
        }
        tokio::time::sleep(delay).await;
        log_wait(delay, notice, verb, url);
    }
}

impl Shared {
    fn is_notice_due(&mut self, delay: Duration, now: Instant) -> bool {
        let due = delay > EXTRA_LONG && self.last_notice.is_none_or(|last| now - last >= NOTICE_PERIOD);
        if due {
            self.last_notice = Some(now);
        }
        due
    }
}

fn log_wait(delay: Duration, notice: bool, verb: &Method, url: &Uri) {
    const TEXT: &str = "Waited before sending request";
    const REASON: &str = "client-side throttling, not priority and fairness";
    let delay_text = crate::duration::format_std(delay);
    if notice {
        tracing::info!(delay = delay_text, reason = REASON, verb = %verb, URL = %url, "{TEXT}");
    } else if delay > LONG {
        tracing::info!(v = 3, delay = delay_text, reason = REASON, verb = %verb, URL = %url, "{TEXT}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    fn waits(bucket: &mut TokenBucket, count: usize) -> Vec<u128> {
        (0..count).map(|_| bucket.reserve(Instant::now()).as_millis()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_each_call_waits_its_share() {
        let mut bucket = TokenBucket::new(5.0, 10);
        assert_eq!(waits(&mut bucket, 13), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 400, 600]);
        tokio::time::advance(MILLI * 600).await;
        assert_eq!(waits(&mut bucket, 1), [200], "the debt is paid, nothing is left");
        tokio::time::advance(MILLI * 100_000).await;
        assert_eq!(waits(&mut bucket, 11)[9..], [0, 200], "no more than the burst is kept");
    }

    #[test]
    fn qps_0_means_the_defaults_negative_means_none() {
        let bucket = |qps, burst| Budget { qps, burst }.bucket();
        let default = bucket(0.0, 0).unwrap().unwrap();
        assert_eq!((default.rate, default.burst), (5.0, 10.0));
        assert!(bucket(-1.0, 0).unwrap().is_none());
        let own = bucket(20.0, 3).unwrap().unwrap();
        assert_eq!((own.rate, own.burst), (20.0, 3.0));
    }

    #[test]
    fn burst_must_be_positive_with_a_positive_qps() {
        for burst in [0, -3] {
            let error = Budget { qps: 5.0, burst }.bucket().unwrap_err();
            assert_eq!(
                error.to_string(),
                "burst is required to be greater than 0 when RateLimiter is not set and QPS is set to greater than 0"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_pass_in_their_order() {
        let throttle = Throttle::new(Budget { qps: 1.0, burst: 1 }).unwrap();
        let start = Instant::now();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let throttle = throttle.clone();
                tokio::spawn(async move {
                    throttle.wait(&Method::GET, &Uri::from_static("/")).await;
                    start.elapsed().as_secs()
                })
            })
            .collect();
        let mut passed = Vec::new();
        for task in tasks {
            passed.push(task.await.unwrap());
        }
        assert_eq!(passed, [0, 1, 2, 3]);
    }
}
