//! What a driver's author writes: four traits, one per CSI service.
//!
//! Every call that a driver does not have answers UNIMPLEMENTED by itself, so a driver writes only what it
//! advertises. Requests have been validated, and no two calls for one volume run at once.

use std::collections::BTreeMap;

use csi_client::csi;
use csi_client::csi::controller_service_capability::rpc::Type as ControllerCapability;
use csi_client::csi::group_controller_service_capability::rpc::Type as GroupCapability;
use csi_client::csi::node_service_capability::rpc::Type as NodeCapability;
use csi_client::csi::plugin_capability::{Type as PluginCapability, service};
use tonic::Status;

/// The answer of a call.
pub type Answer<T> = Result<T, Status>;

/// Who the driver is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginInfo {
    /// Domain-like name, at most 63 characters.
    pub name: String,
    /// Version in any form, not empty.
    pub version: String,
    /// Further facts, not interpreted by anyone.
    pub manifest: BTreeMap<String, String>,
}

/// UNIMPLEMENTED in the words of Go's gRPC.
pub fn unimplemented(method: &str) -> Status {
    Status::unimplemented(format!("method {method} not implemented"))
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $response:ident as $method:literal;)*) => {
        $($(#[$doc])*
        fn $name(
            &self,
            request: csi::$request,
        ) -> impl Future<Output = Answer<csi::$response>> + Send {
            let _unused = request;
            async { Err(unimplemented($method)) }
        })*
    };
}

/// Who the driver is, what it offers, and whether it is ready.
pub trait Identity: Send + Sync + 'static {
    /// Name and version.
    fn plugin_info(&self) -> PluginInfo;

    /// The services offered and the kinds of expansion.
    fn plugin_capabilities(&self) -> Vec<PluginCapability> {
        vec![plugin_service(service::Type::ControllerService)]
    }

    /// Whether the driver can work. An error makes Kubernetes restart it; no opinion counts as ready.
    fn ready(&self) -> impl Future<Output = Answer<Option<bool>>> + Send {
        async { Ok(None) }
    }
}

