//! Finalizers, by the object that they hold.

/// On a VolumeSnapshot, always while it is not being deleted. Set and removed by the controller.
pub const SNAPSHOT_SOURCE: &str = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection";

/// On a VolumeSnapshot that is bound to a content with deletion policy `Delete`. Set by the controller, removed by it when
/// the content is gone or is to stay.
pub const SNAPSHOT_BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";

/// On a VolumeSnapshot that is a member of a group, from its creation until the group object is gone.
pub const SNAPSHOT_IN_GROUP: &str = "snapshot.storage.kubernetes.io/volumesnapshot-in-group-protection";

/// On a VolumeSnapshotContent whose reference has a UID. Set by the controller, removed by the sidecar.
pub const CONTENT_BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection";

/// On a PersistentVolumeClaim that a snapshot is being taken of. Set and removed by the controller.
pub const CLAIM_SOURCE: &str = "snapshot.storage.kubernetes.io/pvc-as-source-protection";

/// On a VolumeGroupSnapshot that is bound, whatever the deletion policy. Set and removed by the controller.
pub const GROUP_BOUND: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-bound-protection";

/// On a VolumeGroupSnapshotContent whose reference has a UID. Set by the controller, removed by the sidecar.
pub const GROUP_CONTENT_BOUND: &str =
    "groupsnapshot.storage.kubernetes.io/volumegroupsnapshotcontent-bound-protection";

/// On a VolumeSnapshot that a volume is being restored from. It is the provisioner's: snapshot controllers leave it alone.
pub const PROVISIONER_SOURCE: &str = "provisioner.storage.kubernetes.io/volumesnapshot-as-source-protection";
