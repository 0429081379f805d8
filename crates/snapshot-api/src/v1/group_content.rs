//! VolumeGroupSnapshotContent.

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use super::marks::resource;
use super::{DeletionPolicy, GroupSnapshotVersion, VolumeSnapshotError};
use crate::names::kinds::{GROUP_SNAPSHOT_API_VERSION, VOLUME_GROUP_SNAPSHOT_CONTENT};

/// What the driver has: one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct VolumeGroupSnapshotContent {
    /// Always the same.
    #[serde(default)]
    pub api_version: GroupSnapshotVersion,
    /// Name, annotations, finalizers.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it stands for.
    pub spec: VolumeGroupSnapshotContentSpec,
    /// What the driver says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<VolumeGroupSnapshotContentStatus>,
}

resource!(
    VolumeGroupSnapshotContent,
    VOLUME_GROUP_SNAPSHOT_CONTENT,
    GROUP_SNAPSHOT_API_VERSION,
    ClusterResourceScope
);

/// What it stands for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotContentSpec {
    /// What becomes of the driver's group when the user's is deleted.
    pub deletion_policy: DeletionPolicy,
    /// The driver's name.
    pub driver: String,
    /// Where it comes from.
    pub source: VolumeGroupSnapshotContentSource,
    /// The class that it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_class_name: Option<String>,
    /// The group snapshot that it is bound to.
    pub volume_group_snapshot_ref: ObjectReference,
}

/// Where a group's content comes from: exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotContentSource {
    /// The driver's names of a group that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_snapshot_handles: Option<GroupSnapshotHandles>,
    /// The driver's names of the volumes to take it of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_handles: Option<Vec<String>>,
}

/// The driver's names of a group that exists already.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupSnapshotHandles {
    /// Of the group.
    pub volume_group_snapshot_handle: String,
    /// Of its members.
    pub volume_snapshot_handles: Vec<String>,
}

/// What the driver says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotContentStatus {
    /// When it was cut; a date here, unlike in the content of a single snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<VolumeSnapshotError>,
    /// Whether volumes can be restored from all its members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The driver's name of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_handle: Option<String>,
    /// The members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_info_list: Option<Vec<VolumeSnapshotInfo>>,
}

/// One member of a group, as the driver reported it when the group was cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotInfo {
    /// When it was cut, in nanoseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<i64>,
    /// Whether a volume can be restored from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// The least size of a volume that is restored from it, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_size: Option<i64>,
    /// The driver's name of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_handle: Option<String>,
    /// The driver's name of the volume that it was cut from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_handle: Option<String>,
}
