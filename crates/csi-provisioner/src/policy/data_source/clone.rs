//! Whether a volume may be made from another claim's, and what the driver calls that (sheet 5.6.3).

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use sidecar_core::objects::{Claim, Volume, VolumeMode, VolumePhase};
use sidecar_core::quantity::Quantity;

use super::{Content, Place};
use crate::policy::migration;

/// The finalizer on claims that others are cloned from.
pub(crate) const FINALIZER: &str = Claim::CLONING_PROTECTION;

/// The text for anything wrong between the source and its volume; which of it is for the log only.
const INVALID: &str = "claim in dataSource not bound or invalid";

/// What a claim is to be cloned to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The new claim.
    pub claim: &'a Claim,
    /// Bytes that it asks for.
    pub bytes: i64,
    /// The driver.
    pub driver: &'a str,
}

/// Whether our finalizer is on a live claim.
pub(crate) fn is_protected(source: &PersistentVolumeClaim) -> bool {
    let finalizers = source.metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// The name of the volume behind `source`.
///
/// A source that is being deleted is used only if it is protected. Upstream refuses it then as well, so that a clone
/// which had begun before waits for its source, and the source for its clone, for ever.
pub(crate) fn volume_name<'s>(
    wanted: &Wanted<'_>,
    place: &Place,
    source: &'s PersistentVolumeClaim,
) -> Result<&'s str, String> {
    let (name, claim) = (&place.name, wanted.claim);
    let phase = source.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    if phase != "Bound" {
        return Err(format!("the PVC DataSource {name} must have a status of Bound.  Got {phase}"));
    }
    if source.metadata.deletion_timestamp.is_some() && !is_protected(source) {
        return Err(format!("the PVC DataSource {name} is currently being deleted"));
    }
    let spec = source.spec.as_ref();
    if spec.and_then(|spec| spec.storage_class_name.as_ref()).is_none() {
        return Err(format!("the source PVC ({name}) storageclass cannot be empty"));
    }
    if claim.spec_class.is_none() {
        return Err(format!("the requested PVC ({}) storageclass cannot be empty", claim.meta.name));
    }
    let size = size_of(source)?;
    if wanted.bytes < size {
        return Err(format!(
            "error, new PVC request must be greater than or equal in size to the specified PVC data source, \
             requested {} but source is {size}",
            wanted.bytes
        ));
    }
    let volume = spec.and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    volume.ok_or_else(|| format!("volume name is empty in source PVC {name}"))
}

/// The size that the source asked for, which is what counts, not what it got.
fn size_of(source: &PersistentVolumeClaim) -> Result<i64, String> {
    let requests = source.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let Some(size) = requests.and_then(|requests| requests.get("storage")) else { return Ok(0) };
    Quantity::parse(&size.0)
        .map(|size| size.value())
        .map_err(|error| format!("size {:?} of the PVC DataSource cannot be read: {error}", size.0))
}

/// What the driver calls the volume of `source`, if the claim may be cloned from it. `volume`: what the cache has under
/// the name that `source` gives.
pub(crate) fn check(
    wanted: &Wanted<'_>,
    place: &Place,
    source: &PersistentVolumeClaim,
    volume: Option<&Volume>,
) -> Result<Content, String> {
    let invalid = |reason: &str| {
        tracing::warn!(claim = %wanted.claim.meta.key(), source = %place, reason, "Cannot clone claim");
        INVALID.to_owned()
    };
    let volume = volume.ok_or_else(|| invalid("its volume is not there, or not one of this driver"))?;
    let handle = match migration::csi_handle(wanted.driver, volume) {
        Ok(Some(handle)) => handle,
        Ok(None) => return Err(invalid("its volume belongs to another driver")),
        Err(problem) => return Err(invalid(&problem)),
    };
    let bound = volume.claim.as_ref().is_some_and(|bound| {
        source.metadata.uid.as_deref().is_some_and(|uid| bound.uid == *uid)
            && *bound.namespace == *place.namespace
            && *bound.name == *place.name
    });
    if !bound {
        return Err(invalid("its volume belongs to another claim"));
    }
    if volume.phase != VolumePhase::Bound {
        return Err(invalid("its volume is not bound"));
    }
    check_mode(wanted.claim.volume_mode, volume.volume_mode)?;
    Ok(Content::Volume(handle))
}

fn check_mode(wanted: Option<VolumeMode>, source: Option<VolumeMode>) -> Result<(), String> {
    let is_block = |mode| mode == Some(VolumeMode::Block);
    let (source, wanted) = match (is_block(source), is_block(wanted)) {
        (true, false) => ("Block", "Filesystem"),
        (false, true) => ("Filesystem", "Block"),
        _ => return Ok(()),
    };
    Err(format!(
        "the source PVC and destination PVCs must have the same volume mode for cloning.  Source is {source}, but \
         new PVC requested {wanted}"
    ))
}

#[cfg(test)]
mod tests;
