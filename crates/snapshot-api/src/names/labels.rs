//! Labels.

/// On a VolumeSnapshotContent: the node whose sidecar is in charge (distributed snapshotting). Set by the controller.
pub const MANAGED_BY: &str = "snapshot.storage.kubernetes.io/managed-by";
