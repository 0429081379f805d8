//! The generated server traits, filled in with the common path. One line per method.

use csi_client::csi;
use csi_client::csi::controller_service_capability::rpc::Type as ControllerCapability;
use csi_client::csi::group_controller_service_capability::rpc::Type as GroupCapability;
use csi_client::csi::node_service_capability::rpc::Type as NodeCapability;
use csi_client::csi::{
    ControllerServiceCapability, GroupControllerServiceCapability, NodeServiceCapability, PluginCapability,
    controller_server, controller_service_capability, group_controller_server,
    group_controller_service_capability, identity_server, node_server, node_service_capability,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::driver::{Answer, Driver};

#[tonic::async_trait]
impl<D: Driver> identity_server::Identity for Service<D> {
    async fn get_plugin_info(
        &self,
        request: Request<csi::GetPluginInfoRequest>,
    ) -> Answer<Response<csi::GetPluginInfoResponse>> {
        self.observed("/csi.v1.Identity/GetPluginInfo", request, |_| async {
            let info = self.driver.plugin_info();
            if info.name.is_empty() {
                return Err(Status::unavailable("Driver name not configured"));
            }
            if info.version.is_empty() {
                return Err(Status::unavailable("Driver is missing version"));
            }
            Ok(csi::GetPluginInfoResponse {
                name: info.name,
                vendor_version: info.version,
                manifest: info.manifest,
            })
        })
        .await
    }

    async fn get_plugin_capabilities(
        &self,
        request: Request<csi::GetPluginCapabilitiesRequest>,
    ) -> Answer<Response<csi::GetPluginCapabilitiesResponse>> {
        self.observed("/csi.v1.Identity/GetPluginCapabilities", request, |_| async {
            let all = self.driver.plugin_capabilities();
            let capabilities =
                all.into_iter().map(|r#type| PluginCapability { r#type: Some(r#type) }).collect();
            Ok(csi::GetPluginCapabilitiesResponse { capabilities })
        })
        .await
    }

    async fn probe(&self, request: Request<csi::ProbeRequest>) -> Answer<Response<csi::ProbeResponse>> {
        self.observed("/csi.v1.Identity/Probe", request, |_| async {
            Ok(csi::ProbeResponse { ready: self.driver.ready().await? })
        })
        .await
    }
}

/// Methods with all checks. `needs` names the capability that must be admitted first.
macro_rules! methods {
    ($service:literal, $($name:ident($request:ident) -> $response:ident as $method:literal
        $(needs $admit:ident($capability:expr))?;)*) => {
        $(fn $name<'a, 'b>(
            &'a self,
            request: Request<csi::$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Answer<Response<csi::$response>>> + Send + 'b>>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move {
                self.checked(
                    concat!("/csi.v1.", $service, "/", $method),
                    request,
                    |_driver| {
                        $(_driver.$admit($method, $capability)?;)?
                        Ok(())
                    },
                    |driver, request| async move { driver.$name(request).await },
                )
                .await
            })
        })*
    };
}

impl<D: Driver> controller_server::Controller for Service<D> {
    fn controller_get_capabilities<'a, 'b>(
        &'a self,
        request: Request<csi::ControllerGetCapabilitiesRequest>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Answer<Response<csi::ControllerGetCapabilitiesResponse>>> + Send + 'b>,
    >
    where
        'a: 'b,
        Self: 'b,
    {
        use controller_service_capability::{Rpc, Type};
        Box::pin(self.observed("/csi.v1.Controller/ControllerGetCapabilities", request, |_| async {
            let wrap = |kind: ControllerCapability| ControllerServiceCapability {
                r#type: Some(Type::Rpc(Rpc { r#type: kind.into() })),
            };
            let capabilities = self.driver.controller_capabilities().into_iter().map(wrap).collect();
            Ok(csi::ControllerGetCapabilitiesResponse { capabilities })
        }))
    }

    methods! { "Controller",
        create_volume(CreateVolumeRequest) -> CreateVolumeResponse as "CreateVolume"
            needs admit_controller(ControllerCapability::CreateDeleteVolume);
        delete_volume(DeleteVolumeRequest) -> DeleteVolumeResponse as "DeleteVolume"
            needs admit_controller(ControllerCapability::CreateDeleteVolume);
        controller_publish_volume(ControllerPublishVolumeRequest) -> ControllerPublishVolumeResponse
            as "ControllerPublishVolume" needs admit_controller(ControllerCapability::PublishUnpublishVolume);
        controller_unpublish_volume(ControllerUnpublishVolumeRequest) -> ControllerUnpublishVolumeResponse
            as "ControllerUnpublishVolume"
            needs admit_controller(ControllerCapability::PublishUnpublishVolume);
        validate_volume_capabilities(ValidateVolumeCapabilitiesRequest)
            -> ValidateVolumeCapabilitiesResponse as "ValidateVolumeCapabilities";
        list_volumes(ListVolumesRequest) -> ListVolumesResponse as "ListVolumes"
            needs admit_controller(ControllerCapability::ListVolumes);
        controller_list_volume_health(ControllerListVolumeHealthRequest)
            -> ControllerListVolumeHealthResponse as "ControllerListVolumeHealth"
            needs admit_controller(ControllerCapability::ListVolumeHealth);
        controller_get_volume_health(ControllerGetVolumeHealthRequest)
            -> ControllerGetVolumeHealthResponse as "ControllerGetVolumeHealth"
            needs admit_controller(ControllerCapability::GetVolumeHealth);
        get_capacity(GetCapacityRequest) -> GetCapacityResponse as "GetCapacity"
            needs admit_controller(ControllerCapability::GetCapacity);
        create_snapshot(CreateSnapshotRequest) -> CreateSnapshotResponse as "CreateSnapshot"
            needs admit_controller(ControllerCapability::CreateDeleteSnapshot);
        delete_snapshot(DeleteSnapshotRequest) -> DeleteSnapshotResponse as "DeleteSnapshot"
            needs admit_controller(ControllerCapability::CreateDeleteSnapshot);
        list_snapshots(ListSnapshotsRequest) -> ListSnapshotsResponse as "ListSnapshots"
            needs admit_controller(ControllerCapability::ListSnapshots);
        get_snapshot(GetSnapshotRequest) -> GetSnapshotResponse as "GetSnapshot"
            needs admit_controller(ControllerCapability::GetSnapshot);
        controller_expand_volume(ControllerExpandVolumeRequest) -> ControllerExpandVolumeResponse
            as "ControllerExpandVolume" needs admit_controller(ControllerCapability::ExpandVolume);
        controller_get_volume(ControllerGetVolumeRequest) -> ControllerGetVolumeResponse
            as "ControllerGetVolume" needs admit_controller(ControllerCapability::GetVolume);
        controller_modify_volume(ControllerModifyVolumeRequest) -> ControllerModifyVolumeResponse
            as "ControllerModifyVolume" needs admit_controller(ControllerCapability::ModifyVolume);
    }
}

impl<D: Driver> node_server::Node for Service<D> {
    fn node_get_capabilities<'a, 'b>(
        &'a self,
        request: Request<csi::NodeGetCapabilitiesRequest>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Answer<Response<csi::NodeGetCapabilitiesResponse>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        use node_service_capability::{Rpc, Type};
        Box::pin(self.observed("/csi.v1.Node/NodeGetCapabilities", request, |_| async {
            let wrap = |kind: NodeCapability| NodeServiceCapability {
                r#type: Some(Type::Rpc(Rpc { r#type: kind.into() })),
            };
            let capabilities = self.driver.node_capabilities().into_iter().map(wrap).collect();
            Ok(csi::NodeGetCapabilitiesResponse { capabilities })
        }))
    }

