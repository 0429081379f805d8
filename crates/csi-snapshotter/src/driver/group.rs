//! The calls about a group of snapshots (sheet 6.4).

use csi_client::csi::{
    CreateVolumeGroupSnapshotRequest, DeleteVolumeGroupSnapshotRequest, GetVolumeGroupSnapshotRequest,
    VolumeGroupSnapshot,
};
use csi_client::{CallOptions, Connection, status_text};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidecar_core::objects::{GroupContent, GroupContentStatus, GroupMember};

use super::{
    Answer, CallFailed, Calls, Capabilities, Changes, LookFailed, Member, Pairs, moment, nanoseconds,
};
use crate::content::{Content, GROUP};

impl Calls for GroupContent {
    type Request = CreateVolumeGroupSnapshotRequest;

    fn volumes(&self) -> String {
        format!("volumes [{}]", self.volume_handles.join(" "))
    }

    fn request(
        &self,
        name: String,
        parameters: Pairs,
        secrets: Pairs,
    ) -> Result<CreateVolumeGroupSnapshotRequest, String> {
        if self.volume_handles.is_empty() {
            let name = &self.meta.name;
            return Err(format!(
                "cannot create group snapshot. PVCs to be snapshotted not found in group snapshot content {name}"
            ));
        }
        let source_volume_ids = self.volume_handles.iter().map(ToString::to_string).collect();
        Ok(CreateVolumeGroupSnapshotRequest { name, source_volume_ids, secrets, parameters })
    }

    async fn take(
        connection: &Connection,
        request: CreateVolumeGroupSnapshotRequest,
        options: CallOptions,
    ) -> Result<Answer, CallFailed> {
        let answer =
            connection.create_volume_group_snapshot(request, options).await.map_err(CallFailed::Refused)?;
        match answer.group_snapshot {
            None => Err(CallFailed::Nonsense("the driver's answer has no group snapshot")),
            Some(group) if group.group_snapshot_id.is_empty() => {
                Err(CallFailed::Nonsense("the driver's group snapshot has no id"))
            }
            Some(group) => Ok(group.into()),
        }
    }

    /// The call needs to be told the members.
    fn can_look(&self, capabilities: Capabilities) -> bool {
        capabilities.groups && !self.members().is_empty()
    }

    async fn look(
        &self,
        connection: &Connection,
        _: Capabilities,
        secrets: Pairs,
        options: CallOptions,
    ) -> Result<Answer, LookFailed> {
        let (view, name, snapshot_ids) = (self.view(), &self.meta.name, self.members());
        let Some(group) = view.any_handle() else {
            return Err(LookFailed::Refused(GROUP.nothing_to_list(name)));
        };
        if snapshot_ids.is_empty() {
            return Err(LookFailed::Refused(format!(
                "cannot list group snapshot {name}. No snapshots found in the group snapshot content"
            )));
        }
        let group_snapshot_id = group.to_owned();
        let request = GetVolumeGroupSnapshotRequest { group_snapshot_id, snapshot_ids, secrets };
        let found = connection.get_volume_group_snapshot(request, options).await;
        let found = found
            .map_err(|status| LookFailed::of(status.code(), GROUP.not_listed(name, &status_text(&status))))?;
        let Some(found) = found.group_snapshot else {
            let error = "the driver's answer has no group snapshot";
            return Err(LookFailed::Refused(GROUP.not_listed(name, error)));
        };
        let (found, handle) =
            (Answer::from(found), view.given.or(view.handle()).unwrap_or_default().to_owned());
        // The list of a group that was there before its content stays empty: the snapshot controller would make contents
        // for its entries, beside those that an administrator has made.
        let members = if view.is_dynamic { found.members } else { Vec::new() };
        Ok(Answer { handle, members, ..found })
    }

