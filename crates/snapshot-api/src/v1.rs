//! The six kinds in version `v1`, whole: to create objects, and to read them in tests.
//!
//! What is absent is not sent. Every type is a `k8s_openapi::Resource`, so that `kube::Api` takes it.

mod class;
mod content;
mod group;
mod group_content;
mod marks;
mod snapshot;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

pub use class::{VolumeGroupSnapshotClass, VolumeSnapshotClass};
pub use content::{
    VolumeSnapshotContent, VolumeSnapshotContentSource, VolumeSnapshotContentSpec,
    VolumeSnapshotContentStatus,
};
pub use group::{
    VolumeGroupSnapshot, VolumeGroupSnapshotSource, VolumeGroupSnapshotSpec, VolumeGroupSnapshotStatus,
};
pub use group_content::{
    GroupSnapshotHandles, VolumeGroupSnapshotContent, VolumeGroupSnapshotContentSource,
    VolumeGroupSnapshotContentSpec, VolumeGroupSnapshotContentStatus, VolumeSnapshotInfo,
};
pub use marks::{GroupSnapshotVersion, SnapshotVersion};
pub use snapshot::{VolumeSnapshot, VolumeSnapshotSource, VolumeSnapshotSpec, VolumeSnapshotStatus};

/// What becomes of the driver's snapshot when the user deletes hers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    /// It is deleted, too.
    Delete,
    /// It stays, and its content object with it. The default of this type, as it does no harm; the API has none.
    #[default]
    Retain,
}

/// The last error, as users see it in a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VolumeSnapshotError {
    /// What went wrong. Anybody who may read the object sees it, so nothing secret belongs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

#[cfg(test)]
mod tests;
