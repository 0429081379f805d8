//! In-tree plugins that CSI drivers replace. Only the names are here: translating classes and volumes is not part of
//! this version, so whatever would need it is refused with an event instead of being half done (sheet 5.10).

/// CSI driver, the in-tree plugin it replaces, and the name of that plugin's volume source.
const PLUGINS: [(&str, &str, &str); 7] = [
    ("ebs.csi.aws.com", "kubernetes.io/aws-ebs", "awsElasticBlockStore"),
    ("pd.csi.storage.gke.io", "kubernetes.io/gce-pd", "gcePersistentDisk"),
    ("disk.csi.azure.com", "kubernetes.io/azure-disk", "azureDisk"),
    ("file.csi.azure.com", "kubernetes.io/azure-file", "azureFile"),
    ("cinder.csi.openstack.org", "kubernetes.io/cinder", "cinder"),
    ("csi.vsphere.vmware.com", "kubernetes.io/vsphere-volume", "vsphereVolume"),
    ("pxd.portworx.com", "kubernetes.io/portworx-volume", "portworxVolume"),
];

/// The in-tree plugin that `driver` replaces, if it replaces one.
pub(crate) fn in_tree_plugin(driver: &str) -> Option<&'static str> {
    PLUGINS.iter().find(|(csi, _, _)| *csi == driver).map(|(_, plugin, _)| *plugin)
}

/// Why a class of an in-tree plugin is refused.
pub(crate) fn unsupported_class(plugin: &str) -> String {
    format!("StorageClass of in-tree plugin {plugin}: migration is not supported yet by this version")
}

/// Why an in-tree volume is not deleted.
pub(crate) fn unsupported_volume(source: &str) -> String {
    format!("volume with in-tree source {source}: migration is not supported yet by this version")
}
