//! Whether a volume may be made from a VolumeSnapshot, and what the driver calls it (sheet 5.6.2).
//!
//! The checks keep the sheet's order. They look at live objects: the answer decides about data, and the finalizer that
//! protects the snapshot meanwhile is put on exactly the version that was looked at.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sidecar_core::objects::Claim;
use sidecar_core::quantity::Quantity;
use snapshot_api::names::annotations::ALLOW_VOLUME_MODE_CHANGE;
pub(crate) use snapshot_api::names::finalizers::PROVISIONER_SOURCE as FINALIZER;
use snapshot_api::v1::{VolumeSnapshot, VolumeSnapshotContent};

use super::{Content, Place};

/// What a snapshot is to become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// Bytes that it asks for.
    pub bytes: i64,
    /// The driver.
    pub driver: &'a str,
    /// Name of the claim's class.
    pub class: &'a str,
    /// Whether the mode of a volume may change only with permission.
    pub keep_mode: bool,
}

/// Whether our finalizer is among the object's.
pub(crate) fn is_protected(meta: &ObjectMeta) -> bool {
    meta.finalizers.as_deref().unwrap_or_default().iter().any(|finalizer| finalizer == FINALIZER)
}

/// The name of the content that `snapshot` is bound to.
///
/// One that is being deleted is used only if it is protected: then another attempt, which may have come far, began
/// before.
pub(crate) fn content_name<'s>(place: &Place, snapshot: &'s VolumeSnapshot) -> Result<&'s str, String> {
    let name = &place.name;
    if snapshot.metadata.deletion_timestamp.is_some() && !is_protected(&snapshot.metadata) {
        return Err(format!("snapshot {name} is being deleted"));
    }
    let content =
        snapshot.status.as_ref().and_then(|status| status.bound_volume_snapshot_content_name.as_deref());
    content.filter(|content| !content.is_empty()).ok_or_else(|| format!("snapshot {name} not bound"))
}

/// What the driver calls `snapshot`, if the claim may be restored from it.
pub(crate) fn check(
    wanted: &Wanted<'_>,
    place: &Place,
    snapshot: &VolumeSnapshot,
    content: &VolumeSnapshotContent,
) -> Result<Content, String> {
    let name = &place.name;
    let content_name = content_name(place, snapshot)?;
    let bound = &content.spec.volume_snapshot_ref;
    if bound.uid != snapshot.metadata.uid
        || bound.namespace.as_deref() != Some(place.namespace.as_str())
        || bound.name.as_deref() != Some(name.as_str())
    {
        return Err(format!(
            "snapshotcontent {content_name} for snapshot {name} is bound to a different snapshot"
        ));
    }
    if content.spec.driver != wanted.driver {
        return Err(format!(
            "snapshotcontent {content_name} for snapshot {name} is not handled by CSI driver of StorageClass {}",
            wanted.class
        ));
    }
    let status = snapshot.status.as_ref();
    if status.and_then(|status| status.ready_to_use) != Some(true) {
        return Err(format!("snapshot {name} is not Ready"));
    }
    let handle = content.status.as_ref().and_then(|status| status.snapshot_handle.clone());
    let handle = handle.ok_or_else(|| format!("snapshot handle {name} is not available"))?;
    if let Some(size) = status.and_then(|status| status.restore_size.as_ref()) {
        check_size(wanted, name, &size.0)?;
    }
    if wanted.keep_mode {
        check_mode(wanted.claim, content_name, content)?;
    }
    Ok(Content::Snapshot(handle))
}

fn check_size(wanted: &Wanted<'_>, name: &str, size: &str) -> Result<(), String> {
    if wanted.claim.requested.is_none() {
        let claim = &wanted.claim.meta.name;
        return Err(format!("error getting capacity for PVC {claim} when creating snapshot {name}"));
    }
    let size = Quantity::parse(size)
        .map_err(|error| format!("restore size {size:?} of snapshot {name} cannot be read: {error}"))?
        .value();
    let bytes = wanted.bytes;
    if bytes < size {
        return Err(format!(
            "requested volume size {bytes} is less than the size {size} for the source snapshot {name}"
        ));
    }
    Ok(())
}

fn check_mode(claim: &Claim, name: &str, content: &VolumeSnapshotContent) -> Result<(), String> {
    let source = content.spec.source_volume_mode.as_deref().filter(|mode| !mode.is_empty());
    let (Some(source), Some(mode)) = (source, claim.volume_mode) else { return Ok(()) };
    if source == mode.as_str() {
        return Ok(());
    }
    let annotations = content.metadata.annotations.as_ref();
    let problem = match annotations.and_then(|annotations| annotations.get(ALLOW_VOLUME_MODE_CHANGE)) {
        None => format!("{ALLOW_VOLUME_MODE_CHANGE} annotation is not present on snapshotcontent {name}"),
        Some(text) => match parse_bool(text) {
            Some(true) => return Ok(()),
            Some(false) => {
                format!("{ALLOW_VOLUME_MODE_CHANGE} is set to false on snapshotcontent {name}")
            }
            None => format!(
                "failed to convert {ALLOW_VOLUME_MODE_CHANGE} annotation value to boolean with error: \
                 strconv.ParseBool: parsing {text:?}: invalid syntax"
            ),
        },
    };
    Err(format!(
        "requested volume {}/{} modifies the mode of the source volume but does not have permission to do so. {problem}",
        claim.meta.namespace(),
        claim.meta.name
    ))
}

/// A truth value as Go reads it.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
