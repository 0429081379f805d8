//! One error type for every refusal of the kernel.
//!
//! A bare "Permission denied" in a sidecar's event sends its reader to the wrong place. Every helper of this
//! crate therefore says which operation failed on which path, and maps the cause to the status code that the
//! CSI specification has for it.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The kernel refused an operation on a path.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} {}: {errno}", path.display())]
pub struct OsError {
    /// What was tried, as a verb: `create directory`, `bind mount`.
    pub operation: &'static str,
    /// The path that it was tried on.
    pub path: PathBuf,
    /// What the kernel answered.
    pub errno: Errno,
}

impl OsError {
    /// Names the operation and the path of a failed system call.
    pub fn new(operation: &'static str, path: impl AsRef<Path>, errno: Errno) -> Self {
        Self { operation, path: path.as_ref().to_path_buf(), errno }
    }

    /// The same for an error of the standard library. One without a number counts as an input/output error.
    pub fn io(operation: &'static str, path: impl AsRef<Path>, error: &std::io::Error) -> Self {
        Self::new(operation, path, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }

    /// Whether storage, quota or inodes ran out, which the caller can only solve elsewhere.
    pub fn is_full(&self) -> bool {
        matches!(self.errno, Errno::NOSPC | Errno::DQUOT)
    }

    /// The status code: no space is RESOURCE_EXHAUSTED (the provisioner then tries another node), anything else
    /// is INTERNAL. PERMISSION_DENIED stays reserved for secrets (csi-proto 9.1).
    pub fn code(&self) -> tonic::Code {
        if self.is_full() { tonic::Code::ResourceExhausted } else { tonic::Code::Internal }
    }
}

impl From<OsError> for tonic::Status {
    fn from(error: OsError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Adds operation and path to the errors of system calls.
pub trait Context<T> {
    /// Turns a refusal into an [`OsError`].
    fn context(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T, OsError>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn context(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T, OsError> {
        self.map_err(|errno| OsError::new(operation, path, errno))
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T, OsError> {
        self.map_err(|error| OsError::io(operation, path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_operation_path_and_cause() {
        let error = OsError::new("create directory", "/a/b", Errno::NOSPC);
        assert_eq!(error.to_string(), "create directory /a/b: No space left on device (os error 28)");
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    }

    #[test]
    fn everything_but_a_full_disk_is_internal() {
        for errno in [Errno::ACCESS, Errno::PERM, Errno::NOENT, Errno::IO] {
            assert_eq!(OsError::new("open", "/x", errno).code(), tonic::Code::Internal);
        }
        assert_eq!(OsError::new("open", "/x", Errno::DQUOT).code(), tonic::Code::ResourceExhausted);
    }
}
