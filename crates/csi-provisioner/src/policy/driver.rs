//! The driver, as far as decisions depend on it: its names and what it can do.

use csi_client::csi::controller_service_capability::rpc::Type as Rpc;
use csi_client::csi::plugin_capability::service::Type as Service;
use csi_client::{ControllerCapabilities, PluginCapabilities};

use super::names::Provisioner;

/// A driver as the sidecar found it at start.
#[derive(Clone, Debug)]
pub(crate) struct Driver {
    /// Its names.
    pub names: Provisioner,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What a driver can do, as far as provisioning cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent capabilities")]
pub(crate) struct Capabilities {
    /// It has a controller service.
    pub controller_service: bool,
    /// Its volumes are not reachable from everywhere.
    pub accessibility_constraints: bool,
    /// It creates and deletes volumes.
    pub create_delete_volume: bool,
    /// It creates and deletes snapshots.
    pub create_delete_snapshot: bool,
    /// It clones volumes.
    pub clone_volume: bool,
    /// It changes volumes after the fact.
    pub modify_volume: bool,
    /// It attaches volumes to nodes.
    pub publish_unpublish_volume: bool,
    /// It tells one writer on a node from several.
    pub single_node_multi_writer: bool,
}

impl Capabilities {
    /// Reads the two sets that the driver reports.
    pub(crate) fn new(plugin: &PluginCapabilities, controller: &ControllerCapabilities) -> Self {
        Self {
            controller_service: plugin.has(Service::ControllerService),
            accessibility_constraints: plugin.has(Service::VolumeAccessibilityConstraints),
            create_delete_volume: controller.has(Rpc::CreateDeleteVolume),
            create_delete_snapshot: controller.has(Rpc::CreateDeleteSnapshot),
            clone_volume: controller.has(Rpc::CloneVolume),
            modify_volume: controller.has(Rpc::ModifyVolume),
            publish_unpublish_volume: controller.has(Rpc::PublishUnpublishVolume),
            single_node_multi_writer: controller.has(Rpc::SingleNodeMultiWriter),
        }
    }

    /// Whether volumes can be made and deleted at all.
    pub(crate) fn check_provisioning(self) -> Result<(), &'static str> {
        if !self.controller_service {
            return Err(
                "CSI driver does not support dynamic provisioning: plugin CONTROLLER_SERVICE capability is not reported",
            );
        }
        if !self.create_delete_volume {
            return Err(
                "CSI driver does not support dynamic provisioning: controller CREATE_DELETE_VOLUME capability is not reported",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_services_are_named() {
        let none = Capabilities::default();
        assert!(none.check_provisioning().unwrap_err().contains("CONTROLLER_SERVICE"));
        let no_create = Capabilities { controller_service: true, ..none };
        assert!(no_create.check_provisioning().unwrap_err().contains("CREATE_DELETE_VOLUME"));
        assert!(Capabilities { create_delete_volume: true, ..no_create }.check_provisioning().is_ok());
    }
}
