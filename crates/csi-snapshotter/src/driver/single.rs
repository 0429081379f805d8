//! The calls about one snapshot (sheet 6.1, 6.2, 6.3).

use csi_client::csi::list_snapshots_response::Entry;
use csi_client::csi::{
    CreateSnapshotRequest, DeleteSnapshotRequest, GetSnapshotRequest, ListSnapshotsRequest, Snapshot,
};
use csi_client::{CallOptions, Connection, status_text};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sidecar_core::go_text::quote;
use sidecar_core::objects::{ContentStatus, SnapshotContent};
use tracing::info;

use super::{Answer, CallFailed, Calls, Capabilities, Changes, LookFailed, Pairs, moment, nanoseconds};
use crate::content::{Content, SINGLE};

impl Calls for SnapshotContent {
    type Request = CreateSnapshotRequest;

    fn volumes(&self) -> String {
        format!("volume {}", self.volume_handle.as_deref().unwrap_or_default())
    }

    fn request(
        &self,
        name: String,
        parameters: Pairs,
        secrets: Pairs,
    ) -> Result<CreateSnapshotRequest, String> {
        let Some(volume) = &self.volume_handle else {
            let name = &self.meta.name;
            return Err(format!(
                "cannot create snapshot. Volume handle not found in snapshot content {name}"
            ));
        };
        let source_volume_id = volume.to_string();
        Ok(CreateSnapshotRequest { source_volume_id, name, secrets, parameters, ..Default::default() })
    }

    async fn take(
        connection: &Connection,
        request: CreateSnapshotRequest,
        options: CallOptions,
    ) -> Result<Answer, CallFailed> {
        let answer = connection.create_snapshot(request, options).await.map_err(CallFailed::Refused)?;
        match answer.snapshot {
            None => Err(CallFailed::Nonsense("the driver's answer has no snapshot")),
            Some(snapshot) if snapshot.snapshot_id.is_empty() => {
                Err(CallFailed::Nonsense("the driver's snapshot has no id"))
            }
            // Which group a snapshot belongs to is not for this call to say.
            Some(snapshot) => Ok(Answer { group: String::new(), ..snapshot.into() }),
        }
    }

    /// Not with ListSnapshots: what it says about snapshots that are not ready yet differs too much between drivers.
    fn can_look(&self, capabilities: Capabilities) -> bool {
        capabilities.gets
    }

    async fn look(
        &self,
        connection: &Connection,
        capabilities: Capabilities,
        secrets: Pairs,
        options: CallOptions,
    ) -> Result<Answer, LookFailed> {
        let view = self.view();
        let handle = view.given.or(view.handle()).unwrap_or_default().to_owned();
        if !capabilities.lists && !capabilities.gets {
            return Ok(Answer { handle, ready: true, ..Answer::default() });
        }
        let Some(id) = view.any_handle().map(str::to_owned) else {
            return Err(LookFailed::Refused(SINGLE.nothing_to_list(view.name())));
        };
        let found = if capabilities.gets {
            let request = GetSnapshotRequest { snapshot_id: id.clone(), secrets };
            connection.get_snapshot(request, options).await.map(|answer| answer.snapshot)
        } else {
            let request = ListSnapshotsRequest { snapshot_id: id.clone(), secrets, ..Default::default() };
            connection.list_snapshots(request, options).await.map(|answer| listed(answer.entries, &id))
        };
        match found {
            Ok(Some(snapshot)) => Ok(Answer { handle, ..snapshot.into() }),
            Ok(None) => {
                let error = format!("can not find snapshot for snapshotID {id}");
                Err(LookFailed::Unknown(SINGLE.not_listed(view.name(), &error)))
            }
            Err(status) => {
                let text = SINGLE.not_listed(view.name(), &status_text(&status));
                Err(LookFailed::of(status.code(), text))
            }
        }
    }

    async fn delete(
        &self,
        connection: &Connection,
        secrets: Pairs,
        options: CallOptions,
    ) -> Result<(), String> {
        let (view, name) = (self.view(), &self.meta.name);
        let Some(id) = view.any_handle() else { return Err(SINGLE.nothing_to_delete(name)) };
        let request = DeleteSnapshotRequest { snapshot_id: id.to_owned(), secrets };
        match connection.delete_snapshot(request, options).await {
            Ok(_) => Ok(()),
            Err(status) => {
                let status = quote(&status_text(&status));
                Err(format!("failed to delete snapshot content {name}: {status}"))
            }
        }
    }

    fn learned(&self, answer: &Answer, now: Timestamp) -> Map<String, Value> {
        let nothing = ContentStatus::default();
        let known = self.status.as_ref().unwrap_or(&nothing);
        let cut = moment(answer.cut.as_ref(), answer.ready, now).and_then(nanoseconds);
        let mut changes = Changes::default();
        changes.fill("snapshotHandle", known.handle.is_some(), Some(&*answer.handle));
        changes.ready(known.ready, answer.ready);
        changes.fill("creationTime", known.creation_time.is_some_and(|time| time > 0), cut);
        let size = Some(answer.size).filter(|size| *size > 0);
        changes.fill("restoreSize", known.restore_size.is_some(), size);
        let group = Some(&*answer.group).filter(|group| !group.is_empty());
        changes.fill("volumeGroupSnapshotHandle", known.group_handle.is_some(), group);
        changes.0
    }

    fn forgotten() -> Value {
        json!({"snapshotHandle": null, "readyToUse": null, "creationTime": null, "restoreSize": null})
    }
}

/// The entry that was asked for. A driver that writes ids in its own way has at least sent one entry only.
fn listed(entries: Vec<Entry>, id: &str) -> Option<Snapshot> {
    let mut snapshots: Vec<_> = entries.into_iter().filter_map(|entry| entry.snapshot).collect();
    match snapshots.iter().position(|snapshot| snapshot.snapshot_id == id) {
        Some(index) => Some(snapshots.swap_remove(index)),
        None if snapshots.len() == 1 => {
            let snapshot = snapshots.pop()?;
            info!(
                wanted = id,
                listed = snapshot.snapshot_id,
                "The driver lists the snapshot under another id"
            );
            Some(snapshot)
        }
        None => None,
    }
}

impl From<Snapshot> for Answer {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            handle: snapshot.snapshot_id,
            ready: snapshot.ready_to_use,
            cut: snapshot.creation_time,
            size: snapshot.size_bytes,
            group: snapshot.group_snapshot_id,
            members: Vec::new(),
        }
    }
}
