//! The Identity service.

use csi_client::csi::plugin_capability::{Type, service};
use csi_driver_kit::driver::{Identity, PluginInfo, plugin_service};

use crate::plugin::Plugin;

impl Identity for Plugin {
    fn plugin_info(&self) -> PluginInfo {
        let config = self.driver.config();
        PluginInfo {
            name: config.driver_name.clone(),
            version: config.version.clone(),
            ..PluginInfo::default()
        }
    }

    fn plugin_capabilities(&self) -> Vec<Type> {
        let mut capabilities = vec![
            plugin_service(service::Type::ControllerService),
            plugin_service(service::Type::GroupControllerService),
        ];
        if self.driver.config().enable_topology {
            capabilities.push(plugin_service(service::Type::VolumeAccessibilityConstraints));
        }
        if self.driver.config().enable_snapshot_metadata {
            capabilities.push(plugin_service(service::Type::SnapshotMetadataService));
        }
        capabilities
    }
}
