//! Which volume an attachment is about, as calls to the driver need it (sheet 5.5, 6.1).

use std::collections::BTreeMap;

use sidecar_core::objects::{
    Attachment, InlineVolume, Interned, SecretRef, Volume, VolumeMode, VolumeSource,
};

use super::failure::Failure;
use super::translation;

/// Where an attachment's volume is described.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In the PersistentVolume of this name.
    Volume(&'a Interned),
    /// In the attachment.
    Inline(&'a InlineVolume),
}

/// A volume as calls to the driver need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The driver's name for it.
    pub handle: String,
    /// `volume_context`.
    pub attributes: BTreeMap<String, String>,
    /// Whether it is to be attached read-only.
    pub read_only: bool,
    /// File system; empty: the default.
    pub fs_type: String,
    /// Secret for the calls.
    pub secret: Option<SecretRef>,
    /// Whether it is used as a block device.
    pub block: bool,
    /// Mount options.
    pub mount_options: Vec<String>,
    /// Access modes of Kubernetes.
    pub access_modes: Vec<String>,
    /// Whether it was a volume of an in-tree plugin.
    pub migrated: bool,
}

/// Where the volume is described; exactly one place is allowed.
pub fn source(attachment: &Attachment) -> Result<Source<'_>, Failure> {
    let inline = attachment.status.as_ref().and_then(|status| status.inline.as_deref());
    match (&attachment.volume, inline) {
        (Some(_), Some(_)) => {
            Err(Failure::new("both InlineCSIVolumeSource and PersistentVolumeName specified in VA source"))
        }
        (None, None) => {
            Err(Failure::new("neither InlineCSIVolumeSource nor PersistentVolumeName specified in VA source"))
        }
        (Some(name), None) => Ok(Source::Volume(name)),
        (None, Some(inline)) => Ok(Source::Inline(inline)),
    }
}

/// A volume that goes is not attached any more.
pub fn check_attachable(volume: &Volume) -> Result<(), Failure> {
    if volume.meta.deleting {
        let name = &volume.meta.name;
        return Err(Failure::new(format!("PersistentVolume \"{name}\" is marked for deletion")));
    }
    Ok(())
}

/// The volume of an object.
pub fn of_volume(volume: &Volume) -> Result<Target, Failure> {
    if let Some(in_tree) = volume.in_tree.as_deref() {
        return translation::translate(volume, in_tree);
    }
    match (&volume.driver, volume.source.as_deref()) {
        (Some(_), Some(source)) => Ok(Target::new(&volume.handle, source)),
        _ => Err(Failure::new("pv spec contained non-csi source that was not migrated")),
    }
}

/// The volume that an attachment contains. Kubernetes has translated it already.
pub fn of_inline(inline: &InlineVolume) -> Result<Target, Failure> {
    match inline.driver {
        Some(_) => Ok(Target::new(&inline.handle, &inline.source)),
        None => Err(Failure::new("inline volume spec contains nil CSI source")),
    }
}

impl Target {
    fn new(handle: &str, source: &VolumeSource) -> Self {
        Self {
            handle: handle.to_owned(),
            attributes: source.attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
            read_only: source.read_only,
            fs_type: source.fs_type.to_string(),
            secret: source.publish_secret.clone(),
            ..Self::default()
        }
        .used_as(source)
    }

    /// How it is used is said by the volume's object whatever kind of source it has.
    pub(super) fn used_as(self, source: &VolumeSource) -> Self {
        Self {
            block: source.volume_mode == Some(VolumeMode::Block),
            mount_options: source.mount_options.iter().map(ToString::to_string).collect(),
            access_modes: source.access_modes.iter().map(str::to_owned).collect(),
            ..self
        }
    }
}
