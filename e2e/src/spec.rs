//! What the process outside tells the one inside the namespaces: one JSON file in the lab's folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::programs::{Programs, Release};

/// How much of a cluster to start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Extent {
    /// etcd, API server, controller manager, scheduler.
    ControlPlane,
    /// And containerd, kubelet, kube-proxy.
    Node,
    /// And our images and binaries.
    Images,
    /// And the hostpath driver and its sidecars, deployed.
    Driver,
}

/// What to do once it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Run this and exit with its status.
    Command(Vec<String>),
    /// The narrated life of a volume.
    Demo,
    /// The scenarios whose names contain the filter.
    Test { filter: String },
    /// What the programs in a folder cost, or one part of that.
    Bench { binaries: PathBuf, only: Option<String> },
}

/// An image archive ready to be imported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Archive {
    /// The name that pods use.
    pub(crate) name: String,
    /// The tar file.
    pub(crate) file: PathBuf,
}

/// Everything the inside needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// `lab-<something unique on this machine>`: name of the folder, of the cgroups, of the host.
    pub(crate) name: String,
    /// The lab's own folder; everything it writes is below.
    pub(crate) dir: PathBuf,
    pub(crate) repository: PathBuf,
    pub(crate) programs: Programs,
    pub(crate) kubernetes: Release,
    pub(crate) extent: Extent,
    pub(crate) task: Task,
    pub(crate) images: Vec<Archive>,
    /// Our binaries, for scenarios that run them as plain processes.
    pub(crate) binaries: Programs,
    /// When the process outside began, in milliseconds since 1970.
    pub(crate) started_ms: u64,
}

impl Spec {
    /// Where the spec of the lab in `dir` is.
    pub(crate) fn file(dir: &Path) -> PathBuf {
        dir.join("spec.json")
    }

    /// Writes the spec into the lab's folder.
    pub(crate) fn save(&self) -> Result<()> {
        let file = Self::file(&self.dir);
        std::fs::write(&file, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads the spec of the lab in `dir`.
    pub(crate) fn load(dir: &Path) -> Result<Self> {
        let file = Self::file(dir);
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not a lab's spec", file.display()))
    }

    /// The clock of the process outside.
    pub(crate) fn started(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.started_ms)
    }

    /// The path of one of the cluster's programs.
    pub(crate) fn program(&self, name: &str) -> Result<&Path> {
        self.programs
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("no program {name} was provided"))
    }

    /// The path of one of our own binaries.
    pub(crate) fn binary(&self, name: &str) -> Result<&Path> {
        self.binaries
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("this lab has no binary {name}"))
    }

    /// The folder with one log file per component.
    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }
}
