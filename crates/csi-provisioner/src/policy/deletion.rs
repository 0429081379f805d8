//! Whether a volume is ours, keeps its finalizer, may be deleted, and with which Secret (sheet 5.11, 5.12).

use std::fmt;

use sidecar_core::objects::{Attachment, Class, ReclaimPolicy, Volume, VolumePhase};

use super::driver::Driver;
use super::migration;
use super::names::{Provisioner, VOLUME_FINALIZER};
use super::secrets::{self, ClaimTokens, Purpose, SecretRef};

/// Whether `volume` is ours: provisioned by us, or a static one of our driver.
pub(crate) fn is_owned(provisioner: &Provisioner, volume: &Volume) -> bool {
    let known = |name: &Option<_>| name.as_deref().is_some_and(|name| provisioner.knows(name));
    if volume.provisioned_by.is_some() {
        return known(&volume.provisioned_by) || known(&volume.migrated_to);
    }
    known(&volume.driver) || known(&volume.migrated_to)
}

/// What has to happen to our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FinalizerChange {
    /// It is missing.
    Add,
    /// It has no purpose.
    Remove,
}

/// The change that `volume` needs: a bound volume that will be deleted one day is protected, one that will be kept is
/// not.
pub(crate) fn finalizer_change(volume: &Volume) -> Option<FinalizerChange> {
    let has = has_finalizer(volume);
    match volume.reclaim {
        ReclaimPolicy::Delete if !has && !volume.meta.deleting && volume.phase == VolumePhase::Bound => {
            Some(FinalizerChange::Add)
        }
        ReclaimPolicy::Retain | ReclaimPolicy::Recycle if has => Some(FinalizerChange::Remove),
        _ => None,
    }
}

/// The finalizers of `volume` after a change.
pub(crate) fn finalizers_after(volume: &Volume, change: FinalizerChange) -> Vec<&str> {
    let mut list: Vec<_> = volume.meta.finalizers.iter().filter(|name| *name != VOLUME_FINALIZER).collect();
    if change == FinalizerChange::Add {
        list.push(VOLUME_FINALIZER);
    }
    list
}

/// Whether our finalizer is on `volume`.
pub(crate) fn has_finalizer(volume: &Volume) -> bool {
    volume.meta.finalizers.has(VOLUME_FINALIZER)
}

/// Whether the volume behind `volume` is to be deleted now.
pub(crate) fn should_delete(volume: &Volume) -> bool {
    let gone_already = volume.meta.deleting && !has_finalizer(volume);
    !gone_already && volume.phase == VolumePhase::Released && volume.reclaim == ReclaimPolicy::Delete
}

/// What the driver is told about a volume that it is to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doomed {
    /// What it calls the volume.
    pub handle: String,
    /// Whether the volume has the source of an in-tree plugin.
    pub migrated: bool,
}

/// What deletion needs to know about the volume, if it can be deleted at all.
pub(crate) fn doomed(driver: &Driver, volume: &Volume) -> Result<Doomed, String> {
    let handle = match (volume.in_tree.as_deref(), &volume.driver) {
        (Some(source), _) => migration::translated_handle(volume, source)?,
        (None, Some(_)) => volume.handle.to_string(),
        (None, None) => return Err("invalid CSI PV".to_owned()),
    };
    driver.capabilities.check_provisioning().map_err(str::to_owned)?;
    Ok(Doomed { handle, migrated: volume.in_tree.is_some() })
}

/// The text for a volume that is still attached. Monitoring looks for it, so it stays as upstream has it.
pub(crate) fn still_attached(volume: &Volume, attachment: &Attachment) -> String {
    format!("persistentvolume {} is still attached to node {}", volume.meta.name, attachment.node)
}

/// The Secret for deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretChoice {
    /// None is needed.
    Without,
    /// None can be found; worth a line in the log.
    Unknown(String),
    /// This one.
    Fetch(SecretRef),
}

/// Why the Secret of an old volume cannot be told from its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretChoiceError {
    volume: String,
    error: secrets::SecretError,
}

impl fmt::Display for SecretChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to get secretreference for volume {}: {}", self.volume, self.error)
    }
}

/// Which Secret goes with the deletion of `volume`. `class` is its class, if the cache has it.
///
/// Volumes carry it in annotations; for those from before that, it is told from the class.
pub(crate) fn secret(
    names: &Provisioner,
    volume: &Volume,
    class: Option<&Class>,
) -> Result<SecretChoice, SecretChoiceError> {
    if let (Some(name), Some(namespace)) = (&volume.deletion_secret_name, &volume.deletion_secret_namespace) {
        // One half alone is as good as none; upstream is silent about it, too.
        if name.is_empty() || namespace.is_empty() {
            return Ok(SecretChoice::Without);
        }
        return Ok(SecretChoice::Fetch(SecretRef {
            name: name.to_string(),
            namespace: namespace.to_string(),
        }));
    }
    let Some(class_name) = volume.class.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(SecretChoice::Without);
    };
    let Some(class) = class else {
        return Ok(SecretChoice::Unknown(format!("StorageClass {class_name} is not there")));
    };
    let Some(claim) = &volume.claim else {
        return Ok(SecretChoice::Unknown("volume has no claim".to_owned()));
    };
    let class = match migration::class(names, class) {
        Ok(class) => class,
        Err(problem) => return Ok(SecretChoice::Unknown(problem)),
    };
    let tokens = ClaimTokens { namespace: &claim.namespace, name: &claim.name, annotations: None };
    secrets::resolve(Purpose::Provisioner, &class.parameters, &volume.meta.name, Some(&tokens))
        .map(|found| found.map_or(SecretChoice::Without, SecretChoice::Fetch))
        .map_err(|error| SecretChoiceError { volume: volume.meta.name.to_string(), error })
}

#[cfg(test)]
mod tests;
