//! VolumeGroupSnapshot.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use serde::{Deserialize, Serialize};

use super::marks::resource;
use super::{GroupSnapshotVersion, VolumeSnapshotError};
use crate::names::kinds::{GROUP_SNAPSHOT_API_VERSION, VOLUME_GROUP_SNAPSHOT};

/// What a user asks for: snapshots of several claims at one point in time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct VolumeGroupSnapshot {
    /// Always the same.
    #[serde(default)]
    pub api_version: GroupSnapshotVersion,
    /// Name, namespace, finalizers.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: VolumeGroupSnapshotSpec,
    /// What there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<VolumeGroupSnapshotStatus>,
}

resource!(VolumeGroupSnapshot, VOLUME_GROUP_SNAPSHOT, GROUP_SNAPSHOT_API_VERSION, NamespaceResourceScope);

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotSpec {
    /// Where it comes from.
    pub source: VolumeGroupSnapshotSource,
    /// The class; without one the default of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_class_name: Option<String>,
}

/// Where a group comes from: exactly one is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotSource {
    /// The claims to take it of, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The content that stands for a group which exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_group_snapshot_content_name: Option<String>,
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeGroupSnapshotStatus {
    /// The content that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_volume_group_snapshot_content_name: Option<String>,
    /// When the driver cut it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<VolumeSnapshotError>,
    /// Whether volumes can be restored from all its members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
}
