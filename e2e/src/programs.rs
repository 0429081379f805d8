//! The cluster's own programs: found where the user points, or built once from Go modules into the cache.
//!
//! `KUBEBUILDER_ASSETS` and `PATH` come first, but only with a version that fits the others. What is
//! built is keyed by the version in `e2e/programs/*/go.mod`, put in place by renaming, and locked, so that two labs
//! never build the same thing and never see half of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::progress::{Step, say};
use crate::{images, places};

mod version;

use version::{Fit, Version};

/// A Go module in `e2e/programs` and what is built from it.
struct Module {
    /// Folder below `e2e/programs`; also the first half of the cache folder's name.
    folder: &'static str,
    /// The required module whose version is the version of the programs.
    requires: &'static str,
    tags: &'static str,
    /// Kubernetes reports v0.0.0 unless told its version at link time.
    stamped: bool,
    /// Our own source, which changes without its requirements changing: part of the key of the cache.
    own_source: Option<&'static str>,
    /// Program name, Go package, how a found one is asked for its version and must compare.
    programs: &'static [(&'static str, &'static str, Fit)],
}

const MODULES: &[Module] = &[
    Module {
        folder: "etcd",
        requires: "go.etcd.io/etcd/server/v3",
        tags: "",
        stamped: false,
        own_source: None,
        programs: &[("etcd", "go.etcd.io/etcd/server/v3", Fit::AtLeast)],
    },
    Module {
        folder: "containerd",
        requires: "github.com/containerd/containerd/v2",
        tags: "no_btrfs,no_zfs,no_devmapper",
        stamped: false,
        own_source: None,
        programs: &[
            // containerd, its shim and ctr must match each other: never mixed from several places.
            ("containerd", "github.com/containerd/containerd/v2/cmd/containerd", Fit::OnlyOurs),
            (
                "containerd-shim-runc-v2",
                "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
                Fit::OnlyOurs,
            ),
            ("ctr", "github.com/containerd/containerd/v2/cmd/ctr", Fit::OnlyOurs),
        ],
    },
    Module {
        folder: "csi-sanity",
        requires: "github.com/kubernetes-csi/csi-test/v5",
        tags: "",
        stamped: false,
        own_source: None,
        programs: &[("csi-sanity", "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity", Fit::OnlyOurs)],
    },
    Module {
        folder: "elector",
        requires: "k8s.io/client-go",
        tags: "",
        stamped: false,
        own_source: Some("main.go"),
        programs: &[("elector", ".", Fit::OnlyOurs)],
    },
];

/// The Kubernetes that a lab runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Release {
    Newest,
    /// The oldest whose modules can still be had.
    Oldest,
}

impl Release {
    fn module(self) -> &'static Module {
        match self {
            Self::Newest => &NEWEST,
            Self::Oldest => &OLDEST,
        }
    }
}

const NEWEST: Module = Module {
    folder: "kubernetes",
    requires: "k8s.io/kubernetes",
    tags: "",
    stamped: true,
    own_source: None,
    programs: &[
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", Fit::AtLeast),
        // None of these may be newer than the API server, so only the same minor version fits.
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", Fit::SameMinor),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", Fit::SameMinor),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet", Fit::SameMinor),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", Fit::SameMinor),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl", Fit::AtLeast),
    ],
};

const OLDEST: Module = Module {
    folder: "kubernetes-oldest",
    programs: &[
        // A newer one would not be the oldest.
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", Fit::SameMinor),
        ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", Fit::SameMinor),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", Fit::SameMinor),
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet", Fit::SameMinor),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", Fit::SameMinor),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl", Fit::SameMinor),
    ],
    ..NEWEST
};

/// Where each program is.
pub(crate) type Programs = BTreeMap<String, PathBuf>;

/// Finds or builds every program of the cluster.
pub(crate) fn provide(repository: &Path, release: Release) -> Result<Programs> {
    let mut programs = Programs::new();
    for module in [release.module()].into_iter().chain(MODULES) {
        provide_module(repository, module, &mut programs)
            .with_context(|| format!("cannot provide the programs of e2e/programs/{}", module.folder))?;
    }
    Ok(programs)
}

fn provide_module(repository: &Path, module: &Module, programs: &mut Programs) -> Result<()> {
    let source = repository.join("e2e/programs").join(module.folder);
    let wanted = Version::in_go_mod(&source.join("go.mod"), module.requires)?;
    let mut to_build = Vec::new();
    for (name, package, fit) in module.programs {
        match version::find(name, *fit, &wanted) {
            Some(found) => {
                say(&format!("using {name} {} from {}", found.version, found.file.display()));
                programs.insert((*name).to_owned(), found.file);
            }
            None => to_build.push((*name, *package)),
        }
    }
    let mut folder = format!("{}-{wanted}", module.folder);
    if let Some(file) = module.own_source {
        folder.push('-');
        folder.extend(images::sha256(&fs::read(source.join(file))?).chars().take(12));
    }
    let cached = places::cache()?.join(folder);
    let missing = |to_build: &[(&'static str, &'static str)]| -> Vec<(&'static str, &'static str)> {
        to_build.iter().copied().filter(|(name, _)| !places::is_executable(&cached.join(name))).collect()
    };
    if !missing(&to_build).is_empty() {
        let _lock = lock(&cached)?;
        // Another lab may have built them while this one waited for the lock.
        for (name, package) in missing(&to_build) {
            build(&Build { module, source: &source, wanted: &wanted, cached: &cached, name, package })?;
        }
    }
    for (name, _) in to_build {
        programs.insert(name.to_owned(), cached.join(name));
    }
    Ok(())
}

/// Holds the build lock of one cache folder until dropped.
fn lock(cached: &Path) -> Result<File> {
    fs::create_dir_all(cached).with_context(|| format!("cannot create {}", cached.display()))?;
    let path = PathBuf::from(format!("{}.lock", cached.display()));
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        let step = Step::start(format!("waiting for another build of {}", cached.display()));
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        step.done();
    }
    Ok(file)
}

struct Build<'a> {
    module: &'a Module,
    source: &'a Path,
    wanted: &'a Version,
    cached: &'a Path,
    name: &'a str,
    package: &'a str,
}

fn build(build: &Build<'_>) -> Result<()> {
    let Some(go) = places::on_path("go") else {
        bail!(
            "{} {} must be built, and there is no go tool: install Go 1.26 or newer (https://go.dev/dl)",
            build.name,
            build.wanted
        )
    };
    let step = Step::start(format!(
        "building {} {} (once; goes to {})",
        build.name,
        build.wanted,
        build.cached.display()
    ));
    let unfinished = build.cached.join(format!(".{}.{}", build.name, std::process::id()));
    let log = build.cached.join(format!("{}.log", build.name));
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut flags = String::from("-s -w");
    if build.module.stamped {
        flags.push_str(&build.wanted.link_flags());
    }
    let status = Command::new(go)
        .args(["build", "-trimpath", "-ldflags", &flags, "-tags", build.module.tags, "-o"])
        .arg(&unfinished)
        .arg(build.package)
        .current_dir(build.source)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("cannot run go")?;
    if !status.success() {
        let _ = fs::remove_file(&unfinished);
        let text = fs::read_to_string(&log).unwrap_or_default();
        bail!(
            "go build {} failed ({status}); end of {}:\n{}",
            build.package,
            log.display(),
            last_lines(&text, 15)
        );
    }
    fs::rename(&unfinished, build.cached.join(build.name))?;
    let _ = fs::remove_file(&log);
    step.done();
    Ok(())
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}
