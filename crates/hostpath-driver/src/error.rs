//! One error for all calls, and the one place that says which status code each cause is.

use csi_driver_kit::durable::ReplaceError;
use csi_driver_kit::exclusivity::Pending;
use csi_driver_kit::os_error::OsError;
use tonic::{Code, Status};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request asks for what cannot be.
    #[error("{0}")]
    Invalid(String),
    /// No volume has this handle.
    #[error("volume id {0} does not exist in the volumes list")]
    NoSuchVolume(String),
    /// No snapshot has this handle.
    #[error("snapshot id {0} does not exist in the snapshots list")]
    NoSuchSnapshot(String),
    /// No group snapshot has this handle.
    #[error("groupsnapshot id {0} does not exist in the groupsnapshots list")]
    NoSuchGroup(String),
    /// The volume is not at the path that was asked about.
    #[error("{0}")]
    NotThere(String),
    /// The name or path is taken by something else.
    #[error("{0}")]
    Exists(String),
    /// No volume of this size can be made.
    #[error("{0}")]
    OutOfRange(String),
    /// The capacity pool is used up.
    #[error("{0}")]
    NoCapacity(String),
    /// Something has to happen first.
    #[error("{0}")]
    Precondition(String),
    /// It is not there yet.
    #[error("{0}")]
    NotReady(String),
    /// The page token is not one of ours.
    #[error("{0}")]
    BadToken(String),
    /// This driver does not do that.
    #[error("{0}")]
    Unsupported(String),
    /// Another call is at work on the same volume.
    #[error(transparent)]
    Pending(#[from] Pending),
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
    /// The state file could not be written.
    #[error("error writing state file: {0}")]
    State(ReplaceError),
    /// Something else is not as it should be.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// The status code (sheet, section 6; INTERNAL where upstream answers UNKNOWN).
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidArgument,
            Self::NoSuchVolume(_) | Self::NoSuchSnapshot(_) | Self::NoSuchGroup(_) | Self::NotThere(_) => {
                Code::NotFound
            }
            Self::Exists(_) => Code::AlreadyExists,
            Self::OutOfRange(_) => Code::OutOfRange,
            Self::NoCapacity(_) => Code::ResourceExhausted,
            Self::Precondition(_) => Code::FailedPrecondition,
            Self::BadToken(_) | Self::Pending(_) => Code::Aborted,
            Self::NotReady(_) => Code::Unavailable,
            Self::Unsupported(_) => Code::Unimplemented,
            Self::Os(error) | Self::State(ReplaceError::Unchanged(error)) => error.code(),
            Self::State(ReplaceError::NotDurable(_)) | Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
