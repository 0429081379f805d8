//! Storage classes of in-tree plugins: parameters and zones in the driver's words.

use std::collections::BTreeMap;

use crate::topology::{ZONE, ZONE_BETA};
use crate::{TranslationError, plugin};

/// The name of a file system in parameters of in-tree plugins, in any case.
pub(crate) const FS_TYPE: &str = "fstype";
/// The same for CSI drivers.
pub(crate) const CSI_FS_TYPE: &str = "csi.storage.k8s.io/fstype";

/// What translation reads and changes of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClass {
    /// `provisioner`.
    pub provisioner: String,
    /// `parameters`.
    pub parameters: BTreeMap<String, String>,
    /// `allowedTopologies`: the requirements of each term.
    pub allowed_topologies: Vec<Vec<TopologyRequirement>>,
}

/// A label and the values it may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyRequirement {
    /// Key of the label.
    pub key: String,
    /// Values, any one of which will do.
    pub values: Vec<String>,
}

/// The class as the CSI driver in the place of its provisioner expects it.
///
/// `provisioner` stays the plugin's name, except for Portworx, as upstream has it: compare with the driver's name where
/// that is meant. Fails for a class of no migrated plugin, and for one that names its zones twice.
pub fn translate_class(class: StorageClass) -> Result<StorageClass, TranslationError> {
    match plugin::of_in_tree(&class.provisioner) {
        Some(plugin) => plugin.translator.class(class),
        None => Err(TranslationError::UnknownProvisioner(class.provisioner)),
    }
}

impl StorageClass {
    /// Gives the file system its CSI name.
    pub(crate) fn rename_fs_type(&mut self) {
        for (key, value) in std::mem::take(&mut self.parameters) {
            let key = if key.to_lowercase() == FS_TYPE { CSI_FS_TYPE.to_owned() } else { key };
            self.parameters.insert(key, value);
        }
    }

    /// Turns the parameters `zone` and `zones` into allowed topologies, or else translates those there are.
    pub(crate) fn place_zones(&mut self, csi_zone: &str) -> Result<(), TranslationError> {
        let mut zones = None;
        self.parameters.retain(|key, value| {
            let named: Option<Vec<String>> = match key.to_lowercase().as_str() {
                "zone" => Some(vec![value.clone()]),
                "zones" => Some(value.split(',').map(str::to_owned).collect()),
                _ => None,
            };
            let keep = named.is_none();
            zones = named.or(zones.take());
            keep
        });
        match zones {
            Some(_) if !self.allowed_topologies.is_empty() => Err(TranslationError::ZonesTwice),
            Some(values) => {
                self.allowed_topologies =
                    vec![vec![TopologyRequirement { key: csi_zone.to_owned(), values }]];
                Ok(())
            }
            None => {
                self.rename_zones(csi_zone);
                Ok(())
            }
        }
    }

    /// Gives the zones of the allowed topologies the driver's key; other keys stay.
    pub(crate) fn rename_zones(&mut self, csi_zone: &str) {
        for requirement in self.allowed_topologies.iter_mut().flatten() {
            if requirement.key == ZONE || requirement.key == ZONE_BETA {
                csi_zone.clone_into(&mut requirement.key);
            }
        }
    }
}
