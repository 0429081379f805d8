//! The command line of csi-resizer as values that make sense, or the reason why it does not (sheet 2).

use std::time::Duration;

use sidecar_core::controller::CommonFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::gates::Gates;

use crate::policy::errors::Exhausted;

/// The command line.
#[derive(Clone, Debug)]
pub struct Flags {
    /// What all controller sidecars have.
    pub common: CommonFlags,
    /// Expansions, and modifications, in progress at a time.
    pub workers: usize,
    /// How often everything is looked at again; `None`: never.
    pub resync: Option<Duration>,
    /// Tell the driver the names of claim and volume.
    pub extra_modify_metadata: bool,
    /// Wait for pods to end when the driver cannot expand a volume in use.
    pub handle_in_use: bool,
    /// Run on each node, for the volumes that it can reach.
    pub node_deployment: bool,
    /// Whether ResourceExhausted says that the driver is not at it any more. Upstream takes it for an open end.
    pub exhausted: Exhausted,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        let common = CommonFlags::read(parsed, gates)?;
        Ok(Self {
            node_deployment: node_deployment(parsed, &common)?,
            common,
            workers: workers(parsed)?,
            resync: resync(parsed.duration("resync-period")),
            extra_modify_metadata: parsed.bool("extra-modify-metadata"),
            handle_in_use: parsed.bool("handle-volume-inuse-error"),
            exhausted: if parsed.bool("resource-exhausted-is-final") {
                Exhausted::IsFinal
            } else {
                Exhausted::IsOpen
            },
        })
    }
}

fn node_deployment(parsed: &Parsed, common: &CommonFlags) -> Result<bool, Exit> {
    let wanted = parsed.bool("node-deployment");
    if wanted && common.election.is_some() {
        let problem = "--node-deployment and --leader-election exclude each other: every node has its own";
        return Err(Exit::failure(1, problem));
    }
    Ok(wanted)
}

/// With none, upstream starts, takes the lease and never does anything.
fn workers(parsed: &Parsed) -> Result<usize, Exit> {
    match usize::try_from(parsed.int("workers")) {
        Ok(workers) if workers > 0 => Ok(workers),
        _ => Err(Exit::failure(1, "--workers must be at least 1: nothing would ever be resized")),
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
        assert_eq!(resync(second * 600), Some(second * 600));
    }
}
