//! The proof that a lab left nothing: the machine before it and after it, compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::loops::{self, Attached};
use super::{cgroups, eventually, inhabitants};
use crate::progress::say;

/// What a lab could leave, in the order in which it is looked for.
const KINDS: [&str; 7] = [
    "processes",
    "namespaces",
    "mounts",
    "loop devices",
    "bridges or other network interfaces",
    "cgroups",
    "files",
];

/// What the machine had before the lab.
pub(crate) struct Machine {
    mounts: BTreeSet<String>,
    interfaces: BTreeSet<String>,
    loops: BTreeSet<Attached>,
}

impl Machine {
    /// Looks at the machine as it is now.
    pub(crate) fn look() -> Result<Self> {
        Ok(Self { mounts: mounts()?, interfaces: interfaces(), loops: loops::attached()? })
    }

    /// [`Machine::verify`], with a line for each kind of thing that is not left.
    pub(crate) fn show(&self, dir: &Path, namespaces: &BTreeSet<String>) -> Result<()> {
        self.verify(dir, namespaces)?;
        for what in KINDS {
            say(&format!("  left behind: no {what}"));
        }
        Ok(())
    }

    /// Fails with what is left of the lab that was in `dir` and had these namespaces. A process that was killed a moment ago
    /// may still be on its way out, so that what is found has to stay to count.
    pub(crate) fn verify(&self, dir: &Path, namespaces: &BTreeSet<String>) -> Result<()> {
        let mut left = Vec::new();
        let settled = eventually("", || {
            left = self.left(dir, namespaces)?;
            Ok(left.is_empty())
        });
        if left.is_empty() { settled } else { bail!("the lab left behind {}", left.join("; ")) }
    }

    /// What is left now, one text per kind of thing.
    fn left(&self, dir: &Path, namespaces: &BTreeSet<String>) -> Result<Vec<String>> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let marker = dir.to_string_lossy().into_owned();
        let new_mounts =
            mounts()?.into_iter().filter(|mount| mount.contains(&marker) && !self.mounts.contains(mount));
        let new_interfaces = interfaces().into_iter().filter(|link| !self.interfaces.contains(link));
        // A namespace lives as long as a process is in it or a mount holds it.
        let held = |mount: &String| namespaces.iter().any(|namespace| mount.contains(namespace.as_str()));
        let members = inhabitants(namespaces).into_iter().map(|pid| describe(pid.as_raw_nonzero().get()));
        let kept_namespaces: Vec<String> = members.chain(mounts()?.into_iter().filter(held)).collect();
        let groups = cgroups(&name).into_iter().map(|group| group.display().to_string());
        let folder = dir.exists().then(|| marker.clone());
        let found: [Vec<String>; 7] = [
            processes_mentioning(&marker),
            kept_namespaces,
            new_mounts.collect(),
            loops::orphans(&self.loops)?,
            new_interfaces.collect(),
            groups.collect(),
            folder.into_iter().collect(),
        ];
        let left = KINDS.iter().zip(&found).filter(|(_, left)| !left.is_empty());
        Ok(left.map(|(what, left)| format!("{what}: {}", left.join(", "))).collect())
    }
}

fn mounts() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    // The first two fields are numbers that change when others mount.
    Ok(text.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).map(str::to_owned).collect())
}

fn interfaces() -> BTreeSet<String> {
    names("/sys/class/net")
}

fn names(dir: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    names("/proc").into_iter().filter_map(|name| name.parse().ok())
}

fn command_line(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

fn describe(pid: i32) -> String {
    format!("process {pid} ({})", command_line(pid))
}

fn processes_mentioning(marker: &str) -> Vec<String> {
    processes().map(command_line).filter(|command| command.contains(marker)).collect()
}
