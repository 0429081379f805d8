//! Events that found the queue full: counted one by one, told together.
//!
//! They come in floods, for it is a flood that fills the queue; a line for each would be the next flood.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::time::Instant;

/// Shortest time between two lines about dropped events.
const LINE: Duration = Duration::from_secs(10);

/// What has been dropped so far.
#[derive(Debug)]
pub(super) struct Dropped {
    total: IntCounter,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// When the next one may be logged; `None` before the first.
    next: Option<Instant>,
    /// Dropped since the last one.
    untold: u64,
}

impl Dropped {
    /// Counts in `total`.
    pub(super) fn new(total: IntCounter) -> Self {
        Self { total, lines: Mutex::default() }
    }

    /// Counts an event. If it is time for a line: how many were dropped since the last one, this one included.
    pub(super) fn one_more(&self, now: Instant) -> Option<u64> {
        self.total.inc();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.untold += 1;
        if lines.next.is_some_and(|next| now < next) {
            return None;
        }
        lines.next = Some(now + LINE);
        Some(std::mem::take(&mut lines.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_counted_and_a_line_is_due_at_once_and_then_every_ten_seconds() {
        let total = IntCounter::new("dropped", "Dropped.").unwrap();
        let dropped = Dropped::new(total.clone());
        let start = Instant::now();
        let told: Vec<_> =
            (0..25).map(|second| dropped.one_more(start + Duration::from_secs(second))).collect();
        assert_eq!((told[0], told[10], told[20]), (Some(1), Some(10), Some(10)));
        assert_eq!(told.iter().flatten().count(), 3);
        assert_eq!(total.get(), 25);
    }
}
