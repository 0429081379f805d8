//! VolumeSnapshotContent.

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::marks::resource;
use super::{DeletionPolicy, SnapshotVersion, VolumeSnapshotError};
use crate::names::kinds::{SNAPSHOT_API_VERSION, VOLUME_SNAPSHOT_CONTENT};

/// What the driver has: one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct VolumeSnapshotContent {
    /// Always the same.
    #[serde(default)]
    pub api_version: SnapshotVersion,
    /// Name, annotations, finalizers.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it stands for.
    pub spec: VolumeSnapshotContentSpec,
    /// What the driver says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<VolumeSnapshotContentStatus>,
}

resource!(VolumeSnapshotContent, VOLUME_SNAPSHOT_CONTENT, SNAPSHOT_API_VERSION, ClusterResourceScope);

/// What it stands for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotContentSpec {
    /// What becomes of the driver's snapshot when the user's is deleted.
    pub deletion_policy: DeletionPolicy,
    /// The driver's name.
    pub driver: String,
    /// Where it comes from.
    pub source: VolumeSnapshotContentSource,
    /// The mode of the volume that it was taken of, `Filesystem` or `Block`. Upstream sends null if it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_volume_mode: Option<String>,
    /// The class that it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_class_name: Option<String>,
    /// The snapshot that it is bound to.
    pub volume_snapshot_ref: ObjectReference,
}

/// Where a content comes from: exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotContentSource {
    /// The driver's name of a snapshot that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_handle: Option<String>,
    /// The driver's name of the volume to take it of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_handle: Option<String>,
}

/// What the driver says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotContentStatus {
    /// When it was cut, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<i64>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<VolumeSnapshotError>,
    /// Whether a volume can be restored from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The least size of a volume that is restored from it, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_size: Option<i64>,
    /// The driver's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_handle: Option<String>,
    /// The driver's name of the group that it is a member of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_handle: Option<String>,
}
