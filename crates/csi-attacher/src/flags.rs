//! The command line of csi-attacher as values that make sense, or the reason why it does not (sheet 2, 13.18).

use std::time::Duration;

use sidecar_core::controller::CommonFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::gates::Gates;
use tracing::warn;

use crate::policy::node::DetachFrom;

/// The pause between comparisons where `--reconcile-sync` gives none; its own default.
const RECONCILE_SYNC: Duration = Duration::from_secs(60);

/// The command line.
#[derive(Clone, Debug)]
pub struct Flags {
    /// What is alike in all sidecars.
    pub common: CommonFlags,
    /// Attachments, and detachments, in the driver's hands at a time.
    pub workers: usize,
    /// The file system of volumes that name none.
    pub default_fs_type: String,
    /// How often everything is looked at again; `None`: never.
    pub resync: Option<Duration>,
    /// Pause between comparisons with the driver's list.
    pub reconcile_sync: Duration,
    /// Page size of that list; 0 leaves it to the driver.
    pub max_entries: i32,
    /// After how long an attachment that is still being tried is reported; `None`: never.
    pub attachment_timeout: Option<Duration>,
    /// From which id a volume is detached whose node has another one by now.
    pub detach_from: DetachFrom,
    /// How long an attachment waits for detachments of its volume; `None`: not at all.
    pub detach_before_attach: Option<Duration>,
    /// Report the driver's code with an attach error (gate `MutableCSINodeAllocatableCount`).
    pub error_codes: bool,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        let positive = |name: &str| Some(parsed.duration(name)).filter(|duration| !duration.is_zero());
        Ok(Self {
            workers: workers(parsed)?,
            default_fs_type: parsed.string("default-fstype").to_owned(),
            resync: positive("resync"),
            reconcile_sync: positive("reconcile-sync").unwrap_or_else(|| {
                // Upstream would list the driver's volumes without any pause.
                warn!("--reconcile-sync must be positive, attachments are compared every minute");
                RECONCILE_SYNC
            }),
            max_entries: max_entries(parsed),
            attachment_timeout: positive("volume-attachment-timeout"),
            detach_from: if parsed.bool("detach-by-annotation") {
                DetachFrom::Annotated
            } else {
                DetachFrom::Present
            },
            detach_before_attach: positive("detach-before-attach"),
            error_codes: gates.enabled("MutableCSINodeAllocatableCount"),
            common: CommonFlags::read(parsed, gates)?,
        })
    }
}

fn workers(parsed: &Parsed) -> Result<usize, Exit> {
    match usize::try_from(parsed.uint("worker-threads")) {
        Ok(0) => Err(Exit::failure(1, "Option -worker-threads must be greater than zero")),
        workers => Ok(workers.unwrap_or(usize::MAX)),
    }
}

/// Drivers refuse a negative page size, and the protocol's number is smaller than the flag's.
fn max_entries(parsed: &Parsed) -> i32 {
    let given = parsed.int("max-entries");
    if given < 0 {
        warn!(value = given, "--max-entries must not be negative, the driver chooses the size of its pages");
    }
    i32::try_from(given.max(0)).unwrap_or(i32::MAX)
}
