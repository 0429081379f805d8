//! What the driver has: volumes, snapshots, attachments, mounts, and the history that invariants are checked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use csi_client::csi::{self, VolumeCapability};
use tokio::time::Instant;

/// A volume of the backend.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Unique over the whole life of the backend: never given out twice.
    pub id: String,
    /// Name that it was created with.
    pub name: String,
    /// Size in bytes.
    pub capacity: i64,
    /// The request that created it.
    pub request: csi::CreateVolumeRequest,
    /// Nodes that it is attached to, and how.
    pub published: BTreeMap<String, Published>,
}

/// How a volume is attached to a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The capability asked for.
    pub capability: Option<VolumeCapability>,
    /// Whether read-only was asked for.
    pub readonly: bool,
}

/// Something that happened to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A volume came to be.
    VolumeCreated {
        /// Name asked for.
        name: String,
        /// Id given.
        id: String,
    },
    /// A volume is no more.
    VolumeDeleted {
        /// Its id.
        id: String,
    },
    /// A volume was attached.
    Published {
        /// Volume id.
        id: String,
        /// Node id.
        node: String,
    },
    /// A volume was detached.
    Unpublished {
        /// Volume id.
        id: String,
        /// Node id.
        node: String,
    },
    /// A snapshot was cut.
    SnapshotCreated {
        /// Name asked for.
        name: String,
        /// Id given.
        id: String,
    },
    /// A snapshot is no more.
    SnapshotDeleted {
        /// Its id.
        id: String,
    },
    /// A volume grew.
    Expanded {
        /// Volume id.
        id: String,
        /// New size in bytes.
        capacity: i64,
    },
    /// A volume got other attributes.
    Modified {
        /// Volume id.
        id: String,
        /// The parameters of the call.
        parameters: BTreeMap<String, String>,
    },
}

/// A snapshot of the backend.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) name: String,
    /// As it was when it was cut, except that it is called ready.
    pub(super) message: csi::Snapshot,
    /// From when on it can be used.
    pub(super) ready_at: Instant,
}

/// A group of snapshots.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) sources: Vec<String>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) message: csi::VolumeGroupSnapshot,
}

#[derive(Default)]
pub(super) struct Backend {
    pub(super) volumes: BTreeMap<String, Arc<Volume>>,
    pub(super) snapshots: BTreeMap<String, Snapshot>,
    pub(super) groups: BTreeMap<String, Group>,
    /// Staging path to volume id and capability.
    pub(super) staged: BTreeMap<String, (String, Option<VolumeCapability>)>,
    /// Target path to the request without secrets.
    pub(super) mounted: BTreeMap<String, csi::NodePublishVolumeRequest>,
    /// Volumes that cannot be expanded now.
    pub(super) in_use: BTreeSet<String>,
    pub(super) history: Vec<Fact>,
    next: u64,
}

impl Backend {
    /// A fresh id.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}-{}", self.next)
    }

    /// Bytes handed out.
    pub(super) fn used(&self) -> i64 {
        self.volumes.values().map(|volume| volume.capacity).sum()
    }
}
