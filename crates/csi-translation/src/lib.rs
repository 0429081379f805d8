//! Volumes and classes of Kubernetes' old in-tree plugins, in the words of the CSI drivers that replaced them.
//!
//! Kubernetes keeps such volumes as they were written (`spec.gcePersistentDisk` and its like) and has the CSI sidecars
//! translate them whenever they talk to the driver. Everything here is a pure function of names, JSON and maps: sidecars
//! fill [`InTreeVolume`] from what their caches keep, call [`translate_volume`], and use the [`CsiVolume`] that comes
//! back. The provisioner goes the other way, too ([`translate_back`], [`in_tree_object`]), because users of an in-tree class
//! expect an in-tree volume.
//!
//! The table of drivers is that of the provisioner sheet (5.10); error texts are upstream's, because they end up in
//! events and in the status of attachments.

mod class;
mod error;
mod object;
mod plugin;
mod plugins;
mod topology;
mod volume;

pub use class::{StorageClass, TopologyRequirement, translate_class};
pub use error::TranslationError;
pub use object::{csi_object, in_tree_object, source_kind};
pub use volume::{CsiSource, CsiVolume, InTreeVolume, Requirement, SecretRef, Term, VolumeObject};

/// Whether `driver` replaces an in-tree plugin.
pub fn is_migrated_driver(driver: &str) -> bool {
    plugin::of_driver(driver).is_some()
}

/// The in-tree plugin that `driver` replaces, such as `kubernetes.io/aws-ebs`.
pub fn in_tree_name(driver: &str) -> Option<&'static str> {
    plugin::of_driver(driver).map(|plugin| plugin.in_tree)
}

/// The CSI driver that replaces the in-tree plugin `in_tree`.
pub fn driver_of(in_tree: &str) -> Option<&'static str> {
    plugin::of_in_tree(in_tree).map(|plugin| plugin.driver)
}

/// The CSI driver that takes over volumes with a source of this JSON name, such as `awsElasticBlockStore`.
///
/// `None` means that such volumes are not migrated.
pub fn driver_of_source(kind: &str) -> Option<&'static str> {
    plugin::of_source(kind).map(|plugin| plugin.driver)
}

/// The volume as its CSI driver knows it.
///
/// Fails for a source that no driver takes over, and for one that cannot be expressed in CSI.
pub fn translate_volume(volume: &InTreeVolume) -> Result<CsiVolume, TranslationError> {
    let plugin = plugin::of_source(&volume.kind)
        .ok_or_else(|| TranslationError::UnknownSource(volume.object.name.clone()))?;
    plugin.translator.to_csi(volume)
}

/// The volume as its in-tree plugin would have made it, so that it stays usable where migration is off.
///
/// Fails for a driver that replaces no plugin, and for a volume that the plugin could not have made.
pub fn translate_back(volume: &CsiVolume) -> Result<InTreeVolume, TranslationError> {
    let driver = &volume.source.driver;
    let plugin = plugin::of_driver(driver).ok_or_else(|| TranslationError::UnknownDriver(driver.clone()))?;
    plugin.translator.to_in_tree(volume)
}

/// Completes a translated handle with what the driver's id of a node says, as far as the handle leaves it open.
///
/// Listings of the driver know only complete handles; calls take the others as well (attacher sheet 5.11). Fails for
/// drivers that replace no plugin.
pub fn repair_handle(driver: &str, handle: &str, node_id: &str) -> Result<String, TranslationError> {
    let plugin =
        plugin::of_driver(driver).ok_or_else(|| TranslationError::UnknownDriver(driver.to_owned()))?;
    plugin.translator.repair(handle, node_id)
}
