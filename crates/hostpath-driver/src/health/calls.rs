//! The health calls of CSI 1.13, which nobody makes yet; offered with `--enable-volume-health`.

use csi_client::csi;
use csi_client::csi::node_get_storage_health_response::StorageBackendHealth;
use csi_client::csi::{StorageHealthErrorType, VolumeHealth};
use csi_driver_kit::mounts::MountTable;

use super::{entries, of_data, of_mount};
use crate::error::Error;
use crate::hostpath::Hostpath;
use crate::node::shown::{self, Shown};
use crate::policy;

impl Hostpath {
    /// The problems of one volume, seen from the controller.
    pub fn volume_health(&self, id: &str) -> Result<VolumeHealth, Error> {
        let volume = self.volume(id)?;
        let health_statuses = entries(of_data(&self.data, &volume, &self.data.space()?));
        Ok(VolumeHealth { volume_id: id.to_owned(), health_statuses })
    }

    /// The volumes that have a problem, page by page; tokens are those of ListVolumes.
    pub fn list_volume_health(
        &self,
        request: &csi::ControllerListVolumeHealthRequest,
    ) -> Result<csi::ControllerListVolumeHealthResponse, Error> {
        let (state, space) = (self.store.get(), self.data.space()?);
        let found: Vec<_> = state
            .volumes()
            .map(|volume| VolumeHealth {
                volume_id: volume.id.clone(),
                health_statuses: entries(of_data(&self.data, volume, &space)),
            })
            .filter(|health| !health.health_statuses.is_empty())
            .collect();
        let page = policy::page(found.len(), &request.starting_token, request.max_entries)?;
        let entries = found.into_iter().skip(page.start).take(page.count).collect();
        Ok(csi::ControllerListVolumeHealthResponse { entries, next_token: page.next })
    }

    /// The problems of one volume, seen from this node: whether it is where the caller says that it is.
    pub fn node_volume_health(
        &self,
        request: &csi::NodeGetVolumeHealthRequest,
    ) -> Result<VolumeHealth, Error> {
        let volume = self.volume(&request.volume_id)?;
        let mounts = MountTable::read()?;
        let mut problem = None;
        let paths = [
            (&request.volume_publish_path, true),
            // Of most volumes nothing is mounted where they are staged.
            (&request.staging_target_path, volume.filesystem().is_some()),
        ];
        for (path, _) in paths.iter().filter(|(path, mounted)| *mounted && !path.is_empty()) {
            let mounted = matches!(shown::at(self, &volume, path, &mounts)?, Shown::Ours { .. });
            problem = problem.or_else(|| of_mount(mounted));
        }
        Ok(VolumeHealth { volume_id: volume.id.clone(), health_statuses: entries(problem) })
    }

    /// The problems of the state directory's filesystem.
    pub fn storage_health(&self) -> Vec<StorageBackendHealth> {
        let (status, reason, message) = match self.data.space() {
            Ok(space) if space.available_bytes > 0 => return Vec::new(),
            Ok(_) => {
                (StorageHealthErrorType::StorageDegraded, "DiskFull", "There is no free space".to_owned())
            }
            Err(error) => (StorageHealthErrorType::StorageUnreachable, "Unreadable", error.to_string()),
        };
        vec![StorageBackendHealth {
            status: status.into(),
            reason: reason.to_owned(),
            message,
            ..StorageBackendHealth::default()
        }]
    }
}
