//! The GroupController service (csi-proto sheet, section 9.6).

use csi_client::csi::group_controller_server::GroupController;
use csi_client::csi::{self, group_controller_service_capability};
use tonic::{Request, Response, Status, async_trait};

use super::backend::{Backend, Group, Snapshot};
use super::{DriverConfig, ScriptedDriver, no_key, snapshots};

type Reply<A> = Result<Response<A>, Status>;

#[async_trait]
impl GroupController for ScriptedDriver {
    async fn group_controller_get_capabilities(
        &self,
        request: Request<csi::GroupControllerGetCapabilitiesRequest>,
    ) -> Reply<csi::GroupControllerGetCapabilitiesResponse> {
        self.run(request, no_key, |_, config, _| {
            let capabilities = config.group.iter().map(|kind| {
                let rpc = group_controller_service_capability::Rpc { r#type: (*kind).into() };
                let kind = group_controller_service_capability::Type::Rpc(rpc);
                csi::GroupControllerServiceCapability { r#type: Some(kind) }
            });
            Ok(csi::GroupControllerGetCapabilitiesResponse { capabilities: capabilities.collect() })
        })
        .await
    }

    async fn create_volume_group_snapshot(
        &self,
        request: Request<csi::CreateVolumeGroupSnapshotRequest>,
    ) -> Reply<csi::CreateVolumeGroupSnapshotResponse> {
        self.run(request, |request| request.name.clone(), create).await
    }

    async fn delete_volume_group_snapshot(
        &self,
        request: Request<csi::DeleteVolumeGroupSnapshotRequest>,
    ) -> Reply<csi::DeleteVolumeGroupSnapshotResponse> {
        self.run(request, |request| request.group_snapshot_id.clone(), delete).await
    }

    async fn get_volume_group_snapshot(
        &self,
        request: Request<csi::GetVolumeGroupSnapshotRequest>,
    ) -> Reply<csi::GetVolumeGroupSnapshotResponse> {
        self.run(request, no_key, |backend, _, request| {
            let group = backend.groups.get(&request.group_snapshot_id);
            let group = group.ok_or_else(|| Status::not_found("group snapshot not found"))?;
            check_members(group, &request.snapshot_ids)?;
            Ok(csi::GetVolumeGroupSnapshotResponse { group_snapshot: Some(shown(backend, group)) })
        })
        .await
    }
}

fn check_members(group: &Group, ids: &[String]) -> Result<(), Status> {
    let known = group.message.snapshots.iter().map(|snapshot| &snapshot.snapshot_id);
    let same = known.clone().count() == ids.len() && known.clone().all(|id| ids.contains(id));
    if same {
        Ok(())
    } else {
        Err(Status::invalid_argument("the list of snapshots does not match the group"))
    }
}

/// A group as the driver shows it now: it can be used when all its snapshots can.
fn shown(backend: &Backend, group: &Group) -> csi::VolumeGroupSnapshot {
    let ids = group.message.snapshots.iter().map(|snapshot| &snapshot.snapshot_id);
    let snapshots: Vec<_> = ids.filter_map(|id| backend.snapshots.get(id)).map(Snapshot::shown).collect();
    let ready_to_use = snapshots.iter().all(|snapshot| snapshot.ready_to_use);
    csi::VolumeGroupSnapshot { snapshots, ready_to_use, ..group.message.clone() }
}

fn create(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::CreateVolumeGroupSnapshotRequest,
) -> Result<csi::CreateVolumeGroupSnapshotResponse, Status> {
    if request.name.is_empty() || request.source_volume_ids.is_empty() {
        return Err(Status::invalid_argument("name or source volumes are missing"));
    }
    if let Some(existing) = backend.groups.values().find(|group| group.name == request.name) {
        let same = existing.sources == request.source_volume_ids && existing.parameters == request.parameters;
        if !same {
            return Err(Status::already_exists("the name is used for another group"));
        }
        let group_snapshot = Some(shown(backend, existing));
        return Ok(csi::CreateVolumeGroupSnapshotResponse { group_snapshot });
    }
    if let Some(missing) = request.source_volume_ids.iter().find(|id| !backend.volumes.contains_key(*id)) {
        return Err(Status::not_found(format!("volume {missing} not found")));
    }
    let id = backend.id("group");
    let mut members = Vec::new();
    for source in &request.source_volume_ids {
        members.push(snapshots::cut(backend, config, &format!("{}-{source}", request.name), source, &id)?);
    }
    let message = csi::VolumeGroupSnapshot {
        group_snapshot_id: id.clone(),
        creation_time: members.first().and_then(|member| member.creation_time),
        snapshots: members,
        ready_to_use: true,
    };
    let group = Group {
        name: request.name.clone(),
        sources: request.source_volume_ids.clone(),
        parameters: request.parameters.clone(),
        message,
    };
    let group_snapshot = Some(shown(backend, &group));
    backend.groups.insert(id, group);
    Ok(csi::CreateVolumeGroupSnapshotResponse { group_snapshot })
}

fn delete(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::DeleteVolumeGroupSnapshotRequest,
) -> Result<csi::DeleteVolumeGroupSnapshotResponse, Status> {
    if let Some(group) = backend.groups.get(&request.group_snapshot_id) {
        check_members(group, &request.snapshot_ids)?;
        backend.groups.remove(&request.group_snapshot_id);
        for id in &request.snapshot_ids {
            snapshots::remove(backend, id);
        }
    }
    Ok(csi::DeleteVolumeGroupSnapshotResponse {})
}
