//! Reasons and messages of the events that users, alerts and test suites know (sheet section 8).

/// Component of all events.
pub const COMPONENT: &str = "snapshot-controller";

/// A content was made; the driver has it now.
pub const CREATING_SNAPSHOT: &str = "CreatingSnapshot";
/// The driver has cut the snapshot.
pub const SNAPSHOT_CREATED: &str = "SnapshotCreated";
/// Volumes can be restored from it.
pub const SNAPSHOT_READY: &str = "SnapshotReady";
/// The named class is not there.
pub const GET_CLASS_FAILED: &str = "GetSnapshotClassFailed";
/// No class is named, and there is no default.
pub const SET_DEFAULT_CLASS_FAILED: &str = "SetDefaultSnapshotClassFailed";
/// The snapshot contradicts itself.
pub const VALIDATION_ERROR: &str = "SnapshotValidationError";
/// The finalizers could not be written, or it is not clear which are needed.
pub const FINALIZER_ERROR: &str = "SnapshotFinalizerError";
/// The finalizer on the claim could not be removed.
pub const CLAIM_FINALIZER_ERROR: &str = "ErrorPVCFinalizer";
/// The content is gone, or was never there.
pub const CONTENT_MISSING: &str = "SnapshotContentMissing";
/// The content of a ready snapshot names another one.
pub const MISBOUND: &str = "SnapshotMisbound";
/// The content is of the other sort.
pub const CONTENT_MISMATCH: &str = "SnapshotContentMismatch";
/// The content names another snapshot.
pub const CONTENT_MISBOUND: &str = "SnapshotContentMisbound";
/// A content that was made by hand could not be bound.
pub const BIND_FAILED: &str = "SnapshotBindFailed";
/// A content has both handles.
pub const HANDLE_SET: &str = "SnapshotHandleSet";
/// There is no claim to take it of.
pub const CLAIM_SOURCE_MISSING: &str = "SnapshotPVCSourceMissing";
/// No content could be made.
pub const CONTENT_CREATION_FAILED: &str = "SnapshotContentCreationFailed";
/// The API server did not take the content.
pub const CREATE_CONTENT_FAILED: &str = "CreateSnapshotContentFailed";
/// What the content says could not be copied.
pub const STATUS_UPDATE_FAILED: &str = "SnapshotStatusUpdateFailed";
/// It cannot be deleted now.
pub const DELETE_PENDING: &str = "SnapshotDeletePending";
/// The API server did not delete the content.
pub const CONTENT_DELETE_ERROR: &str = "SnapshotContentObjectDeleteError";
/// The content contradicts itself.
pub const CONTENT_VALIDATION_ERROR: &str = "ContentValidationError";

/// Message of [`CREATING_SNAPSHOT`].
pub fn creating(key: &str) -> String {
    format!("Waiting for a snapshot {key} to be created by the CSI driver.")
}

/// Message of [`SNAPSHOT_CREATED`].
pub fn created(key: &str) -> String {
    format!("Snapshot {key} was successfully created by the CSI driver.")
}

/// Message of [`SNAPSHOT_READY`].
pub fn ready(key: &str) -> String {
    format!("Snapshot {key} is ready to use.")
}

/// Message of [`CLAIM_FINALIZER_ERROR`].
pub const CLAIM_FINALIZER_MESSAGE: &str = "Error check and remove PVC Finalizer for VolumeSnapshot";
/// Message of [`CONTENT_MISSING`].
pub const CONTENT_MISSING_MESSAGE: &str = "VolumeSnapshotContent is missing";
/// Message of [`MISBOUND`].
pub const MISBOUND_MESSAGE: &str = "VolumeSnapshotContent is not bound to the VolumeSnapshot correctly";
/// Message of [`DELETE_PENDING`] of a snapshot in use.
pub const IN_USE_MESSAGE: &str = "Snapshot is being used to restore a PVC";
/// Message of [`CONTENT_DELETE_ERROR`].
pub const CONTENT_DELETE_MESSAGE: &str = "Failed to delete snapshot content API object";
/// Message of [`CONTENT_VALIDATION_ERROR`].
pub const CONTENT_VALIDATION_MESSAGE: &str =
    "Exactly one of VolumeHandle and SnapshotHandle should be specified";

