//! The command line of csi-provisioner as values that make sense, or the reason why it does not (sheet 2, 13.13).

use std::time::Duration;

use sidecar_core::controller::CommonFlags;
use sidecar_core::exit::Exit;
use sidecar_core::flags::{Binary, Parsed, pending};
use sidecar_core::gates::Gates;

use crate::policy::names::VolumeNaming;

/// The command line.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of the command line")]
pub struct Flags {
    /// What is alike in all sidecars.
    pub common: CommonFlags,
    /// How volumes are called.
    pub naming: VolumeNaming,
    /// The file system of classes that name none.
    pub default_fs_type: String,
    /// Tell the driver the names of claim and volume.
    pub extra_create_metadata: bool,
    /// Mark volumes that are only read as read-only.
    pub controller_publish_readonly: bool,
    /// Keep claims, by a finalizer, while the driver may be making their volumes.
    pub leak_protection: bool,
    /// Claims, and volumes, in progress at a time.
    pub workers: usize,
    /// Keep the volume mode of snapshots that are restored.
    pub keep_volume_mode: bool,
    /// Sources of clones looked after at a time; with none, a claim that was cloned once cannot be deleted any more.
    pub clone_workers: usize,
    /// How often protection of snapshots that serves nothing is removed.
    pub sweep_interval: Option<Duration>,
}

impl Flags {
    /// Reads the command line. Nothing outside the process is touched.
    pub fn read(parsed: &Parsed, gates: Gates) -> Result<Self, Exit> {
        refuse_what_is_not_there_yet(parsed)?;
        Ok(Self {
            common: CommonFlags::read(parsed, gates)?,
            naming: naming(parsed)?,
            default_fs_type: parsed.string("default-fstype").to_owned(),
            extra_create_metadata: parsed.bool("extra-create-metadata"),
            controller_publish_readonly: parsed.bool("controller-publish-readonly"),
            leak_protection: parsed.bool("leak-protection"),
            workers: workers(parsed)?,
            keep_volume_mode: parsed.bool("prevent-volume-mode-conversion"),
            clone_workers: usize::try_from(parsed.uint("cloning-protection-threads")).unwrap_or(usize::MAX),
            sweep_interval: Some(parsed.duration("snapshot-orphan-sweep-interval"))
                .filter(|interval| !interval.is_zero()),
        })
    }
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

fn workers(parsed: &Parsed) -> Result<usize, Exit> {
    match usize::try_from(parsed.uint("worker-threads")) {
        Ok(0) => {
            Err(Exit::failure(1, "--worker-threads must be at least 1: nothing would ever be provisioned"))
        }
        workers => Ok(workers.unwrap_or(usize::MAX)),
    }
}

/// What later versions have must not be taken for something that is on.
fn refuse_what_is_not_there_yet(parsed: &Parsed) -> Result<(), Exit> {
    if let Some(flag) = pending::refused(Binary::Provisioner).find(|flag| parsed.bool(flag)) {
        let text = format!("--{flag} is not supported yet by this version of csi-provisioner");
        return Err(Exit::failure(1, text));
    }
    for flag in pending::without_effect(Binary::Provisioner).filter(|flag| parsed.is_set(flag)) {
        tracing::warn!(flag, "--{flag} has no effect yet in this version of csi-provisioner");
    }
    Ok(())
}
