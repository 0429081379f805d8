//! The Unix socket file: taking over a dead one, never a live one, and leaving none behind.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::os_error::{Context, OsError};

/// Callers of a driver run as root; nobody else may drive it.
const SOCKET_MODE: u32 = 0o600;

/// Why a socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something else has this name.
    #[error("{} exists and is not a socket; remove it or choose another endpoint", .0.display())]
    NotASocket(PathBuf),
    /// Another process answers on it.
    #[error("{} is in use by another process; stop it or choose another endpoint", .0.display())]
    InUse(PathBuf),
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] OsError),
}

/// A listening socket file, removed when this value is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    listener: Option<UnixListener>,
}

impl BoundSocket {
    /// Listens at `path`, for this user only.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        make_room(path)?;
        let listener = StdListener::bind(path).context("listen on", path)?;
        let mut bound = Self { path: path.to_path_buf(), identity: identity(path), listener: None };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))
            .context("set permissions of", path)?;
        listener.set_nonblocking(true).context("listen on", path)?;
        bound.listener = Some(UnixListener::from_std(listener).context("listen on", path)?);
        Ok(bound)
    }

    pub(super) async fn accept(&self) -> std::io::Result<tokio::net::UnixStream> {
        match &self.listener {
            Some(listener) => Ok(listener.accept().await?.0),
            None => Err(std::io::ErrorKind::NotConnected.into()),
        }
    }

    /// The listener, for the server; can be taken once.
    pub(super) fn listener(&mut self) -> Result<UnixListener, SocketError> {
        let gone = || OsError::new("listen on", &self.path, rustix::io::Errno::BADF);
        Ok(self.listener.take().ok_or_else(gone)?)
    }
}

impl Drop for BoundSocket {
    /// Removes the file unless a successor has already put its own in the place.
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Removes what a dead process left. A live socket and any other file are refused.
fn make_room(path: &Path) -> Result<(), SocketError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.context("stat", path)?,
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_path_buf()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::InUse(path.to_path_buf()));
    }
    std::fs::remove_file(path).context("remove stale socket", path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("csi.sock");
        drop(StdListener::bind(&path).unwrap());
        assert!(path.exists(), "a dead process leaves the file");
        let bound = BoundSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("csi.sock");
        let _first = BoundSocket::bind(&path).unwrap();
        assert!(matches!(BoundSocket::bind(&path), Err(SocketError::InUse(_))));
        assert!(path.exists());
    }

    #[tokio::test]
    async fn another_file_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("csi.sock");
        std::fs::write(&path, "precious").unwrap();
        let refused = BoundSocket::bind(&path).unwrap_err();
        assert!(refused.to_string().contains("is not a socket"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_successors_socket_survives_our_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("csi.sock");
        let first = BoundSocket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _second = BoundSocket::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
    }
}
