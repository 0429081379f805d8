//! Where things are: the repository, the cache of built programs, the folders of running labs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The repository around the working directory, or the one that this program was built from.
pub(crate) fn repository() -> Result<PathBuf> {
    let here = std::env::current_dir().context("cannot read the working directory")?;
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    match here.ancestors().chain(built_from).find(|root| is_repository(root)) {
        Some(root) => Ok(root.to_path_buf()),
        None => {
            bail!("run lab inside a clone of the repository: no e2e/programs found above {}", here.display())
        }
    }
}

fn is_repository(root: &Path) -> bool {
    root.join("e2e/programs/kubernetes/go.mod").is_file()
}

/// Programs that take minutes to build live here, outside the tree, shared by every clone.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = variable("CSI_SIDECARS_CACHE") {
        return Ok(dir.join("csi-sidecars"));
    }
    let base = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    Ok(base
        .context("set HOME, XDG_CACHE_HOME or CSI_SIDECARS_CACHE: the built programs need a place")?
        .join("csi-sidecars"))
}

/// The parent of the folders of running labs. Not under /run or /tmp by default: images and
/// volumes belong on a disk.
pub(crate) fn labs() -> PathBuf {
    variable("CSI_SIDECARS_LAB_DIR").unwrap_or_else(|| PathBuf::from("/var/tmp/csi-sidecars-lab"))
}

/// Where cargo puts what it builds for this repository.
pub(crate) fn target(repository: &Path) -> PathBuf {
    variable("CARGO_TARGET_DIR").unwrap_or_else(|| repository.join("target"))
}

/// An environment variable that names a path; empty counts as unset.
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The file `name` in the folders of `PATH` and in the system's own, which a user's `PATH` may lack.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].into_iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| is_executable(file))
}

/// Whether `file` is a regular file that may be executed.
pub(crate) fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
