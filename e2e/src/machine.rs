//! Turns the fresh namespaces into a machine: mounts, name, network, cgroups.
//!
//! Everything that a node writes outside the lab's folder is covered: /run by an empty file system, /var/lib and
//! /var/log by overlays whose upper layers are in the folder, and the kubelet's root by a plain folder,
//! because loop devices and nested mounts want a real file system.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use crate::spec::{Extent, Spec};

/// The node's address, on a bridge that leads nowhere. From the range for benchmarks (RFC 2544).
pub(crate) const ADDRESS: &str = "198.18.0.1";
/// The kubelet's root, at the path that manifests name.
pub(crate) const KUBELET_ROOT: &str = "/var/lib/kubelet";
/// Where the hostpath driver keeps its volumes, at the path that its manifest names.
pub(crate) const DRIVER_STATE: &str = "/var/lib/csi-hostpath-data";

/// Makes the namespaces habitable.
pub(crate) fn set_up(spec: &Spec) -> Result<()> {
    mounts(spec).context("cannot set up the lab's mounts")?;
    rustix::system::sethostname(spec.name.as_bytes()).context("cannot set the host name")?;
    network().context("cannot set up the lab's network")?;
    if spec.extent >= Extent::Node {
        cgroups(&spec.name).context("cannot make the lab's cgroups")?;
    }
    Ok(())
}

fn mounts(spec: &Spec) -> Result<()> {
    // unshare made everything private; inside the lab, Bidirectional propagation must work.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=0755")?;
    for covered in ["/var/lib", "/var/log"] {
        overlay(&spec.dir, Path::new(covered))?;
    }
    for (folder, target) in [("kubelet", KUBELET_ROOT), ("driver", DRIVER_STATE)] {
        let source = spec.dir.join(folder);
        fs::create_dir_all(&source)?;
        fs::create_dir_all(target)?;
        mount_bind(&source, target).with_context(|| format!("cannot bind {target}"))?;
    }
    // With a name server that nobody answers for, look-ups hang until they time out.
    own_file(&spec.dir, "/etc/resolv.conf", "")?;
    own_file(
        &spec.dir,
        "/etc/hosts",
        &format!("127.0.0.1 localhost\n::1 localhost\n{ADDRESS} {}\n", spec.name),
    )
}

/// Where what the lab writes below `target` really is.
pub(crate) fn covered(dir: &Path, target: &str) -> PathBuf {
    dir.join(format!("cover{}", target.replace('/', "-"))).join("upper")
}

fn overlay(dir: &Path, covered: &Path) -> Result<()> {
    let upper = self::covered(dir, &covered.display().to_string());
    let work = upper.with_file_name("work");
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let mut options = Vec::from(b"lowerdir=".as_slice());
    options.extend(covered.as_os_str().as_bytes());
    options.extend(b",upperdir=");
    options.extend(upper.as_os_str().as_bytes());
    options.extend(b",workdir=");
    options.extend(work.as_os_str().as_bytes());
    let options = CString::new(options)?;
    mount("overlay", covered, "overlay", MountFlags::empty(), options.as_c_str())
        .with_context(|| format!("cannot cover {} with an overlay", covered.display()))
}

/// Covers a file of /etc by one of the lab's own. The original may be a link into /run, which is empty now.
fn own_file(dir: &Path, target: &str, content: &str) -> Result<()> {
    let source = dir.join(target.trim_start_matches('/').replace('/', "-"));
    fs::write(&source, content)?;
    let mut target = PathBuf::from(target);
    if let Ok(link) = fs::read_link(&target) {
        target = target.parent().unwrap_or(Path::new("/")).join(link);
        if !target.exists() {
            fs::create_dir_all(target.parent().unwrap_or(Path::new("/")))?;
            fs::write(&target, content)?;
        }
    }
    mount_bind(&source, &target).with_context(|| format!("cannot cover {}", target.display()))
}

fn network() -> Result<()> {
    let address = format!("{ADDRESS}/24");
    // A bridge, because kernels without the `dummy` device type exist.
    for arguments in [
        &["link", "set", "lo", "up"][..],
        &["link", "add", "lab0", "type", "bridge"],
        &["address", "add", &address, "dev", "lab0"],
        &["link", "set", "lab0", "up"],
        &["route", "add", "default", "dev", "lab0"],
    ] {
        run("ip", arguments)?;
    }
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot switch on forwarding")
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A root of its own for the kubelet's cgroups: a kubelet removes pod cgroups that it does not know, and two labs
/// share the machine's hierarchies.
fn cgroups(name: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup");
    if root.join("cgroup.controllers").exists() {
        let controllers = fs::read_to_string(root.join("cgroup.controllers"))?;
        let group = root.join(name);
        fs::create_dir_all(&group)?;
        let enable: Vec<String> =
            controllers.split_whitespace().map(|controller| format!("+{controller}")).collect();
        for dir in [root, group.as_path()] {
            for controller in &enable {
                // A controller that cannot be delegated here is not one the kubelet needs.
                let _ = fs::write(dir.join("cgroup.subtree_control"), controller);
            }
        }
        return Ok(());
    }
    for entry in fs::read_dir(root)?.flatten() {
        let hierarchy = entry.path();
        let group = hierarchy.join(name);
        if !hierarchy.is_dir() || hierarchy.join("cgroup.controllers").exists() {
            continue;
        }
        fs::create_dir_all(&group)?;
        // A new cpuset is empty, and nothing can enter it then.
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read(hierarchy.join(setting)) {
                fs::write(group.join(setting), value)?;
            }
        }
    }
    Ok(())
}