/// A plugin capability that names a service.
pub fn plugin_service(kind: service::Type) -> PluginCapability {
    PluginCapability::Service(csi::plugin_capability::Service { r#type: kind.into() })
}

/// Volumes and snapshots as seen by the whole cluster.
pub trait Controller: Send + Sync + 'static {
    /// What is advertised, in this order.
    fn controller_capabilities(&self) -> Vec<ControllerCapability> {
        Vec::new()
    }

    /// Called before anything else for each call (`CreateVolume` ...) that needs a capability. UNIMPLEMENTED if it is
    /// not advertised.
    fn admit_controller(&self, method: &str, needed: ControllerCapability) -> Answer<()> {
        if self.controller_capabilities().contains(&needed) {
            return Ok(());
        }
        Err(Status::unimplemented(format!("{method} is not supported")))
    }

    calls! {
        /// Makes a volume, or finds the one with this name.
        create_volume(CreateVolumeRequest) -> CreateVolumeResponse as "CreateVolume";
        /// Removes a volume; an unknown one is fine.
        delete_volume(DeleteVolumeRequest) -> DeleteVolumeResponse as "DeleteVolume";
        /// Makes a volume reachable for a node.
        controller_publish_volume(ControllerPublishVolumeRequest) -> ControllerPublishVolumeResponse
            as "ControllerPublishVolume";
        /// Takes a volume from a node.
        controller_unpublish_volume(ControllerUnpublishVolumeRequest) -> ControllerUnpublishVolumeResponse
            as "ControllerUnpublishVolume";
        /// Whether a volume can be used in the given ways.
        validate_volume_capabilities(ValidateVolumeCapabilitiesRequest) -> ValidateVolumeCapabilitiesResponse
            as "ValidateVolumeCapabilities";
        /// The volumes, page by page.
        list_volumes(ListVolumesRequest) -> ListVolumesResponse as "ListVolumes";
        /// The volumes with a problem, page by page.
        controller_list_volume_health(ControllerListVolumeHealthRequest) -> ControllerListVolumeHealthResponse
            as "ControllerListVolumeHealth";
        /// The problems of one volume.
        controller_get_volume_health(ControllerGetVolumeHealthRequest) -> ControllerGetVolumeHealthResponse
            as "ControllerGetVolumeHealth";
        /// The room that is left.
        get_capacity(GetCapacityRequest) -> GetCapacityResponse as "GetCapacity";
        /// Cuts a snapshot, or finds the one with this name.
        create_snapshot(CreateSnapshotRequest) -> CreateSnapshotResponse as "CreateSnapshot";
        /// Removes a snapshot; an unknown one is fine.
        delete_snapshot(DeleteSnapshotRequest) -> DeleteSnapshotResponse as "DeleteSnapshot";
        /// The snapshots, page by page.
        list_snapshots(ListSnapshotsRequest) -> ListSnapshotsResponse as "ListSnapshots";
        /// One snapshot.
        get_snapshot(GetSnapshotRequest) -> GetSnapshotResponse as "GetSnapshot";
        /// Makes a volume larger.
        controller_expand_volume(ControllerExpandVolumeRequest) -> ControllerExpandVolumeResponse
            as "ControllerExpandVolume";
        /// One volume and its condition.
        controller_get_volume(ControllerGetVolumeRequest) -> ControllerGetVolumeResponse
            as "ControllerGetVolume";
        /// Changes a volume's mutable parameters.
        controller_modify_volume(ControllerModifyVolumeRequest) -> ControllerModifyVolumeResponse
            as "ControllerModifyVolume";
    }
}

/// Volumes as seen by the node that the driver runs on.
pub trait Node: Send + Sync + 'static {
    /// What is advertised, in this order.
    fn node_capabilities(&self) -> Vec<NodeCapability> {
        Vec::new()
    }

    /// Called before anything else for each call (`CreateVolume` ...) that needs a capability. UNIMPLEMENTED if it is
    /// not advertised.
    fn admit_node(&self, method: &str, needed: NodeCapability) -> Answer<()> {
        if self.node_capabilities().contains(&needed) {
            return Ok(());
        }
        Err(Status::unimplemented(format!("{method} is not supported")))
    }

    /// Name, limits and place of the node.
    fn node_info(&self) -> impl Future<Output = Answer<csi::NodeGetInfoResponse>> + Send {
        async { Err(unimplemented("NodeGetInfo")) }
    }

    calls! {
        /// Prepares a volume for use on this node.
        node_stage_volume(NodeStageVolumeRequest) -> NodeStageVolumeResponse as "NodeStageVolume";
        /// Undoes staging.
        node_unstage_volume(NodeUnstageVolumeRequest) -> NodeUnstageVolumeResponse as "NodeUnstageVolume";
        /// Shows a volume at a pod's path.
        node_publish_volume(NodePublishVolumeRequest) -> NodePublishVolumeResponse as "NodePublishVolume";
        /// Takes it away again and removes what publishing made at the path.
        node_unpublish_volume(NodeUnpublishVolumeRequest) -> NodeUnpublishVolumeResponse
            as "NodeUnpublishVolume";
        /// Usage of a volume.
        node_get_volume_stats(NodeGetVolumeStatsRequest) -> NodeGetVolumeStatsResponse
            as "NodeGetVolumeStats";
        /// The problems of one volume on this node.
        node_get_volume_health(NodeGetVolumeHealthRequest) -> NodeGetVolumeHealthResponse
            as "NodeGetVolumeHealth";
        /// The problems of whole backends as seen from this node.
        node_get_storage_health(NodeGetStorageHealthRequest) -> NodeGetStorageHealthResponse
            as "NodeGetStorageHealth";
        /// Makes the filesystem or device on this node as large as the volume.
        node_expand_volume(NodeExpandVolumeRequest) -> NodeExpandVolumeResponse as "NodeExpandVolume";
    }
}

/// Snapshots of several volumes at one moment.
pub trait GroupController: Send + Sync + 'static {
    /// What is advertised, in this order.
    fn group_capabilities(&self) -> Vec<GroupCapability> {
        Vec::new()
    }

    /// Called before anything else for each call (`CreateVolume` ...) that needs a capability. UNIMPLEMENTED if it is
    /// not advertised.
    fn admit_group(&self, method: &str, needed: GroupCapability) -> Answer<()> {
        if self.group_capabilities().contains(&needed) {
            return Ok(());
        }
        Err(Status::unimplemented(format!("{method} is not supported")))
    }

    calls! {
        /// Cuts a group snapshot, or finds the one with this name.
        create_volume_group_snapshot(CreateVolumeGroupSnapshotRequest) -> CreateVolumeGroupSnapshotResponse
            as "CreateVolumeGroupSnapshot";
        /// Removes a group with its members; an unknown one is fine.
        delete_volume_group_snapshot(DeleteVolumeGroupSnapshotRequest) -> DeleteVolumeGroupSnapshotResponse
            as "DeleteVolumeGroupSnapshot";
        /// One group.
        get_volume_group_snapshot(GetVolumeGroupSnapshotRequest) -> GetVolumeGroupSnapshotResponse
            as "GetVolumeGroupSnapshot";
    }
}

/// A driver: all four services in one value. Those that it does not offer are empty `impl`s.
pub trait Driver: Identity + Controller + Node + GroupController {}

impl<D: Identity + Controller + Node + GroupController> Driver for D {}
