//! Class parameters with a meaning of their own, and parameters that sidecars add.

/// The prefix of parameters that are not the driver's. A class may have none with it but [`RESERVED`].
pub const PREFIX: &str = "csi.storage.k8s.io/";

/// VolumeSnapshotClass: name of the Secret for creating and deleting snapshots.
pub const SECRET_NAME: &str = "csi.storage.k8s.io/snapshotter-secret-name";

/// VolumeSnapshotClass: namespace of the Secret for creating and deleting snapshots.
pub const SECRET_NAMESPACE: &str = "csi.storage.k8s.io/snapshotter-secret-namespace";

/// VolumeSnapshotClass: name of the Secret for looking at snapshots.
pub const LIST_SECRET_NAME: &str = "csi.storage.k8s.io/snapshotter-list-secret-name";

/// VolumeSnapshotClass: namespace of the Secret for looking at snapshots.
pub const LIST_SECRET_NAMESPACE: &str = "csi.storage.k8s.io/snapshotter-list-secret-namespace";

/// VolumeGroupSnapshotClass: name of the Secret for creating and deleting group snapshots.
pub const GROUP_SECRET_NAME: &str = "csi.storage.k8s.io/group-snapshotter-secret-name";

/// VolumeGroupSnapshotClass: namespace of the Secret for creating and deleting group snapshots.
pub const GROUP_SECRET_NAMESPACE: &str = "csi.storage.k8s.io/group-snapshotter-secret-namespace";

/// VolumeGroupSnapshotClass: name of the Secret for looking at group snapshots.
pub const GROUP_GET_SECRET_NAME: &str = "csi.storage.k8s.io/group-snapshotter-get-secret-name";

/// VolumeGroupSnapshotClass: namespace of the Secret for looking at group snapshots.
pub const GROUP_GET_SECRET_NAMESPACE: &str = "csi.storage.k8s.io/group-snapshotter-get-secret-namespace";

/// What a class may have with [`PREFIX`]; not sent to the driver.
pub const RESERVED: [&str; 8] = [
    SECRET_NAME,
    SECRET_NAMESPACE,
    LIST_SECRET_NAME,
    LIST_SECRET_NAMESPACE,
    GROUP_SECRET_NAME,
    GROUP_SECRET_NAMESPACE,
    GROUP_GET_SECRET_NAME,
    GROUP_GET_SECRET_NAMESPACE,
];

/// Sent with `--extra-create-metadata`: name of the VolumeSnapshot.
pub const SNAPSHOT_NAME: &str = "csi.storage.k8s.io/volumesnapshot/name";

/// Sent with `--extra-create-metadata`: namespace of the VolumeSnapshot.
pub const SNAPSHOT_NAMESPACE: &str = "csi.storage.k8s.io/volumesnapshot/namespace";

/// Sent with `--extra-create-metadata`: name of the VolumeSnapshotContent.
pub const CONTENT_NAME: &str = "csi.storage.k8s.io/volumesnapshotcontent/name";

/// Sent with `--extra-create-metadata`: name of the VolumeGroupSnapshot.
pub const GROUP_NAME: &str = "csi.storage.k8s.io/volumegroupsnapshot/name";

/// Sent with `--extra-create-metadata`: namespace of the VolumeGroupSnapshot.
pub const GROUP_NAMESPACE: &str = "csi.storage.k8s.io/volumegroupsnapshot/namespace";

/// Sent with `--extra-create-metadata`: name of the VolumeGroupSnapshotContent.
pub const GROUP_CONTENT_NAME: &str = "csi.storage.k8s.io/volumegroupsnapshotcontent/name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_parameters_have_the_prefix_and_differ() {
        let mut keys = RESERVED.to_vec();
        assert!(keys.iter().all(|key| key.starts_with(PREFIX)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }
}
