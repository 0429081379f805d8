//! vSphere.

use serde::{Deserialize, Serialize};

use crate::class::{CSI_FS_TYPE, FS_TYPE, StorageClass};
use crate::plugin::Translate;
use crate::{CsiSource, CsiVolume, InTreeVolume, TranslationError, VolumeObject, topology};

pub(crate) struct Vsphere;

const ZONE: &str = "topology.csi.vmware.com/zone";
const REGION: &str = "topology.csi.vmware.com/region";
const STORAGE_POLICY: &str = "storagepolicyname";
/// Asks the driver to answer with [`INITIAL_PATH`].
const MIGRATION: &str = "csimigration";
/// The path of a new volume: the plugin knows no ids.
const INITIAL_PATH: &str = "initialvolumefilepath";

/// Parameters that the driver takes under another name, and only for migrated classes.
const PARAMETERS: [(&str, &str); 8] = [
    ("datastore", "datastore-migrationparam"),
    ("diskformat", "diskformat-migrationparam"),
    ("hostfailurestotolerate", "hostfailurestotolerate-migrationparam"),
    ("forceprovisioning", "forceprovisioning-migrationparam"),
    ("cachereservation", "cachereservation-migrationparam"),
    ("diskstripes", "diskstripes-migrationparam"),
    ("objectspacereservation", "objectspacereservation-migrationparam"),
    ("iopslimit", "iopslimit-migrationparam"),
];

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    volume_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fs_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_policy_name: String,
}

impl Vsphere {
    pub(crate) const DRIVER: &str = "csi.vsphere.vmware.com";
    pub(crate) const SOURCE: &str = "vsphereVolume";
}

impl Translate for Vsphere {
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
        let disk: Source = volume.read()?;
        let mut object = volume.object.clone();
        let (zone, region) = topology::labels_of(&object);
        place(&mut object, zone, ZONE);
        place(&mut object, region, REGION);
        let mut source = CsiSource {
            driver: Self::DRIVER.to_owned(),
            volume_handle: disk.volume_path,
            fs_type: disk.fs_type,
            ..CsiSource::default()
        };
        if !disk.storage_policy_name.is_empty() {
            source.volume_attributes.insert(STORAGE_POLICY.to_owned(), disk.storage_policy_name);
        }
        Ok(CsiVolume { source, object })
    }

    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
        let csi = &volume.source;
        let disk = Source {
            volume_path: csi.volume_attributes.get(INITIAL_PATH).cloned().unwrap_or_default(),
            fs_type: csi.fs_type.clone(),
            storage_policy_name: String::new(),
        };
        let mut object = volume.object.clone();
        let (zone, region) = topology::labels_of(&object);
        topology::rename(&mut object, ZONE, zone);
        topology::rename(&mut object, REGION, region);
        // Without a zone there is no region either.
        if label(&mut object, zone) {
            label(&mut object, region);
        }
        InTreeVolume::with(Self::SOURCE, &disk, object)
    }

    fn class(&self, mut class: StorageClass) -> Result<StorageClass, TranslationError> {
        let parameters = std::mem::take(&mut class.parameters);
        class.parameters = parameters
            .into_iter()
            .filter_map(|(key, value)| Some((parameter(&key.to_lowercase())?.to_owned(), value)))
            .collect();
        class.parameters.insert(MIGRATION.to_owned(), "true".to_owned());
        class.rename_zones(ZONE);
        Ok(class)
    }
}

/// What the driver calls a parameter of the plugin, if it knows it.
fn parameter(lower: &str) -> Option<&'static str> {
    match lower {
        FS_TYPE => Some(CSI_FS_TYPE),
        STORAGE_POLICY => Some(STORAGE_POLICY),
        _ => PARAMETERS.iter().find(|(old, _)| *old == lower).map(|(_, new)| *new),
    }
}

/// Renames `key` in the affinity, or else requires the whole value of the label, which is never a list here.
fn place(object: &mut VolumeObject, key: &str, csi_key: &str) {
    if topology::values(object, key).is_empty() {
        let value = object.labels.get(key).cloned();
        topology::require(object, csi_key, value.as_slice());
    } else {
        topology::rename(object, key, csi_key);
    }
}

/// Labels the volume with the first value that its affinity has for `key`; says whether there is one.
fn label(object: &mut VolumeObject, key: &str) -> bool {
    let first = topology::values(object, key).into_iter().next();
    let is_there = first.is_some();
    if let Some(value) = first {
        object.labels.entry(key.to_owned()).or_insert(value);
    }
    is_there
}
