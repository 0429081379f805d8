//! One call at a time for one volume, snapshot or group.
//!
//! The specification asks callers to do this by themselves and lets drivers answer ABORTED when they do not. A
//! driver that is built on this crate never sees two calls for one volume at once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use csi_client::csi;

/// What a call must have to itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A volume, by id.
    Volume(String),
    /// A volume that is being made, by name.
    VolumeName(String),
    /// A snapshot, by id.
    Snapshot(String),
    /// A snapshot that is being cut, by name.
    SnapshotName(String),
    /// A group snapshot, by id.
    Group(String),
    /// A group snapshot that is being cut, by name.
    GroupName(String),
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, value) = match self {
            Self::Volume(id) => ("volume", id),
            Self::VolumeName(name) => ("volume name", name),
            Self::Snapshot(id) => ("snapshot", id),
            Self::SnapshotName(name) => ("snapshot name", name),
            Self::Group(id) => ("group snapshot", id),
            Self::GroupName(name) => ("group snapshot name", name),
        };
        write!(f, "{kind} {value:?}")
    }
}

/// Another call holds the key.
#[derive(Debug, thiserror::Error)]
#[error("an operation on {0} is still pending")]
pub struct Pending(pub Key);

impl From<Pending> for tonic::Status {
    fn from(error: Pending) -> Self {
        Self::aborted(error.to_string())
    }
}

/// The keys that calls hold at this moment. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Exclusivity(Arc<Mutex<BTreeSet<Key>>>);

impl Exclusivity {
    /// Takes `key`, or says that somebody else has it. Never waits.
    pub fn acquire(&self, key: Key) -> Result<Held, Pending> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.clone()) {
            return Err(Pending(key));
        }
        Ok(Held { owner: self.clone(), key })
    }
}

/// A key that is held until this value is dropped.
#[derive(Debug)]
#[must_use = "dropping it releases the key"]
pub struct Held {
    owner: Exclusivity,
    key: Key,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.owner.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// A request that may need something to itself.
pub trait Exclusive {
    /// What the call must have to itself; reading calls need nothing.
    fn key(&self) -> Option<Key> {
        None
    }
}

macro_rules! exclusive {
    ($($request:ident => $key:ident($field:ident);)*) => {
        $(impl Exclusive for csi::$request {
            fn key(&self) -> Option<Key> {
                Some(Key::$key(self.$field.clone()))
            }
        })*
    };
}

exclusive! {
    CreateVolumeRequest => VolumeName(name);
    DeleteVolumeRequest => Volume(volume_id);
    ControllerPublishVolumeRequest => Volume(volume_id);
    ControllerUnpublishVolumeRequest => Volume(volume_id);
    ControllerModifyVolumeRequest => Volume(volume_id);
    ControllerExpandVolumeRequest => Volume(volume_id);
    NodeStageVolumeRequest => Volume(volume_id);
    NodeUnstageVolumeRequest => Volume(volume_id);
    NodePublishVolumeRequest => Volume(volume_id);
    NodeUnpublishVolumeRequest => Volume(volume_id);
    NodeExpandVolumeRequest => Volume(volume_id);
    CreateSnapshotRequest => SnapshotName(name);
    DeleteSnapshotRequest => Snapshot(snapshot_id);
    CreateVolumeGroupSnapshotRequest => GroupName(name);
    DeleteVolumeGroupSnapshotRequest => Group(group_snapshot_id);
}

macro_rules! shared {
    ($($request:ident)*) => { $(impl Exclusive for csi::$request {})* };
}

shared! {
    ValidateVolumeCapabilitiesRequest ListVolumesRequest ControllerGetVolumeRequest GetCapacityRequest
    ControllerListVolumeHealthRequest ControllerGetVolumeHealthRequest ListSnapshotsRequest GetSnapshotRequest
    NodeGetVolumeStatsRequest NodeGetVolumeHealthRequest NodeGetStorageHealthRequest
    GetVolumeGroupSnapshotRequest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let keys = Exclusivity::default();
        let first = keys.acquire(Key::Volume("v".into())).unwrap();
        let refused = keys.clone().acquire(Key::Volume("v".into())).unwrap_err();
        assert_eq!(refused.to_string(), "an operation on volume \"v\" is still pending");
        assert_eq!(tonic::Status::from(refused).code(), tonic::Code::Aborted);
        let _other = keys.acquire(Key::Volume("w".into())).unwrap();
        let _same_text_other_kind = keys.acquire(Key::VolumeName("v".into())).unwrap();
        drop(first);
        let _again = keys.acquire(Key::Volume("v".into())).unwrap();
    }
}
