//! Versions of programs: read from go.mod, asked from a binary, compared.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::places;

/// How a program found on the machine must compare with the version the lab would build.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The same or newer.
    AtLeast,
    /// The same major and minor version, any patch.
    SameMinor,
    /// A found one is never taken.
    OnlyOurs,
}

/// `vMAJOR.MINOR.PATCH`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    /// The first thing in `text` that looks like `1.2.3`, with or without a `v`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
            let mut numbers = word.split('.').map(str::parse::<u64>);
            let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return None;
            };
            Some(Self { major, minor, patch })
        })
    }

    /// The version of `module` that the go.mod file requires.
    pub(crate) fn in_go_mod(file: &Path, module: &str) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        text.lines()
            .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(module))
            .find_map(|rest| rest.strip_prefix(' ').and_then(Self::parse))
            .with_context(|| format!("{} requires no version of {module}", file.display()))
    }

    /// Linker flags that make a Kubernetes program report this version.
    pub(crate) fn link_flags(&self) -> String {
        let package = "k8s.io/component-base/version";
        format!(
            " -X {package}.gitVersion={self} -X {package}.gitMajor={} -X {package}.gitMinor={}",
            self.major, self.minor
        )
    }

    fn fits(&self, fit: Fit, wanted: &Self) -> bool {
        match fit {
            Fit::AtLeast => (self.major, self.minor) >= (wanted.major, wanted.minor),
            Fit::SameMinor => (self.major, self.minor) == (wanted.major, wanted.minor),
            Fit::OnlyOurs => false,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A usable program that was already on the machine.
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    pub(crate) version: Version,
}

/// Looks for `name` in `KUBEBUILDER_ASSETS`, then `PATH`.
pub(crate) fn find(name: &str, fit: Fit, wanted: &Version) -> Option<Found> {
    if fit == Fit::OnlyOurs {
        return None;
    }
    let assets = places::variable("KUBEBUILDER_ASSETS")
        .map(|dir| dir.join(name))
        .filter(|file| places::is_executable(file));
    assets.into_iter().chain(places::on_path(name)).find_map(|file| {
        let version = ask(&file)?;
        version.fits(fit, wanted).then_some(Found { file, version })
    })
}

fn ask(file: &Path) -> Option<Version> {
    let kubectl = file.file_name().is_some_and(|name| name == "kubectl");
    let arguments: &[&str] = if kubectl { &["version", "--client"] } else { &["--version"] };
    let output = Command::new(file).args(arguments).output().ok()?;
    Version::parse(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        let parsed = |text| Version::parse(text).map(|version| version.to_string());
        assert_eq!(parsed("Kubernetes v1.36.3").as_deref(), Some("v1.36.3"));
        assert_eq!(parsed("etcd Version: 3.6.6\nGit SHA: 5dc1dbc").as_deref(), Some("v3.6.6"));
        assert_eq!(
            parsed("Client Version: v1.33.0-rc.1\nKustomize Version: v5.6.0").as_deref(),
            Some("v1.33.0")
        );
        assert_eq!(parsed("no number"), None);
    }

    #[test]
    fn older_programs_are_refused_and_nodes_may_not_be_newer_than_the_control_plane() {
        let version = |text| Version::parse(text).unwrap();
        let wanted = version("1.36.3");
        assert!(version("1.36.0").fits(Fit::AtLeast, &wanted));
        assert!(version("1.37.0").fits(Fit::AtLeast, &wanted));
        assert!(!version("1.35.9").fits(Fit::AtLeast, &wanted));
        assert!(version("1.36.9").fits(Fit::SameMinor, &wanted));
        assert!(!version("1.37.0").fits(Fit::SameMinor, &wanted));
        assert!(!version("1.36.3").fits(Fit::OnlyOurs, &wanted));
    }

    #[test]
    fn every_module_states_the_version_of_its_programs() {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        for module in super::super::MODULES {
            Version::in_go_mod(&programs.join(module.folder).join("go.mod"), module.requires).unwrap();
        }
    }
}
