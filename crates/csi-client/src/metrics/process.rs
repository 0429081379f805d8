//! `process_start_time_seconds`, which comes with the family of calls.

use prometheus::{Gauge, Registry};

/// Registers the gauge; a registry that already has one keeps it.
pub(super) fn register_start_time(registry: &Registry, prefix: &str) {
    let help = format!("{prefix}Start time of the process since unix epoch in seconds.");
    let (Some(seconds), Ok(gauge)) = (start_time(), Gauge::new("process_start_time_seconds", help)) else {
        return;
    };
    gauge.set(seconds);
    // Another collector of process metrics may have been there first, and its value is the same.
    let _ = registry.register(Box::new(gauge));
}

/// When this process started, in seconds since the epoch: boot time plus ticks since boot.
fn start_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command in parentheses may hold blanks; the start time is field 22, the 20th after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    #[allow(clippy::cast_precision_loss, reason = "a hundred or a thousand")]
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    Some(boot + ticks / ticks_per_second)
}