/// Reasons and messages of groups.
pub mod group {
    /// A content was made; the driver has it now.
    pub const CREATING: &str = "CreatingGroupSnapshot";
    /// The driver has cut the group.
    pub const CREATED: &str = "GroupSnapshotCreated";
    /// Volumes can be restored from all members.
    pub const READY: &str = "GroupSnapshotReady";
    /// The named class is not there.
    pub const GET_CLASS_FAILED: &str = "GetGroupSnapshotClassFailed";
    /// No class is named, and there is no default.
    pub const SET_DEFAULT_CLASS_FAILED: &str = "SetDefaultGroupSnapshotClassFailed";
    /// The group contradicts itself.
    pub const VALIDATION_ERROR: &str = "GroupSnapshotValidationError";
    /// The finalizer could not be written, or it is not clear whether it is needed.
    pub const FINALIZER_ERROR: &str = "GroupSnapshotFinalizerError";
    /// The content is gone, or was never there.
    pub const CONTENT_MISSING: &str = "GroupSnapshotContentMissing";
    /// The content of a ready group names another one.
    pub const MISBOUND: &str = "GroupSnapshotMisbound";
    /// The content is of the other sort.
    pub const CONTENT_MISMATCH: &str = "GroupSnapshotContentMismatch";
    /// The content names another group.
    pub const CONTENT_MISBOUND: &str = "GroupSnapshotContentMisbound";
    /// A content that was made by hand could not be bound.
    pub const BIND_FAILED: &str = "GroupSnapshotBindFailed";
    /// No content could be made.
    pub const CONTENT_CREATION_FAILED: &str = "GroupSnapshotContentCreationFailed";
    /// The API server did not take the content, or it would be one that no driver can carry out.
    pub const CREATE_CONTENT_FAILED: &str = "CreateGroupSnapshotContentFailed";
    /// What the content says could not be copied.
    pub const STATUS_UPDATE_FAILED: &str = "GroupSnapshotStatusUpdateFailed";
    /// The API server did not delete the content.
    pub const CONTENT_DELETE_ERROR: &str = "GroupSnapshotContentObjectDeleteError";
    /// The API server did not delete a member.
    pub const MEMBER_DELETE_ERROR: &str = "SnapshotDeleteError";
    /// A member could not be made. Upstream only logs it (13.5).
    pub const MEMBER_CREATION_FAILED: &str = "GroupSnapshotMemberCreationFailed";
    /// The content contradicts itself.
    pub const CONTENT_VALIDATION_ERROR: &str = "GroupContentValidationError";

    /// Message of [`CREATING`].
    pub fn creating(key: &str) -> String {
        format!("Waiting for a group snapshot {key} to be created by the CSI driver.")
    }

    /// Message of [`CREATED`].
    pub fn created(key: &str) -> String {
        format!("GroupSnapshot {key} was successfully created by the CSI driver.")
    }

    /// Message of [`READY`].
    pub fn ready(key: &str) -> String {
        format!("GroupSnapshot {key} is ready to use.")
    }

    /// Message of [`CONTENT_MISSING`].
    pub const CONTENT_MISSING_MESSAGE: &str = "VolumeGroupSnapshotContent is missing";
    /// Message of [`MISBOUND`].
    pub const MISBOUND_MESSAGE: &str =
        "VolumeGroupSnapshotContent is not bound to the VolumeGroupSnapshot correctly";
    /// Message of [`CONTENT_DELETE_ERROR`].
    pub const CONTENT_DELETE_MESSAGE: &str = "Failed to delete group snapshot content API object";
    /// Message of [`CONTENT_VALIDATION_ERROR`].
    pub const CONTENT_VALIDATION_MESSAGE: &str =
        "Exactly one of GroupSnapshotHandles and VolumeHandles should be specified";
}
