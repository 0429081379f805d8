//! Time, from one place.
//!
//! Nothing else in the workspace may ask the operating system what time it is: a controller that reads time only from
//! its [`Clock`] (and waits only through tokio) runs unchanged on the paused, seeded time of the simulation.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Source of wall-clock and monotonic time. Clones share their state.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Simulated { epoch: Timestamp, origin: Instant, shift_nanos: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// A wall clock that starts at `epoch` now and advances with tokio's clock, paused or not.
    ///
    /// Must be called inside a tokio runtime if that runtime's time is paused.
    pub fn simulated(epoch: Timestamp) -> Self {
        Self { source: Source::Simulated { epoch, origin: Instant::now(), shift_nanos: Arc::default() } }
    }

    /// Wall-clock time. May jump in both directions; use it for what is written into objects and logs only.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => Timestamp::now(),
            Source::Simulated { epoch, origin, shift_nanos } => {
                let passed = SignedDuration::try_from(origin.elapsed()).unwrap_or(SignedDuration::MAX);
                let shift = SignedDuration::from_nanos(shift_nanos.load(Ordering::Relaxed));
                epoch.saturating_add(passed.saturating_add(shift)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Time that never goes back; for deadlines, back-off and measured durations.
    pub fn monotonic(&self) -> Instant {
        Instant::now()
    }

    /// Lets a simulated wall clock jump, as an operator or NTP would. No effect on the system clock.
    pub fn jump(&self, by: SignedDuration) {
        if let Source::Simulated { shift_nanos, .. } = &self.source {
            let nanos =
                i64::try_from(by.as_nanos()).unwrap_or(if by.is_negative() { i64::MIN } else { i64::MAX });
            shift_nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_wall_clock_follows_paused_time_and_jumps() {
        let epoch: Timestamp = "2026-11-21T05:00:00Z".parse().unwrap();
        let clock = Clock::simulated(epoch);
        assert_eq!(clock.now(), epoch);
        let start = clock.monotonic();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-11-21T05:01:30Z");
        clock.clone().jump(SignedDuration::from_hours(-1));
        assert_eq!(clock.now().to_string(), "2026-11-21T04:01:30Z");
        assert_eq!(clock.monotonic() - start, Duration::from_secs(90), "monotonic time does not jump");
    }
}
