//! ListSnapshots and GetSnapshot.

use csi_client::csi;

use super::describe;
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::policy;

impl Hostpath {
    /// The snapshots by handle, page by page: all, those of one volume, or a single one.
    pub fn list_snapshots(
        &self,
        request: &csi::ListSnapshotsRequest,
    ) -> Result<csi::ListSnapshotsResponse, Error> {
        let state = self.store.get();
        let (id, volume) = (&request.snapshot_id, &request.source_volume_id);
        let found: Vec<_> = if id.is_empty() {
            let wanted = |of: &str| volume.is_empty() || of == volume;
            state.snapshots().iter().filter(|snapshot| wanted(&snapshot.volume_id)).collect()
        } else {
            state.snapshots().get(id).into_iter().collect()
        };
        let page = policy::snapshot_page(found.len(), &request.starting_token, request.max_entries)?;
        let entries = found.into_iter().skip(page.start).take(page.count);
        Ok(csi::ListSnapshotsResponse {
            entries: entries
                .map(|snapshot| csi::list_snapshots_response::Entry { snapshot: Some(describe(snapshot)) })
                .collect(),
            next_token: page.next,
        })
    }

    /// One snapshot.
    pub fn get_snapshot(&self, id: &str) -> Result<csi::GetSnapshotResponse, Error> {
        let found = self.snapshot(id);
        let snapshot = found
            .map_err(|error| Error::NotThere(format!("Snapshot with ID \"{id}\" not found: {error}")))?;
        Ok(csi::GetSnapshotResponse { snapshot: Some(describe(&snapshot)) })
    }
}
