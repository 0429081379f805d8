//! Loop devices of a lab: those over files in its folder, and those over such devices.
//!
//! The second kind is kubelet's: it attaches a loop device of its own over every raw block device that a pod uses,
//! to hold it. Everything is compared by device and inode: the path that the kernel shows is one of the mount namespace
//! that attached the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Device (`major:minor`) and inode.
type Identity = (String, u64);

/// A loop device and its backing file or device.
pub(crate) struct LoopDevice {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

#[derive(Deserialize, Default)]
struct Listing {
    loopdevices: Vec<Attached>,
}

#[derive(Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attached {
    name: String,
    #[serde(rename = "back-ino")]
    inode: u64,
    #[serde(rename = "back-maj:min")]
    device: String,
}

impl Attached {
    fn backing(&self) -> Identity {
        (self.device.trim().to_owned(), self.inode)
    }

    /// Whether the backing file has no name any more.
    fn is_orphan(&self) -> bool {
        let name = self.name.trim_start_matches("/dev/");
        let file = fs::read_to_string(format!("/sys/block/{name}/loop/backing_file")).unwrap_or_default();
        file.trim_end().ends_with("(deleted)")
    }
}

fn identity(meta: &fs::Metadata) -> Identity {
    (format!("{}:{}", rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev())), meta.ino())
}

/// All loop devices of the machine that are in use.
pub(super) fn attached() -> Result<BTreeSet<Attached>> {
    let output = Command::new("losetup")
        .args(["--list", "--json", "--output", "NAME,BACK-INO,BACK-MAJ:MIN"])
        .output()
        .context("cannot run losetup (package util-linux)")?;
    if output.stdout.trim_ascii().is_empty() {
        return Ok(BTreeSet::new());
    }
    let listing: Listing =
        serde_json::from_slice(&output.stdout).context("losetup's list is not understood")?;
    Ok(listing.loopdevices.into_iter().collect())
}

/// The loop devices over `files`, then those over these, and so on.
fn over(attached: &BTreeSet<Attached>, mut files: BTreeMap<Identity, PathBuf>) -> Vec<LoopDevice> {
    let mut found: Vec<LoopDevice> = Vec::new();
    loop {
        let known = found.len();
        for device in attached {
            let Some(file) = files.get(&device.backing()) else { continue };
            if found.iter().any(|other| other.name == device.name) {
                continue;
            }
            found.push(LoopDevice { name: device.name.clone(), file: file.clone() });
            if let Ok(meta) = fs::metadata(&device.name) {
                files.insert(identity(&meta), PathBuf::from(&device.name));
            }
        }
        if found.len() == known {
            return found;
        }
    }
}

/// The loop devices of the lab whose folder is `dir`.
pub(crate) fn loops(dir: &Path) -> Result<Vec<LoopDevice>> {
    let attached = attached()?;
    if attached.is_empty() {
        return Ok(Vec::new());
    }
    let mut files = BTreeMap::new();
    collect_files(dir, &mut files);
    Ok(over(&attached, files))
}

fn collect_files(dir: &Path, files: &mut BTreeMap<Identity, PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let Ok(meta) = entry.path().symlink_metadata() else { continue };
        if meta.is_dir() {
            collect_files(&entry.path(), files);
        } else if meta.is_file() {
            files.insert(identity(&meta), entry.path());
        }
    }
}

/// Loop devices that were not there before, over files that no longer have a name: what a lab leaves that
/// forgets to look. Other labs attach files that exist.
pub(super) fn orphans(before: &BTreeSet<Attached>) -> Result<Vec<String>> {
    let new: BTreeSet<Attached> = attached()?.difference(before).cloned().collect();
    let nodes = |device: &&Attached| {
        fs::metadata(&device.name).map(|meta| (identity(&meta), PathBuf::from(&device.name)))
    };
    let orphans: Vec<&Attached> = new.iter().filter(|device| device.is_orphan()).collect();
    let above = over(&new, orphans.iter().map(nodes).collect::<Result<_, _>>()?);
    Ok(orphans
        .iter()
        .map(|device| device.name.clone())
        .chain(above.into_iter().map(|device| device.name))
        .collect())
}

/// Detaches the loop devices of the lab whose folder is `dir`, the upper ones first.
pub(super) fn detach(dir: &Path) -> Result<()> {
    for device in loops(dir)?.iter().rev() {
        let status = Command::new("losetup")
            .arg("--detach")
            .arg(&device.name)
            .status()
            .context("cannot run losetup")?;
        if !status.success() {
            bail!("cannot detach {}, whose file is {}", device.name, device.file.display());
        }
    }
    super::eventually("loop devices stay attached", || Ok(loops(dir)?.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_numbers_of_losetup_are_understood() {
        let text = r#"{"loopdevices":[{"name":"/dev/loop9","back-ino":12,"back-maj:min":"     254:0  "}]}"#;
        let listing: Listing = serde_json::from_str(text).unwrap();
        assert_eq!(listing.loopdevices[0].backing(), ("254:0".to_owned(), 12));
    }

    #[test]
    fn devices_over_devices_are_found_and_come_last() {
        let attached = |name: &str, identity: &Identity| Attached {
            name: name.to_owned(),
            inode: identity.1,
            device: identity.0.clone(),
        };
        let dir = std::env::temp_dir().join(format!("lab-loops-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let node = dir.join("node");
        fs::write(&node, "").unwrap();
        let file = ("1:1".to_owned(), 1);
        let other = ("1:1".to_owned(), 2);
        let node_identity = identity(&fs::metadata(&node).unwrap());
        // The upper device sorts before the lower one.
        let all = [
            attached("/a-upper", &node_identity),
            attached(node.to_str().unwrap(), &file),
            attached("/z-foreign", &other),
        ];
        let found = over(&all.into_iter().collect(), BTreeMap::from([(file, PathBuf::from("image"))]));
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names, [node.to_str().unwrap(), "/a-upper"]);
    }
}