    async fn delete(
        &self,
        connection: &Connection,
        secrets: Pairs,
        options: CallOptions,
    ) -> Result<(), String> {
        let (view, name, snapshot_ids) = (self.view(), &self.meta.name, self.members());
        if snapshot_ids.is_empty() {
            return Err(format!(
                "cannot delete group snapshot content {name}. No snapshots found in the group snapshot"
            ));
        }
        let Some(group) = view.any_handle() else { return Err(GROUP.nothing_to_delete(name)) };
        let group_snapshot_id = group.to_owned();
        let request = DeleteVolumeGroupSnapshotRequest { group_snapshot_id, snapshot_ids, secrets };
        match connection.delete_volume_group_snapshot(request, options).await {
            Ok(_) => Ok(()),
            Err(status) => Err(status_text(&status)),
        }
    }

    fn learned(&self, answer: &Answer, now: Timestamp) -> Map<String, Value> {
        let nothing = GroupContentStatus::default();
        let known = self.status.as_ref().unwrap_or(&nothing);
        let cut = moment(answer.cut.as_ref(), answer.ready, now).map(|cut| format!("{cut:.0}"));
        let mut changes = Changes::default();
        changes.fill("volumeGroupSnapshotHandle", known.handle.is_some(), Some(&*answer.handle));
        changes.ready(known.ready, answer.ready);
        let dated =
            known.creation_time.as_deref().is_some_and(|time| !time.starts_with("1970-01-01T00:00:00"));
        changes.fill("creationTime", dated, cut);
        let members = members(&known.members, &answer.members);
        let same = members == known.members;
        let members: Vec<_> = members.iter().map(entry).collect();
        changes.fill("volumeSnapshotInfoList", same, Some(members));
        changes.0
    }

    fn forgotten() -> Value {
        json!({"volumeGroupSnapshotHandle": null, "readyToUse": null, "creationTime": null, "error": null})
    }
}

trait Members {
    /// The handles of the group's snapshots.
    fn members(&self) -> Vec<String>;
}

impl Members for GroupContent {
    fn members(&self) -> Vec<String> {
        let known = self.status.iter().flat_map(|status| &status.members);
        let known: Vec<_> = known.map(|member| member.snapshot_handle.to_string()).collect();
        if !known.is_empty() {
            return known;
        }
        let given = self.handles.iter().flat_map(|handles| &handles.snapshots);
        given.map(ToString::to_string).collect()
    }
}

/// The list as it is to be: as the driver has told first, with what of each member may change as it tells now (13.8).
fn members(known: &[GroupMember], told: &[Member]) -> Vec<GroupMember> {
    if known.is_empty() {
        return told.iter().map(member).collect();
    }
    let refreshed = known.iter().map(|known| {
        let told = told.iter().find(|told| *told.answer.handle == *known.snapshot_handle).map(member);
        match told {
            Some(told) => GroupMember {
                ready: told.ready,
                restore_size: told.restore_size.or(known.restore_size),
                creation_time: known.creation_time.or(told.creation_time),
                ..known.clone()
            },
            None => known.clone(),
        }
    });
    refreshed.collect()
}

fn member(told: &Member) -> GroupMember {
    let cut = told.answer.cut.as_ref().and_then(|cut| Timestamp::new(cut.seconds, cut.nanos).ok());
    GroupMember {
        volume_handle: told.volume.as_str().into(),
        snapshot_handle: told.answer.handle.as_str().into(),
        creation_time: cut.and_then(nanoseconds),
        ready: Some(told.answer.ready),
        restore_size: Some(told.answer.size).filter(|size| *size > 0),
    }
}

fn entry(member: &GroupMember) -> Value {
    let mut entry = Map::new();
    let mut set = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            entry.insert(field.to_owned(), value);
        }
    };
    set("volumeHandle", Some((*member.volume_handle).into()));
    set("snapshotHandle", Some((*member.snapshot_handle).into()));
    set("creationTime", member.creation_time.map(Into::into));
    set("readyToUse", member.ready.map(Into::into));
    set("restoreSize", member.restore_size.map(Into::into));
    entry.into()
}

impl From<VolumeGroupSnapshot> for Answer {
    fn from(group: VolumeGroupSnapshot) -> Self {
        let members = group
            .snapshots
            .into_iter()
            .map(|snapshot| Member { volume: snapshot.source_volume_id.clone(), answer: snapshot.into() });
        Self {
            handle: group.group_snapshot_id,
            ready: group.ready_to_use,
            cut: group.creation_time,
            members: members.collect(),
            ..Self::default()
        }
    }
}
