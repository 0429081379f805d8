//! Snapshots and groups of them, with upstream's keys in upstream's order (sheet, section 4).

use csi_driver_kit::filesystem::Kind;
use serde::{Deserialize, Serialize};

use super::{AccessType, Record, Volume, list_or_null};

/// A moment, as upstream's library writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Time {
    /// Since 1970.
    #[serde(skip_serializing_if = "is_zero")]
    pub seconds: i64,
    /// Below one second.
    #[serde(skip_serializing_if = "is_zero")]
    pub nanos: i32,
}

fn is_zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl Time {
    /// Now. A clock before 1970 counts as that year.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
        }
    }
}

/// One snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Snapshot {
    /// The name that it was asked for under.
    pub name: String,
    /// Its handle; `<id>.snap` is its file.
    pub id: String,
    /// The volume that it is of.
    #[serde(rename = "VolID")]
    pub volume_id: String,
    /// Written for upstream; never read, as with volumes.
    pub path: String,
    /// When it was cut.
    pub creation_time: Option<Time>,
    /// Size of the volume then, in bytes.
    pub size_bytes: i64,
    /// Always, except in a file that upstream wrote.
    pub ready_to_use: bool,
    /// The group that it belongs to, or empty.
    #[serde(rename = "GroupSnapshotID")]
    pub group_id: String,
    /// Type of the volume; unknown if upstream cut it.
    #[serde(rename = "VolAccessType", skip_serializing_if = "Option::is_none")]
    pub access_type: Option<AccessType>,
    /// The filesystem in the image, as with volumes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filesystem: String,
}

impl Record for Snapshot {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Snapshot {
    /// The name of a snapshot's file.
    pub fn file_of(id: &str) -> String {
        format!("{id}.snap")
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        Self::file_of(&self.id)
    }

    /// The filesystem in its image.
    pub fn filesystem(&self) -> Option<Kind> {
        Kind::named(&self.filesystem)
    }
}

/// Several snapshots that were cut together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Group {
    /// The name that it was asked for under.
    pub name: String,
    /// Its handle.
    pub id: String,
    /// The members.
    #[serde(rename = "SnapshotIDs", deserialize_with = "list_or_null")]
    pub snapshot_ids: Vec<String>,
    /// The volumes, in the order of the members.
    #[serde(rename = "SourceVolumeIDs", deserialize_with = "list_or_null")]
    pub volume_ids: Vec<String>,
    /// When it was cut.
    pub creation_time: Option<Time>,
    /// Whether all members are.
    pub ready_to_use: bool,
}

impl Record for Group {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Group {
    /// Whether these are the members, in any order.
    pub fn has_members(&self, ids: &[String]) -> bool {
        same_set(&self.snapshot_ids, ids)
    }

    /// Whether these are the volumes, in any order.
    pub fn has_volumes(&self, ids: &[String]) -> bool {
        same_set(&self.volume_ids, ids)
    }
}

/// Duplicates count.
fn same_set(one: &[String], other: &[String]) -> bool {
    let sorted = |ids: &[String]| {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids
    };
    sorted(one) == sorted(other)
}

impl Snapshot {
    /// A snapshot of `volume` that is still to be cut.
    pub fn of(volume: &Volume, id: String, name: String, time: Time) -> Self {
        Self {
            name,
            id,
            volume_id: volume.id.clone(),
            creation_time: Some(time),
            size_bytes: volume.size,
            ready_to_use: true,
            access_type: Some(volume.access_type),
            filesystem: volume.filesystem.clone(),
            ..Self::default()
        }
    }
}
