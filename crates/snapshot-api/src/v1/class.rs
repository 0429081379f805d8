//! VolumeSnapshotClass and VolumeGroupSnapshotClass.

use std::collections::BTreeMap;

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::marks::resource;
use super::{DeletionPolicy, GroupSnapshotVersion, SnapshotVersion};
use crate::names::kinds::{
    GROUP_SNAPSHOT_API_VERSION, SNAPSHOT_API_VERSION, VOLUME_GROUP_SNAPSHOT_CLASS, VOLUME_SNAPSHOT_CLASS,
};

/// What an administrator offers for snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct VolumeSnapshotClass {
    /// Always the same.
    #[serde(default)]
    pub api_version: SnapshotVersion,
    /// Name, and whether it is the default.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The driver's name.
    pub driver: String,
    /// What contents are made with.
    pub deletion_policy: DeletionPolicy,
    /// For the driver, and names of Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BTreeMap<String, String>>,
}

/// What an administrator offers for snapshots of groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub struct VolumeGroupSnapshotClass {
    /// Always the same.
    #[serde(default)]
    pub api_version: GroupSnapshotVersion,
    /// Name, and whether it is the default.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The driver's name.
    pub driver: String,
    /// What contents are made with.
    pub deletion_policy: DeletionPolicy,
    /// For the driver, and names of Secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<BTreeMap<String, String>>,
}

resource!(VolumeSnapshotClass, VOLUME_SNAPSHOT_CLASS, SNAPSHOT_API_VERSION, ClusterResourceScope);
resource!(
    VolumeGroupSnapshotClass,
    VOLUME_GROUP_SNAPSHOT_CLASS,
    GROUP_SNAPSHOT_API_VERSION,
    ClusterResourceScope
);
