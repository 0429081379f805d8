//! Effects on snapshots (csi-proto sheet, section 9.4).

use csi_client::csi;
use prost_types::Timestamp;
use tokio::time::Instant;
use tonic::Status;

use super::DriverConfig;
use super::backend::{Backend, Fact, Snapshot};
use super::volumes;

/// All snapshots of the driver are cut at this moment: its clock stands still.
const CUT: Timestamp = Timestamp { seconds: 1_700_000_000, nanos: 0 };

pub(super) fn create(
    backend: &mut Backend,
    config: &DriverConfig,
    request: &csi::CreateSnapshotRequest,
) -> Result<csi::CreateSnapshotResponse, Status> {
    if request.name.is_empty() {
        return Err(Status::invalid_argument("name is missing"));
    }
    if let Some(existing) = backend.snapshots.values().find(|snapshot| snapshot.name == request.name) {
        if existing.message.source_volume_id != request.source_volume_id {
            return Err(Status::already_exists("the name is used for another source"));
        }
        return Ok(csi::CreateSnapshotResponse { snapshot: Some(existing.shown()) });
    }
    let message = cut(backend, config, &request.name, &request.source_volume_id, "")?;
    Ok(csi::CreateSnapshotResponse { snapshot: Some(message) })
}

impl Snapshot {
    /// As the driver shows it now.
    pub(super) fn shown(&self) -> csi::Snapshot {
        csi::Snapshot { ready_to_use: Instant::now() >= self.ready_at, ..self.message.clone() }
    }
}

/// Cuts and remembers a snapshot.
pub(super) fn cut(
    backend: &mut Backend,
    config: &DriverConfig,
    name: &str,
    source: &str,
    group: &str,
) -> Result<csi::Snapshot, Status> {
    let size_bytes = volumes::find(backend, source)?.capacity;
    let message = csi::Snapshot {
        size_bytes,
        snapshot_id: backend.id("snap"),
        source_volume_id: source.to_owned(),
        creation_time: Some(CUT),
        ready_to_use: true,
        group_snapshot_id: group.to_owned(),
        ..Default::default()
    };
    let id = message.snapshot_id.clone();
    backend.history.push(Fact::SnapshotCreated { name: name.to_owned(), id: id.clone() });
    let ready_at = Instant::now() + config.snapshot_time;
    let snapshot = Snapshot { name: name.to_owned(), message, ready_at };
    let shown = snapshot.shown();
    backend.snapshots.insert(id, snapshot);
    Ok(shown)
}

/// Remembers a snapshot from before the test.
pub(super) fn add(backend: &mut Backend, id: &str, source: &str, size_bytes: i64) {
    let message = csi::Snapshot {
        size_bytes,
        snapshot_id: id.to_owned(),
        source_volume_id: source.to_owned(),
        creation_time: Some(CUT),
        ready_to_use: true,
        ..Default::default()
    };
    let snapshot = Snapshot { name: id.to_owned(), message, ready_at: Instant::now() };
    backend.snapshots.insert(id.to_owned(), snapshot);
}

/// Removes a snapshot if it is there.
pub(super) fn remove(backend: &mut Backend, id: &str) {
    if backend.snapshots.remove(id).is_some() {
        backend.history.push(Fact::SnapshotDeleted { id: id.to_owned() });
    }
}

pub(super) fn delete(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::DeleteSnapshotRequest,
) -> Result<csi::DeleteSnapshotResponse, Status> {
    if request.snapshot_id.is_empty() {
        return Err(Status::invalid_argument("snapshot id is missing"));
    }
    let grouped = backend
        .snapshots
        .get(&request.snapshot_id)
        .is_some_and(|snapshot| !snapshot.message.group_snapshot_id.is_empty());
    if grouped {
        return Err(Status::invalid_argument("the snapshot is a member of a group"));
    }
    remove(backend, &request.snapshot_id);
    Ok(csi::DeleteSnapshotResponse {})
}

pub(super) fn list(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::ListSnapshotsRequest,
) -> Result<csi::ListSnapshotsResponse, Status> {
    let wanted = |snapshot: &Snapshot| {
        let message = &snapshot.message;
        (request.snapshot_id.is_empty() || message.snapshot_id == request.snapshot_id)
            && (request.source_volume_id.is_empty() || message.source_volume_id == request.source_volume_id)
    };
    let selected = backend
        .snapshots
        .iter()
        .filter(|(_, snapshot)| wanted(snapshot))
        .map(|(id, snapshot)| (id.clone(), snapshot.clone()))
        .collect();
    let (page, next_token) = volumes::page(&selected, &request.starting_token, request.max_entries)?;
    let entries = page
        .into_iter()
        .map(|snapshot| csi::list_snapshots_response::Entry { snapshot: Some(snapshot.shown()) });
    Ok(csi::ListSnapshotsResponse { entries: entries.collect(), next_token })
}

pub(super) fn get(
    backend: &mut Backend,
    _config: &DriverConfig,
    request: &csi::GetSnapshotRequest,
) -> Result<csi::GetSnapshotResponse, Status> {
    let found = backend.snapshots.get(&request.snapshot_id);
    let found = found.ok_or_else(|| Status::not_found("snapshot not found"))?;
    Ok(csi::GetSnapshotResponse { snapshot: Some(found.shown()) })
}
