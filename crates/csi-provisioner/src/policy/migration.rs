//! In-tree plugins that CSI drivers replace. Only the names are here: translating classes and volumes is not part of
//! this version, so whatever would need it is refused with an event instead of being half done (sheet 5.10).

/// The in-tree plugin that a driver replaces, if it replaces one.
pub(crate) use csi_translation::in_tree_name as in_tree_plugin;

/// Why a class of an in-tree plugin is refused.
pub(crate) fn unsupported_class(plugin: &str) -> String {
    format!("StorageClass of in-tree plugin {plugin}: migration is not supported yet by this version")
}

/// Why an in-tree volume is not deleted.
pub(crate) fn unsupported_volume(source: &str) -> String {
    format!("volume with in-tree source {source}: migration is not supported yet by this version")
}
