//! The registration socket on disk: what lies at its path, binding it without a gap, removing it.
//!
//! Kubelet watches the directory and ignores names that begin with a dot, so the socket is bound under such a
//! name, made private, and renamed into place when it already accepts: one create event, no moment at which
//! kubelet could dial in vain or another user could connect (sheet node-driver-registrar 13.2, 14.2).

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use csi_client::system_text;
use thiserror::Error;
use tokio::net::UnixListener;

/// Access rights of the registration socket (sheet section 3, step 16).
const SOCKET_MODE: u32 = 0o700;

/// Why the registration socket could not be made or removed. Texts are those of the sheet, section 5.1.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// A regular file, directory or device lies at the path; it is left alone.
    #[error(
        "file exists in socketPath {path} but it's not a socket.: {found}; remove it or choose another --plugin-registration-path"
    )]
    NotASocket {
        /// The registration socket's path.
        path: String,
        /// What was found there.
        found: String,
    },
    /// The path could not be looked at.
    #[error("failed to stat the socket {path} with error: {error}")]
    Stat {
        /// The registration socket's path.
        path: String,
        /// The system's reason.
        error: String,
    },
    /// A socket of an earlier instance could not be unlinked.
    #[error("failed to remove stale socket {path} with error: {error}")]
    Remove {
        /// The registration socket's path.
        path: String,
        /// The system's reason.
        error: String,
    },
    /// Binding or moving into place failed, for example because the directory does not exist.
    #[error("listen unix {path}: bind: {error}")]
    Bind {
        /// The registration socket's path.
        path: String,
        /// The system's reason.
        error: String,
    },
}

/// Which file it is: device and inode, as renames and path names do not change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// What lies at the registration path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or not even the directory.
    Absent,
    /// A socket, ours or another's.
    Socket(Identity),
}

/// The path kubelet will see: `<directory>/<driver>-reg.sock`, joined without cleaning as upstream does.
pub(crate) fn path(directory: &str, driver: &str) -> PathBuf {
    PathBuf::from(format!("{directory}/{driver}-reg.sock"))
}

/// Looks at the path, following links.
pub(crate) fn examine(path: &Path) -> Result<Found, SocketError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(Found::Socket(Identity::of(&metadata))),
        Ok(metadata) => Err(SocketError::NotASocket { path: shown(path), found: describe(&metadata) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
        Err(error) => Err(SocketError::Stat { path: shown(path), error: system_text(&error) }),
    }
}

/// Removes the socket at the end, but only if it is still `ours`: another instance may have taken the name.
pub(crate) fn remove_own(path: &Path, ours: Identity) -> Result<(), SocketError> {
    match examine(path) {
        Ok(Found::Socket(found)) if found == ours => unlink(path),
        _ => Ok(()),
    }
}

/// Binds the socket and moves it to `path`. A socket of an earlier instance is replaced in one step, so that there is
/// no moment in which kubelet sees none and unregisters the driver; anything else that lies there is an error and stays.
pub(crate) fn bind(path: &Path) -> Result<(UnixListener, Identity), SocketError> {
    let failed = |error: &io::Error| SocketError::Bind { path: shown(path), error: system_text(error) };
    let temporary = hidden(path);
    if path.as_os_str().len() > 107 {
        return Err(SocketError::Bind {
            path: shown(path),
            error: format!(
                "invalid argument: a socket path may have 107 bytes, this one has {}",
                path.as_os_str().len()
            ),
        });
    }
    examine(path)?;
    let _nothing_of_ours_is_there = fs::remove_file(&temporary);
    let listener = UnixListener::bind(&temporary).map_err(|error| failed(&error))?;
    let placed = fs::set_permissions(&temporary, fs::Permissions::from_mode(SOCKET_MODE))
        .and_then(|()| fs::metadata(&temporary))
        .and_then(|metadata| fs::rename(&temporary, path).map(|()| Identity::of(&metadata)));
    match placed {
        Ok(identity) => Ok((listener, identity)),
        Err(error) => {
            let _the_first_error_counts = fs::remove_file(&temporary);
            Err(failed(&error))
        }
    }
}

/// The name under which the socket is bound before it gets its own.
///
/// It differs between drivers: their registrars share the directory, and each is process 1 of its container, so that a
/// process id would not tell them apart and one could give its own socket the other's name. It is no longer than the
/// final name, so that it fits wherever that fits (107 bytes, sheet 14.6).
fn hidden(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut kept = name.chars();
    // Of a name of one or two bytes nothing, or only a dot, would be left.
    if name.len() > 2 {
        kept.next_back();
    }
    path.with_file_name(format!(".{}", kept.as_str()))
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

fn unlink(path: &Path) -> Result<(), SocketError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SocketError::Remove { path: shown(path), error: system_text(&error) })
        }
        _ => Ok(()),
    }
}

fn describe(metadata: &fs::Metadata) -> String {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "regular file",
        kind if kind.is_fifo() => "named pipe",
        _ => "device",
    };
    format!("{kind}, mode {:o}, {} bytes", metadata.mode() & 0o7777, metadata.len())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener as Plain;

    use super::*;

    #[tokio::test]
    async fn row_1_socket_path_does_not_exist_directory_exists() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x-reg.sock");
        assert_eq!(examine(&path).unwrap(), Found::Absent);
        bind(&path).unwrap();
        assert!(matches!(examine(&path).unwrap(), Found::Socket(_)));
    }

    #[test]
    fn row_2_parent_directory_does_not_exist() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/x-reg.sock");
        assert_eq!(examine(&path).unwrap(), Found::Absent);
    }

    #[tokio::test]
    async fn row_3_live_unix_socket_at_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x-reg.sock");
        let _live = Plain::bind(&path).unwrap();
        let Found::Socket(live) = examine(&path).unwrap() else { panic!("a socket is there") };
        let (_ours, identity) = bind(&path).unwrap();
        assert_ne!(identity, live, "the old socket is gone from the path");
        assert_eq!(examine(&path).unwrap(), Found::Socket(identity));
    }

    #[tokio::test]
    async fn row_4_regular_file_at_path_unix() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x-reg.sock");
        fs::write(&path, "precious").unwrap();
        let error = examine(&path).unwrap_err().to_string();
        assert!(
            error
                .starts_with(&format!("file exists in socketPath {} but it's not a socket.", path.display()))
        );
        assert!(matches!(bind(&path), Err(SocketError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn the_name_appears_complete_and_only_our_own_socket_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(directory.path().to_str().unwrap(), "x");
        let (_listener, ours) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, SOCKET_MODE);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing temporary is left");
        let (_other, theirs) = bind(&path).unwrap();
        remove_own(&path, ours).unwrap();
        assert!(path.exists(), "it belongs to the second listener now");
        remove_own(&path, theirs).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn hidden_names_of_two_drivers_differ_and_fit_where_the_final_ones_fit() {
        let of = |driver| hidden(&path("/registration", driver));
        assert_eq!(of("ebs.csi.aws.com"), Path::new("/registration/.ebs.csi.aws.com-reg.soc"));
        assert_ne!(of("ebs.csi.aws.com"), of("efs.csi.aws.com"));
        assert_eq!(of("d").as_os_str().len(), path("/registration", "d").as_os_str().len());
        for (short, expected) in [("s", "/r/.s"), (".s", "/r/..s")] {
            assert_eq!(hidden(&Path::new("/r").join(short)), Path::new(expected));
        }
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = bind(&directory.path().join("x".repeat(120))).unwrap_err().to_string();
        assert!(error.contains("107 bytes"), "{error}");
    }
}
