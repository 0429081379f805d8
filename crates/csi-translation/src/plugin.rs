//! The table of plugins: who replaces whom, and which code translates between them (provisioner sheet 5.10).

use crate::class::StorageClass;
use crate::plugins::{AwsEbs, AzureDisk, AzureFile, Cinder, GcePd, Portworx, Vsphere};
use crate::{CsiVolume, InTreeVolume, TranslationError};

/// One plugin and the driver in its place.
pub(crate) struct Plugin {
    /// Name of the CSI driver.
    pub(crate) driver: &'static str,
    /// Name of the in-tree plugin.
    pub(crate) in_tree: &'static str,
    /// JSON name of the plugin's volume source.
    pub(crate) source: &'static str,
    /// How to translate.
    pub(crate) translator: &'static (dyn Translate + Sync),
}

/// What each plugin knows to do.
pub(crate) trait Translate {
    /// See [`crate::translate_volume`].
    fn to_csi(&self, volume: &InTreeVolume) -> Result<CsiVolume, TranslationError>;

    /// See [`crate::translate_back`].
    fn to_in_tree(&self, volume: &CsiVolume) -> Result<InTreeVolume, TranslationError>;

    /// See [`crate::translate_class`].
    fn class(&self, class: StorageClass) -> Result<StorageClass, TranslationError>;

    /// See [`crate::repair_handle`]. Most handles are complete from the start.
    fn repair(&self, handle: &str, _node_id: &str) -> Result<String, TranslationError> {
        Ok(handle.to_owned())
    }
}

pub(crate) static PLUGINS: [Plugin; 7] = [
    Plugin {
        driver: AwsEbs::DRIVER,
        in_tree: "kubernetes.io/aws-ebs",
        source: AwsEbs::SOURCE,
        translator: &AwsEbs,
    },
    Plugin {
        driver: GcePd::DRIVER,
        in_tree: "kubernetes.io/gce-pd",
        source: GcePd::SOURCE,
        translator: &GcePd,
    },
    Plugin {
        driver: AzureDisk::DRIVER,
        in_tree: "kubernetes.io/azure-disk",
        source: AzureDisk::SOURCE,
        translator: &AzureDisk,
    },
    Plugin {
        driver: AzureFile::DRIVER,
        in_tree: "kubernetes.io/azure-file",
        source: AzureFile::SOURCE,
        translator: &AzureFile,
    },
    Plugin {
        driver: Cinder::DRIVER,
        in_tree: "kubernetes.io/cinder",
        source: Cinder::SOURCE,
        translator: &Cinder,
    },
    Plugin {
        driver: Vsphere::DRIVER,
        in_tree: "kubernetes.io/vsphere-volume",
        source: Vsphere::SOURCE,
        translator: &Vsphere,
    },
    Plugin {
        driver: Portworx::DRIVER,
        in_tree: "kubernetes.io/portworx-volume",
        source: Portworx::SOURCE,
        translator: &Portworx,
    },
];

/// The plugin that `driver` replaces.
pub(crate) fn of_driver(driver: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.driver == driver)
}

/// The plugin called `in_tree`.
pub(crate) fn of_in_tree(in_tree: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.in_tree == in_tree)
}

/// The plugin whose volume source has this JSON name.
pub(crate) fn of_source(source: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.source == source)
}
