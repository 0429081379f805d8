//! The command line of snapshot-controller as values that make sense, or the reason why it does not (sheet 2).

use std::time::Duration;

use sidecar_core::controller::CommonFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::gates::Gates;

/// The shortest time that definitions are waited for.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// The command line.
#[derive(Clone, Debug)]
pub struct Flags {
    /// What all controllers have.
    pub common: CommonFlags,
    /// Workers of each queue.
    pub workers: usize,
    /// How often everything is looked at again; `None`: never.
    pub resync: Option<Duration>,
    /// Say which node's snapshotter is in charge of a content.
    pub distributed: bool,
    /// Write the mode of the volume into the content.
    pub note_volume_mode: bool,
    /// How long definitions are waited for.
    pub definitions_wait: Duration,
    /// Gate `CSIVolumeGroupSnapshot`.
    pub groups: bool,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        Ok(Self {
            workers: workers(parsed)?,
            resync: resync(parsed.duration("resync-period")),
            distributed: parsed.bool("enable-distributed-snapshotting"),
            note_volume_mode: parsed.bool("prevent-volume-mode-conversion"),
            definitions_wait: parsed.duration("retry-crd-interval-max").max(SHORTEST_WAIT),
            groups: gates.enabled("CSIVolumeGroupSnapshot"),
            common: CommonFlags::read(parsed, gates)?,
        })
    }
}

/// With none, upstream starts, takes the lease and never does anything.
fn workers(parsed: &Parsed) -> Result<usize, Exit> {
    match usize::try_from(parsed.int("worker-threads")) {
        Ok(workers) if workers > 0 => Ok(workers),
        _ => Err(Exit::failure(1, "--worker-threads must be at least 1: nothing would ever be done")),
    }
}

/// As client-go has it: 0 is never, and less than a second is a second.
fn resync(period: Duration) -> Option<Duration> {
    (!period.is_zero()).then(|| period.max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resync_periods() {
        let second = Duration::from_secs(1);
        assert_eq!(resync(Duration::ZERO), None);
        assert_eq!(resync(second / 10), Some(second));
        assert_eq!(resync(second * 900), Some(second * 900));
    }
}
