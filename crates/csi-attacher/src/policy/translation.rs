//! Volumes of in-tree plugins in the terms of the CSI driver that replaces the plugin (sheet 5.9).

use sidecar_core::objects::Volume;

use super::failure::Failure;
use super::target::Target;

/// CSI drivers that replace an in-tree plugin, and the name of that plugin's volume source.
const PLUGINS: [(&str, &str); 7] = [
    ("ebs.csi.aws.com", "awsElasticBlockStore"),
    ("pd.csi.storage.gke.io", "gcePersistentDisk"),
    ("disk.csi.azure.com", "azureDisk"),
    ("file.csi.azure.com", "azureFile"),
    ("cinder.csi.openstack.org", "cinder"),
    ("csi.vsphere.vmware.com", "vsphereVolume"),
    ("pxd.portworx.com", "portworxVolume"),
];

/// Whether a driver of this name replaces an in-tree plugin.
pub fn is_migrated_driver(driver: &str) -> bool {
    PLUGINS.iter().any(|(name, _)| *name == driver)
}

/// Whether the volume has a source that some CSI driver takes over.
pub fn is_migratable(volume: &Volume) -> bool {
    let source = volume.in_tree.as_deref();
    source.is_some_and(|source| PLUGINS.iter().any(|(_, plugin)| *plugin == source))
}

/// The volume as the driver that takes it over knows it.
pub(super) fn translate(volume: &Volume) -> Result<Target, Failure> {
    let source = volume.in_tree.as_deref().unwrap_or_default();
    Err(Failure::new(format!("failed to translate in tree pv to CSI: {source} is not supported by this version")))
}

/// The handle with what only the node's id tells filled in.
pub fn repair_handle(driver: &str, handle: &str, _node_id: &str) -> Result<String, String> {
    if !is_migrated_driver(driver) {
        return Err(format!("could not find In-Tree driver name for CSI plugin {driver}"));
    }
    Ok(handle.to_owned())
}
