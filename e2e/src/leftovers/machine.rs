//! The proof that a lab left nothing: the machine before it and after it, compared.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{cgroups, loops, members};
use crate::progress::{say, trouble};

/// What the machine had before the lab.
pub(crate) struct Machine {
    mounts: BTreeSet<String>,
    interfaces: BTreeSet<String>,
}

impl Machine {
    /// Looks at the machine as it is now.
    pub(crate) fn look() -> Result<Self> {
        Ok(Self { mounts: mounts()?, interfaces: interfaces() })
    }

    /// Prints what is left of the lab that was in `dir` and had these namespaces; fails if that is anything.
    pub(crate) fn verify(&self, dir: &Path, namespaces: &BTreeSet<String>) -> Result<()> {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let marker = dir.to_string_lossy().into_owned();
        let new_mounts =
            mounts()?.into_iter().filter(|mount| mount.contains(&marker) && !self.mounts.contains(mount));
        let new_interfaces = interfaces().into_iter().filter(|link| !self.interfaces.contains(link));
        // A namespace lives as long as a process is in it or a mount holds it.
        let held = |mount: &String| namespaces.iter().any(|namespace| mount.contains(namespace.as_str()));
        let members = members(namespaces).into_iter().map(|pid| command_line(pid.as_raw_nonzero().get()));
        let kept_namespaces: Vec<String> = members.chain(mounts()?.into_iter().filter(held)).collect();
        let groups = cgroups(&name).into_iter().map(|group| group.display().to_string());
        let folder = dir.exists().then(|| marker.clone());
        let found: [(&str, Vec<String>); 7] = [
            ("processes", processes_mentioning(&marker)),
            ("namespaces", kept_namespaces),
            ("mounts", new_mounts.collect()),
            ("loop devices", loops(dir)?),
            ("bridges and other network interfaces", new_interfaces.collect()),
            ("cgroups", groups.collect()),
            ("files", folder.into_iter().collect()),
        ];
        let mut clean = true;
        for (what, left) in &found {
            if left.is_empty() {
                say(&format!("  left behind: no {what}"));
            } else {
                clean = false;
                trouble(&format!("left behind: {what}: {}", left.join(", ")));
            }
        }
        if clean { Ok(()) } else { bail!("the lab left something behind") }
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

fn processes_mentioning(marker: &str) -> Vec<String> {
    processes().map(command_line).filter(|command| command.contains(marker)).collect()
}
