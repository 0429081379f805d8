//! Claims, classes and volumes of the in-tree plugin that the driver replaces (sheet 5.10).
//!
//! What a user sees stays in-tree: class, volume, and the name of who provisioned it. What the driver is told is CSI.

use std::borrow::Cow;
use std::collections::BTreeMap;

use csi_translation::{InTreeVolume, StorageClass, VolumeObject};
use k8s_openapi::api::core::v1::PersistentVolume;
use sidecar_core::objects::{Class, InTreeSource, Interned, TopologyRequirement, TopologyTerm, Volume};

/// The in-tree plugin that a driver replaces, if it replaces one.
pub(crate) use csi_translation::in_tree_name as in_tree_plugin;

use super::names::Provisioner;

/// The class as the driver is to understand it; itself unless it is one of our in-tree plugin.
///
/// Only what the driver is told changes: reclaim policy, mount options and the name of the provisioner stay.
pub(crate) fn class<'c>(names: &Provisioner, class: &'c Class) -> Result<Cow<'c, Class>, String> {
    if !names.is_in_tree(&class.provisioner) {
        return Ok(Cow::Borrowed(class));
    }
    let translated = csi_translation::translate_class(StorageClass {
        provisioner: class.provisioner.to_string(),
        parameters: class
            .parameters
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        allowed_topologies: class.allowed_topologies.iter().map(requirements).collect(),
    })
    .map_err(|error| format!("failed to translate storage class: {error}"))?;
    let parameters: BTreeMap<Box<str>, Box<str>> =
        translated.parameters.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let terms = translated.allowed_topologies.into_iter().map(term).collect();
    Ok(Cow::Owned(Class { parameters, allowed_topologies: terms, ..class.clone() }))
}

fn requirements(term: &TopologyTerm) -> Vec<csi_translation::TopologyRequirement> {
    let requirements = term.requirements.iter();
    requirements
        .map(|requirement| csi_translation::TopologyRequirement {
            key: requirement.key.to_string(),
            values: requirement.values.iter().map(ToString::to_string).collect(),
        })
        .collect()
}

fn term(requirements: Vec<csi_translation::TopologyRequirement>) -> TopologyTerm {
    let requirements = requirements.into_iter();
    TopologyTerm {
        requirements: requirements
            .map(|requirement| TopologyRequirement {
                key: Interned::new(&requirement.key),
                values: requirement.values.iter().map(|value| Interned::new(value)).collect(),
            })
            .collect(),
    }
}

/// A new volume as the in-tree plugin would have made it.
pub(crate) fn in_tree_volume(volume: &PersistentVolume) -> Result<PersistentVolume, String> {
    let json = serde_json::to_value(volume).map_err(|error| error.to_string())?;
    let translated = csi_translation::in_tree_object(json).map_err(|error| error.to_string())?;
    serde_json::from_value(translated).map_err(|error| error.to_string())
}

/// Driver and handle of a volume, be it in-tree.
pub(crate) fn identity(volume: &PersistentVolume) -> Option<(String, String)> {
    let spec = volume.spec.as_ref()?;
    if let Some(csi) = &spec.csi {
        return Some((csi.driver.clone(), csi.volume_handle.clone()));
    }
    let translated = csi_translation::csi_object(serde_json::to_value(volume).ok()?).ok()?;
    let text = |path| translated.pointer(path).and_then(serde_json::Value::as_str).map(str::to_owned);
    Some((text("/spec/csi/driver")?, text("/spec/csi/volumeHandle")?))
}

/// What `driver` calls `volume`; `None` if it is another driver's. Fails for an in-tree volume that has no counterpart.
pub(crate) fn csi_handle(driver: &str, volume: &Volume) -> Result<Option<String>, String> {
    match (volume.driver.as_deref(), volume.in_tree.as_deref()) {
        (Some(name), _) => Ok((name == driver).then(|| volume.handle.to_string())),
        (None, Some(source)) if csi_translation::driver_of_source(source.kind) == Some(driver) => {
            translated_handle(volume, source).map(Some)
        }
        (None, _) => Ok(None),
    }
}

/// What the driver that takes over the in-tree `source` of `volume` calls it.
pub(crate) fn translated_handle(volume: &Volume, source: &InTreeSource) -> Result<String, String> {
    let texts = |pairs: &[(Interned, Interned)]| {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let in_tree = InTreeVolume {
        kind: source.kind.to_owned(),
        source: source.json.to_string(),
        object: VolumeObject {
            name: volume.meta.name.to_string(),
            labels: texts(&source.labels),
            annotations: texts(&source.annotations),
            claim_namespace: volume.claim.as_ref().map(|claim| claim.namespace.to_string()),
            ..VolumeObject::default()
        },
    };
    let translated = csi_translation::translate_volume(&in_tree).map_err(|error| error.to_string())?;
    Ok(translated.source.volume_handle)
}

#[cfg(test)]
mod tests;
