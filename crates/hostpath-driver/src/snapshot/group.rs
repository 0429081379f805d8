//! Group snapshots (sheet, 5.8): all members are recorded in one step, or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use csi_client::csi;
use csi_driver_kit::exclusivity::Key;

use super::{Cut, describe, timestamp};
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;
use crate::state::{Group, Snapshot, Time};

impl Hostpath {
    /// Cuts snapshots of several volumes at one moment, or finds those that were cut for the same request before.
    pub fn create_group_snapshot(
        &self,
        request: &csi::CreateVolumeGroupSnapshotRequest,
    ) -> Result<csi::VolumeGroupSnapshot, Error> {
        let found = self.store.get().groups().by_name(&request.name).map(|found| found.id.clone());
        if let Some(id) = found {
            return self.find_same_group(&id, request);
        }
        let sources: BTreeSet<_> = request.source_volume_ids.iter().collect();
        if sources.len() != request.source_volume_ids.len() {
            return Err(Error::Invalid("a volume is twice among the SourceVolumeIds".into()));
        }
        let _held = sources
            .iter()
            .map(|id| self.keys.acquire(Key::Volume((*id).clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let mut group = Group {
            name: request.name.clone(),
            id: self.new_id(),
            volume_ids: request.source_volume_ids.clone(),
            creation_time: Some(Time::now()),
            ready_to_use: true,
            ..Group::default()
        };
        let cuts = self.cuts(request, &group)?;
        group.snapshot_ids = cuts.iter().map(|cut| cut.snapshot.id.clone()).collect();
        let members = cuts.iter().map(|cut| describe(&cut.snapshot)).collect();
        let described = describe_group(&group, members);
        self.cut(&cuts, Some(group))?;
        Ok(described)
    }

    fn cuts(
        &self,
        request: &csi::CreateVolumeGroupSnapshotRequest,
        group: &Group,
    ) -> Result<Vec<Cut>, Error> {
        let cut = |id: &String| {
            let volume = self.volume(id)?;
            let tolerant = policy::ignore_failed_read(&volume, &request.parameters, "volume group snapshot")?;
            let time = group.creation_time.unwrap_or_default();
            let snapshot = self.new_snapshot(&volume, format!("{}-{id}", group.name), time);
            let snapshot = Snapshot { group_id: group.id.clone(), ..snapshot };
            Ok(Cut { volume, snapshot, tolerant })
        };
        request.source_volume_ids.iter().map(cut).collect()
    }

    fn find_same_group(
        &self,
        id: &str,
        request: &csi::CreateVolumeGroupSnapshotRequest,
    ) -> Result<csi::VolumeGroupSnapshot, Error> {
        let _held = self.keys.acquire(Key::Group(id.to_owned()))?;
        let group = self.group(id)?;
        if !group.has_volumes(&request.source_volume_ids) {
            return Err(Error::Exists(format!(
                "group snapshot with the same name: {} but with different SourceVolumeIds already exist",
                request.name
            )));
        }
        let members = self.members(&group)?;
        for member in &members {
            if !self.data.restore(&member.file())? {
                return Err(Error::Internal(format!("the data of snapshot {} is missing", member.id)));
            }
        }
        let ready = members.iter().all(|member| member.ready_to_use);
        let members = members.iter().map(|member| describe(member)).collect();
        Ok(csi::VolumeGroupSnapshot { ready_to_use: ready, ..describe_group(&group, members) })
    }

    fn group(&self, id: &str) -> Result<Arc<Group>, Error> {
        self.store.get().groups().get(id).cloned().ok_or_else(|| Error::NoSuchGroup(id.to_owned()))
    }

    fn members(&self, group: &Group) -> Result<Vec<Arc<Snapshot>>, Error> {
        group.snapshot_ids.iter().map(|id| self.snapshot(id)).collect()
    }

    /// Removes a group and its members. An unknown one is fine.
    pub fn delete_group_snapshot(
        &self,
        request: &csi::DeleteVolumeGroupSnapshotRequest,
    ) -> Result<(), Error> {
        let Ok(group) = self.group(&request.group_snapshot_id) else {
            // An attempt that was answered with an error after the record was gone.
            return request.snapshot_ids.iter().try_for_each(|id| self.erase_forgotten(id));
        };
        if !request.snapshot_ids.is_empty() {
            check_members(&group, &request.snapshot_ids)?;
        }
        // Members may be the origin of a volume that is being made.
        let _held = group
            .snapshot_ids
            .iter()
            .map(|id| self.keys.acquire(Key::Snapshot(id.clone())))
            .collect::<Result<Vec<_>, _>>()?;
        let state = self.store.get();
        let members: Vec<_> =
            group.snapshot_ids.iter().filter_map(|id| state.snapshots().get(id).cloned()).collect();
        self.remove_snapshots(&members, Some(&group.id))
    }

    /// One group with its members.
    pub fn get_group_snapshot(
        &self,
        request: &csi::GetVolumeGroupSnapshotRequest,
    ) -> Result<csi::VolumeGroupSnapshot, Error> {
        let group = self.group(&request.group_snapshot_id)?;
        check_members(&group, &request.snapshot_ids)?;
        let members = self.members(&group)?;
        Ok(describe_group(&group, members.iter().map(|member| describe(member)).collect()))
    }
}

fn check_members(group: &Group, ids: &[String]) -> Result<(), Error> {
    if group.has_members(ids) {
        return Ok(());
    }
    Err(Error::Invalid("Snapshot IDs do not match the GroupSnapshot IDs".into()))
}

fn describe_group(group: &Group, snapshots: Vec<csi::Snapshot>) -> csi::VolumeGroupSnapshot {
    csi::VolumeGroupSnapshot {
        group_snapshot_id: group.id.clone(),
        snapshots,
        creation_time: group.creation_time.map(timestamp),
        ready_to_use: group.ready_to_use,
    }
}
