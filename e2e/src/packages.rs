//! Programs that come with the distribution: what is missing is named with the package to install.

use anyhow::{Result, bail};

use crate::places;

/// A program the lab calls and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
}

const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// What a control plane in namespaces takes.
const BASE: &[Need] = &[
    need("unshare", "util-linux"),
    need("setpriv", "util-linux"),
    need("losetup", "util-linux"),
    need("mount", "mount"),
    need("ip", "iproute2"),
];

/// What a node takes on top.
const NODE: &[Need] = &[
    need("runc", "runc"),
    need("/usr/lib/cni/bridge", "containernetworking-plugins"),
    need("busybox", "busybox-static"),
    need("nft", "nftables"),
    need("iptables", "iptables"),
    need("conntrack", "conntrack"),
    need("mkfs.ext4", "e2fsprogs"),
    need("mkfs.xfs", "xfsprogs"),
];

/// Fails with the exact `apt-get` line when a program is missing.
pub(crate) fn check(node: bool) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    let mut programs: Vec<&str> = Vec::new();
    for need in BASE.iter().chain(NODE.iter().filter(|_| node)) {
        if !present(need.program) {
            programs.push(need.program);
            if !packages.contains(&need.package) {
                packages.push(need.package);
            }
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    bail!("missing programs: {}. As root: apt-get install -y {}", programs.join(", "), packages.join(" "))
}

fn present(program: &str) -> bool {
    if program.starts_with('/') {
        places::is_executable(program.as_ref())
    } else {
        places::on_path(program).is_some()
    }
}
