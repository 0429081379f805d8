//! The command line of csi-provisioner as values that make sense, or the reason why it does not (sheet 2, 13.13).

use std::path::PathBuf;
use std::time::Duration;

use sidecar_core::api::{ApiConfig, Budget};
use sidecar_core::election::ElectionFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use sidecar_core::gates::Gates;

use crate::policy::names::VolumeNaming;

/// The command line.
#[derive(Clone, Debug)]
pub struct Flags {
    /// All of it, for what is alike in all sidecars.
    pub parsed: Parsed,
    /// Where the driver listens.
    pub csi_address: String,
    /// Deadline of one call to the driver.
    pub timeout: Duration,
    /// What the driver must be called; empty: anything.
    pub driver_name: String,
    /// The API server.
    pub api: ApiConfig,
    /// Calls per second to it.
    pub budget: Budget,
    /// How volumes are called.
    pub naming: VolumeNaming,
    /// The file system of classes that name none.
    pub default_fs_type: String,
    /// Tell the driver the names of claim and volume.
    pub extra_create_metadata: bool,
    /// Mark volumes that are only read as read-only.
    pub controller_publish_readonly: bool,
    /// Claims, and volumes, in progress at a time.
    pub workers: usize,
    /// Shortest back-off.
    pub retry_start: Duration,
    /// Longest back-off.
    pub retry_max: Duration,
    /// Leader election, if there is one.
    pub election: Option<ElectionFlags>,
    /// Feature gates.
    pub gates: Gates,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        refuse_what_is_not_there_yet(parsed)?;
        Ok(Self {
            parsed: parsed.clone(),
            csi_address: parsed.string("csi-address").to_owned(),
            timeout: timeout(parsed)?,
            driver_name: parsed.string("driver-name").to_owned(),
            api: ApiConfig {
                kubeconfig: non_empty(parsed.string("kubeconfig")).map(PathBuf::from),
                master: non_empty(parsed.string("master")),
            },
            budget: Budget { qps: parsed.float("kube-api-qps"), burst: parsed.int("kube-api-burst") },
            naming: naming(parsed)?,
            default_fs_type: parsed.string("default-fstype").to_owned(),
            extra_create_metadata: parsed.bool("extra-create-metadata"),
            controller_publish_readonly: parsed.bool("controller-publish-readonly"),
            workers: workers(parsed)?,
            retry_start: parsed.duration("retry-interval-start"),
            retry_max: parsed.duration("retry-interval-max"),
            election: ElectionFlags::read(parsed)?,
            gates,
        })
    }
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn naming(parsed: &Parsed) -> Result<VolumeNaming, Exit> {
    let prefix = parsed.string("volume-name-prefix").to_owned();
    if prefix.is_empty() {
        return Err(Exit::failure(1, "--volume-name-prefix must not be empty"));
    }
    let uuid_length = match parsed.int("volume-name-uuid-length") {
        -1 => None,
        length @ 1..=32 => usize::try_from(length).ok(),
        length => {
            let text = "--volume-name-uuid-length must be -1 (the whole UID) or from 1 to 32";
            return Err(Exit::failure(1, text).with("value", length));
        }
    };
    Ok(VolumeNaming { prefix, uuid_length })
}

/// With none, upstream probes its driver for ever and never hears an answer.
fn timeout(parsed: &Parsed) -> Result<Duration, Exit> {
    match parsed.duration("timeout") {
        Duration::ZERO => Err(Exit::failure(1, "--timeout must be positive: no driver answers in no time")),
        timeout => Ok(timeout),
    }
}

fn workers(parsed: &Parsed) -> Result<usize, Exit> {
    match usize::try_from(parsed.uint("worker-threads")) {
        Ok(0) => {
            Err(Exit::failure(1, "--worker-threads must be at least 1: nothing would ever be provisioned"))
        }
        workers => Ok(workers.unwrap_or(usize::MAX)),
    }
}

/// A mode that later versions have must not be taken for one that is on.
fn refuse_what_is_not_there_yet(parsed: &Parsed) -> Result<(), Exit> {
    for flag in ["node-deployment", "enable-capacity"] {
        if parsed.bool(flag) {
            return Err(Exit::failure(
                1,
                format!("--{flag} is not supported yet by this version of csi-provisioner"),
            ));
        }
    }
    Ok(())
}
