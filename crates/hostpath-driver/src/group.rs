//! The GroupController service. Its calls are short bridges to the methods in `snapshot/group.rs`.

use csi_client::csi;
use csi_client::csi::group_controller_service_capability::rpc::Type as Capability;
use csi_driver_kit::driver::{Answer, GroupController};

use crate::plugin::Plugin;

impl GroupController for Plugin {
    fn group_capabilities(&self) -> Vec<Capability> {
        vec![Capability::CreateDeleteGetVolumeGroupSnapshot]
    }

    async fn create_volume_group_snapshot(
        &self,
        request: csi::CreateVolumeGroupSnapshotRequest,
    ) -> Answer<csi::CreateVolumeGroupSnapshotResponse> {
        let group = self.run(move |driver| driver.create_group_snapshot(&request)).await?;
        Ok(csi::CreateVolumeGroupSnapshotResponse { group_snapshot: Some(group) })
    }

    async fn delete_volume_group_snapshot(
        &self,
        request: csi::DeleteVolumeGroupSnapshotRequest,
    ) -> Answer<csi::DeleteVolumeGroupSnapshotResponse> {
        self.run(move |driver| driver.delete_group_snapshot(&request)).await?;
        Ok(csi::DeleteVolumeGroupSnapshotResponse {})
    }

    async fn get_volume_group_snapshot(
        &self,
        request: csi::GetVolumeGroupSnapshotRequest,
    ) -> Answer<csi::GetVolumeGroupSnapshotResponse> {
        let group = self.run(move |driver| driver.get_group_snapshot(&request)).await?;
        Ok(csi::GetVolumeGroupSnapshotResponse { group_snapshot: Some(group) })
    }
}
