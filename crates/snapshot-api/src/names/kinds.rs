//! Where the six kinds live in the API (annex A.1, A.2).

/// The group of snapshots of one volume.
pub const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";

/// The group of snapshots of several volumes.
pub const GROUP_SNAPSHOT_GROUP: &str = "groupsnapshot.storage.k8s.io";

/// The version that controllers use of both groups.
pub const VERSION: &str = "v1";

/// `apiVersion` of snapshots.
pub const SNAPSHOT_API_VERSION: &str = "snapshot.storage.k8s.io/v1";

/// `apiVersion` of group snapshots.
pub const GROUP_SNAPSHOT_API_VERSION: &str = "groupsnapshot.storage.k8s.io/v1";

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotKind {
    /// API group.
    pub group: &'static str,
    /// Kind, as in manifests.
    pub kind: &'static str,
    /// Plural, as in paths and rules.
    pub plural: &'static str,
    /// What kubectl accepts besides.
    pub short_names: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a status, which is a subresource then.
    pub status: bool,
}

impl SnapshotKind {
    /// `group/v1`.
    pub fn api_version(&self) -> String {
        format!("{}/{VERSION}", self.group)
    }

    /// `plural.group`, the name of its definition.
    pub fn definition_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

/// What a user asks for: a snapshot of one claim, or the use of an existing one.
pub const VOLUME_SNAPSHOT: SnapshotKind = SnapshotKind {
    group: SNAPSHOT_GROUP,
    kind: "VolumeSnapshot",
    plural: "volumesnapshots",
    short_names: &["vs"],
    namespaced: true,
    status: true,
};

/// What the driver has: one snapshot.
pub const VOLUME_SNAPSHOT_CONTENT: SnapshotKind = SnapshotKind {
    kind: "VolumeSnapshotContent",
    plural: "volumesnapshotcontents",
    short_names: &["vsc", "vscs"],
    namespaced: false,
    ..VOLUME_SNAPSHOT
};

/// What an administrator offers: driver, parameters and deletion policy.
pub const VOLUME_SNAPSHOT_CLASS: SnapshotKind = SnapshotKind {
    kind: "VolumeSnapshotClass",
    plural: "volumesnapshotclasses",
    short_names: &["vsclass", "vsclasses"],
    namespaced: false,
    status: false,
    ..VOLUME_SNAPSHOT
};

/// What a user asks for: a snapshot of several claims at one point in time.
pub const VOLUME_GROUP_SNAPSHOT: SnapshotKind = SnapshotKind {
    group: GROUP_SNAPSHOT_GROUP,
    kind: "VolumeGroupSnapshot",
    plural: "volumegroupsnapshots",
    short_names: &["vgs"],
    ..VOLUME_SNAPSHOT
};

/// What the driver has: one group.
pub const VOLUME_GROUP_SNAPSHOT_CONTENT: SnapshotKind = SnapshotKind {
    group: GROUP_SNAPSHOT_GROUP,
    kind: "VolumeGroupSnapshotContent",
    plural: "volumegroupsnapshotcontents",
    short_names: &["vgsc", "vgscs"],
    ..VOLUME_SNAPSHOT_CONTENT
};

/// What an administrator offers for groups.
pub const VOLUME_GROUP_SNAPSHOT_CLASS: SnapshotKind = SnapshotKind {
    group: GROUP_SNAPSHOT_GROUP,
    kind: "VolumeGroupSnapshotClass",
    plural: "volumegroupsnapshotclasses",
    short_names: &["vgsclass", "vgsclasses"],
    ..VOLUME_SNAPSHOT_CLASS
};

/// All six.
pub const ALL: [&SnapshotKind; 6] = [
    &VOLUME_SNAPSHOT,
    &VOLUME_SNAPSHOT_CONTENT,
    &VOLUME_SNAPSHOT_CLASS,
    &VOLUME_GROUP_SNAPSHOT,
    &VOLUME_GROUP_SNAPSHOT_CONTENT,
    &VOLUME_GROUP_SNAPSHOT_CLASS,
];

/// Whether an owner reference with this `apiVersion` and `kind` means a group snapshot, in whichever version the controller
/// of the day wrote it: upstream up to 8.5 wrote `v1beta2` or `v1beta1`, and does not know them any more (13.1).
pub fn is_group_owner(api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map(|(group, _)| group);
    kind == VOLUME_GROUP_SNAPSHOT.kind && group == Some(GROUP_SNAPSHOT_GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_any_version_are_groups() {
        for version in ["v1", "v1beta1", "v1beta2"] {
            assert!(is_group_owner(&format!("{GROUP_SNAPSHOT_GROUP}/{version}"), "VolumeGroupSnapshot"));
        }
        assert!(!is_group_owner(GROUP_SNAPSHOT_API_VERSION, "VolumeGroupSnapshotContent"));
        assert!(!is_group_owner(SNAPSHOT_API_VERSION, "VolumeGroupSnapshot"));
        assert!(!is_group_owner(GROUP_SNAPSHOT_GROUP, "VolumeGroupSnapshot"));
    }

    #[test]
    fn api_versions_are_put_together_right() {
        assert_eq!(VOLUME_SNAPSHOT_CLASS.api_version(), SNAPSHOT_API_VERSION);
        assert_eq!(VOLUME_GROUP_SNAPSHOT_CLASS.api_version(), GROUP_SNAPSHOT_API_VERSION);
        assert_eq!(VOLUME_SNAPSHOT.definition_name(), "volumesnapshots.snapshot.storage.k8s.io");
    }
}
