//! The command line of csi-snapshotter as values that make sense, or the reason why it does not (sheet 2, 13.7).

use std::time::Duration;

use sidecar_core::context::Variables;
use sidecar_core::controller::CommonFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::gates::Gates;
use tracing::warn;

/// Gate by which groups are snapshotted.
const GROUPS: &str = "CSIVolumeGroupSnapshot";

/// The longest UID without its dashes.
const LONGEST: i64 = 32;

/// The command line.
#[derive(Clone, Debug)]
pub struct Flags {
    /// What is alike in all sidecars.
    pub common: CommonFlags,
    /// Contents, and as many contents of groups, worked on at a time.
    pub workers: usize,
    /// How often everything is looked at again; `None`: never.
    pub resync: Option<Duration>,
    /// What the driver calls a snapshot.
    pub naming: Naming,
    /// What the driver calls a group of snapshots.
    pub group_naming: Naming,
    /// Tell the driver which objects a snapshot is made for.
    pub extra_create_metadata: bool,
    /// In node deployment: the node whose contents are ours.
    pub node: Option<String>,
    /// Whether groups are snapshotted, if the cluster knows them.
    pub groups: bool,
}

/// How names are made for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// In front of the dash.
    pub prefix: String,
    /// How many characters of the UID, its dashes left out; `None`: all of it, dashes included.
    pub length: Option<usize>,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates, variables: &Variables) -> Result<Self, Exit> {
        let common = CommonFlags::read(parsed, gates)?;
        let groups = common.gates.enabled(GROUPS);
        Ok(Self {
            workers: workers(parsed)?,
            resync: resync(parsed.duration("resync-period")),
            naming: naming(parsed, "snapshot", true)?,
            group_naming: naming(parsed, "groupsnapshot", groups)?,
            extra_create_metadata: parsed.bool("extra-create-metadata"),
            node: node(parsed, &common, variables)?,
            groups,
            common,
        })
    }
}

/// The prefix is looked at when the driver is known, as upstream does it. Where groups are off, nobody uses their length.
fn naming(parsed: &Parsed, kind: &str, used: bool) -> Result<Naming, Exit> {
    let flag = format!("{kind}-name-uuid-length");
    let length = match parsed.int(&flag) {
        -1 => None,
        length @ 0..=LONGEST => usize::try_from(length).ok(),
        _ if !used => None,
        // Upstream dies of it, with code 2 too, when the first snapshot is to be taken.
        length => {
            return Err(Exit::usage(format!(
                "invalid value \"{length}\" for flag -{flag}: must be -1 or at least 0 and at most {LONGEST}"
            )));
        }
    };
    if used && length == Some(0) {
        warn!(flag, "All snapshots get the same name, so there can be only one");
    }
    Ok(Naming { prefix: parsed.string(&format!("{kind}-name-prefix")).to_owned(), length })
}

fn node(parsed: &Parsed, common: &CommonFlags, variables: &Variables) -> Result<Option<String>, Exit> {
    if !parsed.bool("node-deployment") {
        return Ok(None);
    }
    if common.election.is_some() {
        return Err(Exit::failure(
            1,
            "--node-deployment and --leader-election exclude each other: every node has its own",
        ));
    }
    // The flag in upstream's message does not exist; both names help whoever searches for either.
    let missing = "The NODE_NAME environment variable must be set when using --enable-node-deployment.";
    let node = variables.non_empty("NODE_NAME").ok_or_else(|| Exit::fatal(255, missing))?;
    Ok(Some(node.to_owned()))
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