    fn node_get_info<'a, 'b>(
        &'a self,
        request: Request<csi::NodeGetInfoRequest>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Answer<Response<csi::NodeGetInfoResponse>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.observed("/csi.v1.Node/NodeGetInfo", request, |_| self.driver.node_info()))
    }

    methods! { "Node",
        node_stage_volume(NodeStageVolumeRequest) -> NodeStageVolumeResponse as "NodeStageVolume"
            needs admit_node(NodeCapability::StageUnstageVolume);
        node_unstage_volume(NodeUnstageVolumeRequest) -> NodeUnstageVolumeResponse as "NodeUnstageVolume"
            needs admit_node(NodeCapability::StageUnstageVolume);
        node_publish_volume(NodePublishVolumeRequest) -> NodePublishVolumeResponse as "NodePublishVolume";
        node_unpublish_volume(NodeUnpublishVolumeRequest) -> NodeUnpublishVolumeResponse
            as "NodeUnpublishVolume";
        node_get_volume_stats(NodeGetVolumeStatsRequest) -> NodeGetVolumeStatsResponse
            as "NodeGetVolumeStats" needs admit_node(NodeCapability::GetVolumeStats);
        node_get_volume_health(NodeGetVolumeHealthRequest) -> NodeGetVolumeHealthResponse
            as "NodeGetVolumeHealth" needs admit_node(NodeCapability::GetVolumeHealth);
        node_get_storage_health(NodeGetStorageHealthRequest) -> NodeGetStorageHealthResponse
            as "NodeGetStorageHealth" needs admit_node(NodeCapability::GetStorageHealth);
        node_expand_volume(NodeExpandVolumeRequest) -> NodeExpandVolumeResponse as "NodeExpandVolume"
            needs admit_node(NodeCapability::ExpandVolume);
    }
}

impl<D: Driver> group_controller_server::GroupController for Service<D> {
    fn group_controller_get_capabilities<'a, 'b>(
        &'a self,
        request: Request<csi::GroupControllerGetCapabilitiesRequest>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Answer<Response<csi::GroupControllerGetCapabilitiesResponse>>> + Send + 'b>,
    >
    where
        'a: 'b,
        Self: 'b,
    {
        use group_controller_service_capability::{Rpc, Type};
        Box::pin(self.observed(
            "/csi.v1.GroupController/GroupControllerGetCapabilities",
            request,
            |_| async {
                let wrap = |kind: GroupCapability| GroupControllerServiceCapability {
                    r#type: Some(Type::Rpc(Rpc { r#type: kind.into() })),
                };
                let capabilities = self.driver.group_capabilities().into_iter().map(wrap).collect();
                Ok(csi::GroupControllerGetCapabilitiesResponse { capabilities })
            },
        ))
    }

    methods! { "GroupController",
        create_volume_group_snapshot(CreateVolumeGroupSnapshotRequest) -> CreateVolumeGroupSnapshotResponse
            as "CreateVolumeGroupSnapshot"
            needs admit_group(GroupCapability::CreateDeleteGetVolumeGroupSnapshot);
        delete_volume_group_snapshot(DeleteVolumeGroupSnapshotRequest) -> DeleteVolumeGroupSnapshotResponse
            as "DeleteVolumeGroupSnapshot"
            needs admit_group(GroupCapability::CreateDeleteGetVolumeGroupSnapshot);
        get_volume_group_snapshot(GetVolumeGroupSnapshotRequest) -> GetVolumeGroupSnapshotResponse
            as "GetVolumeGroupSnapshot"
            needs admit_group(GroupCapability::CreateDeleteGetVolumeGroupSnapshot);
    }
}
