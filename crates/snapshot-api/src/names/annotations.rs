//! Annotations. Unless said otherwise it is their presence that counts, not their value.

/// On a VolumeSnapshotContent while a CreateSnapshot call may be under way. Set and removed by the sidecar.
pub const BEING_CREATED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-created";

/// On a VolumeSnapshotContent whose snapshot is being deleted. Set by the controller, never removed.
pub const BEING_DELETED: &str = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted";

/// [`BEING_CREATED`] of a VolumeGroupSnapshotContent.
pub const GROUP_BEING_CREATED: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-created";

/// [`BEING_DELETED`] of a VolumeGroupSnapshotContent.
pub const GROUP_BEING_DELETED: &str = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-being-deleted";

/// The value of the four annotations above.
pub const YES: &str = "yes";

/// On a VolumeSnapshotContent: name of the Secret for creating and deleting (and, of group members, listing). Set by the
/// controller at creation, read by the sidecar.
pub const SECRET_NAME: &str = "snapshot.storage.kubernetes.io/deletion-secret-name";

/// Namespace of the Secret of [`SECRET_NAME`].
pub const SECRET_NAMESPACE: &str = "snapshot.storage.kubernetes.io/deletion-secret-namespace";

/// On a VolumeGroupSnapshotContent: name of the Secret for creating and deleting. Set by the controller at creation.
pub const GROUP_SECRET_NAME: &str = "groupsnapshot.storage.kubernetes.io/deletion-secret-name";

/// Namespace of the Secret of [`GROUP_SECRET_NAME`].
pub const GROUP_SECRET_NAMESPACE: &str = "groupsnapshot.storage.kubernetes.io/deletion-secret-namespace";

/// On the VolumeSnapshotContent of a member of a dynamic group: the handle of the group. The sidecar never calls
/// CreateSnapshot for it. The only annotation whose domain is that of the API group.
pub const GROUP_HANDLE: &str = "groupsnapshot.storage.k8s.io/volumeGroupSnapshotHandle";

/// On a VolumeSnapshotClass: exactly [`TRUE`] makes it the default of its driver.
pub const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

/// On a VolumeGroupSnapshotClass: exactly [`TRUE`] makes it the default of its driver.
pub const GROUP_DEFAULT_CLASS: &str = "groupsnapshot.storage.kubernetes.io/is-default-class";

/// The one value of [`DEFAULT_CLASS`], [`GROUP_DEFAULT_CLASS`] and [`ALLOW_VOLUME_MODE_CHANGE`] that counts.
pub const TRUE: &str = "true";

/// On a VolumeSnapshotContent, by an administrator: it may be restored into a volume of another mode. Only the provisioner
/// reads it.
pub const ALLOW_VOLUME_MODE_CHANGE: &str = "snapshot.storage.kubernetes.io/allow-volume-mode-change";

/// On the v1beta1 view of a VolumeGroupSnapshotContent: the member list that this version has no field for, as JSON. Only
/// the conversion webhook reads and writes it.
pub const INFO_LIST: &str = "groupsnapshot.storage.kubernetes.io/volume-snapshot-info-list";
