//! Volumes of in-tree plugins in the terms of the CSI driver that replaces the plugin (sheet 5.9).

use csi_translation::{InTreeVolume, VolumeObject};
use sidecar_core::objects::{InTreeSource, Interned, SecretRef, Volume};

use super::failure::Failure;
use super::target::Target;

pub use csi_translation::is_migrated_driver;

/// Whether the volume has a source that some CSI driver takes over.
pub fn is_migratable(volume: &Volume) -> bool {
    volume.in_tree.is_some()
}

/// The volume as the driver that takes it over knows it. Its handle may leave open what only a node's id tells.
pub(super) fn translate(volume: &Volume, in_tree: &InTreeSource) -> Result<Target, Failure> {
    let translated = csi_translation::translate_volume(&as_written(volume, in_tree))
        .map_err(|error| Failure::new(format!("failed to translate in tree pv to CSI: {error}")))?;
    let source = translated.source;
    let secret = source.controller_publish_secret_ref.map(|secret| SecretRef {
        namespace: Interned::new(&secret.namespace),
        name: Interned::new(&secret.name),
    });
    let target = Target {
        handle: source.volume_handle,
        attributes: source.volume_attributes,
        read_only: source.read_only,
        fs_type: source.fs_type,
        secret,
        migrated: true,
        ..Target::default()
    };
    let used = volume.source.as_deref().map(|source| target.clone().used_as(source)).unwrap_or(target);
    Ok(Target { access_modes: translated.object.access_modes, ..used })
}

fn as_written(volume: &Volume, in_tree: &InTreeSource) -> InTreeVolume {
    let texts = |pairs: &[(Interned, Interned)]| {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let modes = volume.source.as_ref().map(|source| source.access_modes);
    InTreeVolume {
        kind: in_tree.kind.to_owned(),
        source: in_tree.json.to_string(),
        object: VolumeObject {
            name: volume.meta.name.to_string(),
            labels: texts(&in_tree.labels),
            annotations: texts(&in_tree.annotations),
            claim_namespace: volume.claim.as_ref().map(|claim| claim.namespace.to_string()),
            access_modes: modes.unwrap_or_default().iter().map(str::to_owned).collect(),
            // Says where the volume can be used, which is no longer the question.
            affinity: Vec::new(),
        },
    }
}

/// The handle with what only the node's id tells filled in, as the driver lists it.
pub fn repair_handle(driver: &str, handle: &str, node_id: &str) -> Result<String, String> {
    csi_translation::repair_handle(driver, handle, node_id).map_err(|error| error.to_string())
}
