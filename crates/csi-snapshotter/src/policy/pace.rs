//! When a snapshot that is not ready is looked at again (13.4).
//!
//! Upstream counts "not ready" as a failure: a snapshot that takes long is found ready up to five minutes late, and the first
//! real failure waits as long. Here looks have a schedule of their own, with a lower limit and some jitter, so that
//! snapshots that were taken together are not looked at together for ever.

use std::time::Duration;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(60);
/// The shortest, whatever the flags say.
const SHORTEST: Duration = Duration::from_millis(100);
/// How much longer than planned a pause may be.
const JITTER: f64 = 0.1;

/// The pause after `looks` looks that found it not ready, the first one being 0. `random` is in `[0, 1)`.
pub fn pause(looks: u32, start: Duration, max: Duration, random: f64) -> Duration {
    let doubled =
        1_u32.checked_shl(looks).filter(|_| looks < 32).and_then(|factor| start.checked_mul(factor));
    let limit = max.min(LONGEST);
    doubled.map_or(limit, |pause| pause.min(limit)).max(SHORTEST).mul_f64(1.0 + JITTER * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let second = Duration::from_secs(1);
        let seconds: Vec<_> = (0..9).map(|looks| pause(looks, second, second * 300, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause(40, second, second * 5, 0.0), second * 5, "--retry-interval-max is a limit too");
        assert_eq!(pause(0, Duration::ZERO, second, 0.0), SHORTEST);
        assert!(pause(0, second * 10, second * 300, 0.99) < second * 11);
    }
}
