//! The binaries to be measured: built as they are released, static, nothing but what is shipped.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::progress::Step;
use crate::sidecars::SHIPPED;
use crate::{images, places};

/// Builds what is shipped in a cargo profile and says in which folder they are; `BENCH_BIN_DIR` names ready ones instead.
pub(crate) fn provide(repository: &Path, profile: &str) -> Result<PathBuf> {
    let dir = match places::variable("BENCH_BIN_DIR") {
        Some(dir) => dir,
        None => build(repository, profile)?,
    };
    for shipped in SHIPPED {
        if !places::is_executable(&dir.join(shipped.binary)) {
            bail!("{} has no program {} to be measured", dir.display(), shipped.binary);
        }
    }
    Ok(dir)
}

fn build(repository: &Path, profile: &str) -> Result<PathBuf> {
    let target = images::host_target()?;
    let packages: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.package).collect();
    let step =
        Step::start(format!("building {} (profile {profile}; minutes the first time)", packages.join(", ")));
    let mut cargo = images::static_build(repository, &target);
    cargo.args(["--bins", "--profile", profile]);
    for package in &packages {
        cargo.args(["--package", package]);
    }
    images::run_cargo(&mut cargo)?;
    step.note(format!("built {} (profile {profile})", packages.join(", ")));
    step.done();
    // The folder of the profile "dev" is called otherwise.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(places::target(repository).join(target).join(folder))
}
