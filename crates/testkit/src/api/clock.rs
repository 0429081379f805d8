//! Where the server takes its time stamps from: tokio's clock plus a starting point, so that paused time works.

use std::sync::Arc;

use jiff::Timestamp;

/// Gives the wall-clock time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that shows `epoch` now and moves with tokio's time from here on.
    pub fn starting_at(epoch: Timestamp) -> Self {
        let start = tokio::time::Instant::now();
        Self(Arc::new(move || epoch + start.elapsed()))
    }

    /// A clock made of any function.
    pub fn from_fn(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The time as `metadata.creationTimestamp` spells it: whole seconds.
    pub fn stamp(&self) -> String {
        self.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::starting_at(Timestamp::now())
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Clock({})", self.now())
    }
}
