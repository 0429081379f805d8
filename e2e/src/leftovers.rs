//! What a lab could leave behind, how it is found, and how it is removed.
//!
//! Processes and mounts die with the namespaces. Cgroups, loop devices and the folder do not; they are
//! removed by the lab itself, by its janitor when the lab was killed, or by the next lab.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::places;
use crate::progress::say;

mod loops;
mod machine;

pub(crate) use loops::{LoopDevice, loops};
pub(crate) use machine::Machine;

/// What the lab tells its janitor when there is nothing left to do.
pub(crate) const DISMISSED: &[u8] = b"done";

/// How long processes and cgroups may take to vanish.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// The kinds of namespaces that a lab makes.
const NAMESPACES: [&str; 6] = ["pid", "mnt", "net", "ipc", "uts", "cgroup"];

/// The file whose lock says that the lab in `dir` lives.
pub(crate) fn lock_file(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Called inside the namespaces: writes down which they are.
pub(crate) fn record_namespaces(dir: &Path) -> Result<()> {
    let mut text = String::new();
    for kind in NAMESPACES {
        let link = fs::read_link(format!("/proc/self/ns/{kind}"))
            .with_context(|| format!("cannot read the {kind} namespace"))?;
        text.push_str(&link.to_string_lossy());
        text.push('\n');
    }
    fs::write(dir.join("namespaces"), text).context("cannot record the namespaces")
}

/// What [`record_namespaces`] wrote.
pub(crate) fn recorded_namespaces(dir: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(dir.join("namespaces")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Processes of the lab in `dir`: they live in one of its namespaces and mention its folder.
///
/// The second proof is needed because the kernel gives the numbers of dead namespaces to new ones, which may be anybody's.
fn members(dir: &Path, namespaces: &BTreeSet<String>) -> Vec<Pid> {
    inhabitants(namespaces).into_iter().filter(|pid| mentions(*pid, dir)).collect()
}

/// Processes that live in any of `namespaces`. The dead whom nobody has buried yet are no longer among them: they keep
/// their namespace links, and when their parent was killed they wait for the machine's first process, which may take its time.
fn inhabitants(namespaces: &BTreeSet<String>) -> Vec<Pid> {
    if namespaces.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            NAMESPACES.iter().any(|kind| {
                fs::read_link(format!("/proc/{pid}/ns/{kind}"))
                    .is_ok_and(|link| namespaces.contains(link.to_string_lossy().as_ref()))
            })
        })
        .filter(|pid| !is_dead(*pid))
        .filter_map(Pid::from_raw)
        .collect()
}

/// Whether a process has ended: it is gone, or only its exit status is left.
fn is_dead(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in brackets and may hold anything.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Whether the folder stands in the command line of a process, as in that of the lab's first one, or among its mounts, as
/// in those of all that came after it.
fn mentions(pid: Pid, dir: &Path) -> bool {
    let dir = dir.to_string_lossy();
    ["cmdline", "mountinfo"].iter().any(|file| {
        let text = fs::read(format!("/proc/{}/{file}", pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(dir.as_ref())
    })
}

/// Ends what still runs of the lab in `dir` and removes everything that it left.
pub(crate) fn clean(dir: &Path) -> Result<()> {
    let namespaces = recorded_namespaces(dir);
    eventually("the lab's processes do not end", || {
        let alive = members(dir, &namespaces);
        for pid in &alive {
            let _ = kill_process(*pid, Signal::KILL);
        }
        Ok(alive.is_empty())
    })?;
    loops::detach(dir)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for group in cgroups(&name) {
        eventually(&format!("cgroup {} stays busy", group.display()), || Ok(remove_cgroup(&group)))?;
    }
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    // Gone with the last lab.
    let _ = fs::remove_dir(places::labs());
    Ok(())
}

fn eventually(trouble: &str, mut attempt: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !attempt()? {
        if Instant::now() > deadline {
            bail!("{trouble} ({} s)", PATIENCE.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// The lab's folder in every cgroup hierarchy (one on cgroup v2, one per controller on v1).
fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let below = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(root.to_path_buf())
        .chain(below)
        .map(|dir| dir.join(name))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Removes a tree of cgroups, deepest first; false if something in it is still busy.
fn remove_cgroup(group: &Path) -> bool {
    let Ok(entries) = fs::read_dir(group) else { return !group.exists() };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !remove_cgroup(&entry.path()) {
            return false;
        }
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

/// Removes what dead labs left. A lab lives as long as somebody holds its lock.
pub(crate) fn sweep(talk: bool) -> Result<()> {
    let mut removed = 0;
    for entry in fs::read_dir(places::labs()).into_iter().flatten().flatten() {
        let dir = entry.path();
        if !entry.file_name().to_string_lossy().starts_with("lab-") {
            continue;
        }
        let Ok(lock) = lock_file(&dir) else { continue };
        if lock.try_lock().is_err() {
            if talk {
                say(&format!("{} is alive, left alone", dir.display()));
            }
            continue;
        }
        say(&format!("removing what a dead lab left: {}", dir.display()));
        clean(&dir)?;
        removed += 1;
    }
    if talk {
        say(&format!("{removed} dead labs removed"));
    }
    Ok(())
}

/// Waits until the lab's outer process is done or dead; in the second case cleans up in its place.
pub(crate) fn janitor(dir: &Path) -> Result<ExitCode> {
    let mut heard = Vec::new();
    std::io::stdin().read_to_end(&mut heard).context("cannot listen to the lab")?;
    if heard != DISMISSED && dir.exists() {
        let lock = lock_file(dir)?;
        lock.lock()?;
        clean(dir)?;
    }
    Ok(ExitCode::SUCCESS)
}
