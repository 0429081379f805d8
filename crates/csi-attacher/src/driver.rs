//! What is said to the driver: its names and abilities, and the requests (sheet 6).
//!
//! All of it is pure; the calls themselves are made by the shell.

pub mod request;

use csi_client::csi::controller_service_capability::rpc::Type as Rpc;
use csi_client::csi::plugin_capability::service::Type as Service;
use csi_client::{ControllerCapabilities, PluginCapabilities};

use crate::policy::finalizer;

/// A driver as the sidecar found it at start.
#[derive(Clone, Debug)]
pub struct Driver {
    /// What it calls itself, and what attachments call it.
    pub name: String,
    /// The finalizer that its attacher puts on attachments and volumes.
    pub finalizer: String,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl Driver {
    /// A driver of this name.
    pub fn new(name: impl Into<String>, capabilities: Capabilities) -> Self {
        let name = name.into();
        Self { finalizer: finalizer::name(&name), name, capabilities }
    }
}

/// What a driver can do, as far as attaching cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent capabilities")]
pub struct Capabilities {
    /// It attaches and detaches; otherwise every attachment is simply called attached.
    pub publish_unpublish: bool,
    /// It attaches read-only where asked to.
    pub publish_readonly: bool,
    /// It tells which volumes are attached where.
    pub list_published_nodes: bool,
    /// It tells one writer on a node from several.
    pub single_node_multi_writer: bool,
}

impl Capabilities {
    /// Reads the two sets that the driver reports.
    pub fn new(plugin: &PluginCapabilities, controller: &ControllerCapabilities) -> Self {
        let publish_unpublish =
            plugin.has(Service::ControllerService) && controller.has(Rpc::PublishUnpublishVolume);
        let lists = controller.has(Rpc::ListVolumes) && controller.has(Rpc::ListVolumesPublishedNodes);
        Self {
            publish_unpublish,
            publish_readonly: controller.has(Rpc::PublishReadonly),
            list_published_nodes: publish_unpublish && lists,
            single_node_multi_writer: controller.has(Rpc::SingleNodeMultiWriter),
        }
    }
}
