//! The table of what is shipped: one row per program, and everything that the lab does with each of them follows from it.
//!
//! A new sidecar is a row here and its manifests in `deploy`; then it is built, put into an image, deployed, waited
//! for, signalled, killed, run with fewer rights, and measured.

use anyhow::{Context, Result};

/// One of our programs.
#[derive(Debug)]
pub(crate) struct Shipped {
    /// What the binary, its image, its entrypoint and its user agent are called.
    pub(crate) binary: &'static str,
    /// The cargo package that it is built from.
    pub(crate) package: &'static str,
    /// The manifest that deploys it, in `deploy`.
    pub(crate) manifest: &'static str,
    /// The StatefulSet in that manifest.
    pub(crate) set: &'static str,
    /// The container in its pods.
    pub(crate) container: &'static str,
    /// Whether it talks to a driver.
    pub(crate) has_driver: bool,
    /// What it is to the API server; nothing if it never talks to it.
    pub(crate) account: Option<Account>,
}

/// A service account and what it may do.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    /// The manifest with account and rules, in `deploy`.
    pub(crate) manifest: &'static str,
    pub(crate) cluster_role: &'static str,
    pub(crate) role: &'static str,
    /// The Lease that its replicas elect their leader with.
    pub(crate) lease: &'static str,
    /// The rights without which this deployment does not work: resource and verbs. Everything else that upstream's rules
    /// grant is for features that it does not use, or for nothing.
    pub(crate) needed: &'static [(&'static str, &'static [&'static str])],
    /// Rights that it asks for although no rule grants them; upstream asks too and lives with the refusal.
    pub(crate) refused: &'static [&'static str],
}

const READ: &[&str] = &["list", "watch"];
const LEASES: (&str, &[&str]) = ("leases", &["get", "create", "update"]);

/// Makes, binds and deletes volumes.
pub(crate) const PROVISIONER: &Shipped = &Shipped {
    binary: "csi-provisioner",
    package: "csi-provisioner",
    manifest: "hostpath/provisioner.yaml",
    set: "csi-hostpath-provisioner",
    container: "csi-provisioner",
    has_driver: true,
    account: Some(Account {
        name: "csi-provisioner",
        manifest: "hostpath/rbac-provisioner.yaml",
        cluster_role: "external-provisioner-runner",
        role: "external-provisioner-cfg",
        lease: "hostpath-csi-k8s-io",
        needed: &[
            ("persistentvolumes", &["list", "watch", "create", "patch", "delete"]),
            ("persistentvolumeclaims", READ),
            ("storageclasses", READ),
            // A volume is not deleted while it is attached.
            ("volumeattachments", READ),
            ("events", &["create", "patch"]),
            LEASES,
        ],
        // Where the definitions of snapshots are installed it asks once whether it may list them, as upstream does.
        refused: &["volumesnapshots"],
    }),
};

/// Attaches and detaches volumes.
pub(crate) const ATTACHER: &Shipped = &Shipped {
    binary: "csi-attacher",
    package: "csi-attacher",
    manifest: "hostpath/attacher.yaml",
    set: "csi-hostpath-attacher",
    container: "csi-attacher",
    has_driver: true,
    account: Some(Account {
        name: "csi-attacher",
        manifest: "hostpath/rbac-attacher.yaml",
        cluster_role: "external-attacher-runner",
        role: "external-attacher-cfg",
        lease: "external-attacher-leader-hostpath-csi-k8s-io",
        needed: &[
            ("persistentvolumes", &["list", "watch", "patch"]),
            ("csinodes", READ),
            ("volumeattachments", &["list", "watch", "patch"]),
            ("volumeattachments/status", &["patch"]),
            LEASES,
        ],
        refused: &["events"],
    }),
};

/// Expands and modifies volumes.
pub(crate) const RESIZER: &Shipped = &Shipped {
    binary: "csi-resizer",
    package: "csi-resizer",
    manifest: "hostpath/resizer.yaml",
    set: "csi-hostpath-resizer",
    container: "csi-resizer",
    has_driver: true,
    account: Some(Account {
        name: "csi-resizer",
        manifest: "hostpath/rbac-resizer.yaml",
        cluster_role: "external-resizer-runner",
        role: "external-resizer-cfg",
        lease: "external-resizer-hostpath-csi-k8s-io",
        needed: &[
            ("persistentvolumes", &["list", "watch", "patch"]),
            // Read again after somebody else has changed it meanwhile.
            ("persistentvolumeclaims", &["get", "list", "watch"]),
            ("persistentvolumeclaims/status", &["patch"]),
            ("events", &["create", "patch"]),
            ("volumeattributesclasses", READ),
            LEASES,
        ],
        refused: &[],
    }),
};

/// Takes and deletes snapshots.
pub(crate) const SNAPSHOTTER: &Shipped = &Shipped {
    binary: "csi-snapshotter",
    package: "csi-snapshotter",
    manifest: "hostpath/snapshotter.yaml",
    set: "csi-hostpath-snapshotter",
    container: "csi-snapshotter",
    has_driver: true,
    account: Some(Account {
        name: "csi-snapshotter",
        manifest: "hostpath/rbac-snapshotter.yaml",
        cluster_role: "external-snapshotter-runner",
        role: "external-snapshotter-leaderelection",
        lease: "external-snapshotter-leader-hostpath-csi-k8s-io",
        needed: &[
            ("volumesnapshotclasses", READ),
            ("volumesnapshotcontents", &["list", "watch", "patch"]),
            ("volumesnapshotcontents/status", &["patch"]),
            ("volumegroupsnapshotclasses", READ),
            ("volumegroupsnapshotcontents", &["list", "watch", "patch"]),
            ("volumegroupsnapshotcontents/status", &["patch"]),
            LEASES,
        ],
        // Only a failure and the election are worth an event.
        refused: &["events"],
    }),
};

/// Makes and binds the contents of snapshots, for all drivers of a cluster.
pub(crate) const SNAPSHOT_CONTROLLER: &Shipped = &Shipped {
    binary: "snapshot-controller",
    package: "snapshot-controller",
    manifest: "snapshot-controller/controller.yaml",
    set: "snapshot-controller",
    container: "snapshot-controller",
    has_driver: false,
    account: Some(Account {
        name: "snapshot-controller",
        manifest: "snapshot-controller/rbac.yaml",
        cluster_role: "snapshot-controller-runner",
        role: "snapshot-controller-leaderelection",
        lease: "snapshot-controller-leader",
        needed: &[
            ("persistentvolumes", READ),
            ("persistentvolumeclaims", &["get", "list", "watch", "update"]),
            ("volumesnapshotclasses", READ),
            ("volumesnapshotcontents", &["create", "get", "list", "watch", "delete", "patch"]),
            ("volumesnapshotcontents/status", &["patch"]),
            ("volumesnapshots", &["create", "get", "list", "watch", "delete", "patch"]),
            ("volumesnapshots/status", &["patch"]),
            ("volumegroupsnapshotclasses", READ),
            ("volumegroupsnapshotcontents", &["create", "get", "list", "watch", "delete", "patch"]),
            ("volumegroupsnapshots", &["list", "watch", "patch"]),
            ("volumegroupsnapshots/status", &["patch"]),
            ("events", &["create", "patch"]),
            LEASES,
        ],
        refused: &[],
    }),
};

/// Introduces the driver to kubelet.
pub(crate) const REGISTRAR: &Shipped = &Shipped {
    binary: "csi-node-driver-registrar",
    package: "node-driver-registrar",
    manifest: "hostpath/driver.yaml",
    set: "csi-hostpathplugin",
    container: "node-driver-registrar",
    has_driver: true,
    account: None,
};

/// Lets kubelet restart a driver that hangs.
pub(crate) const LIVENESS_PROBE: &Shipped = &Shipped {
    binary: "livenessprobe",
    package: "livenessprobe",
    manifest: "hostpath/driver.yaml",
    set: "csi-hostpathplugin",
    container: "liveness-probe",
    has_driver: true,
    account: None,
};

/// The driver, last of all: the others end when it does.
pub(crate) const DRIVER: &Shipped = &Shipped {
    binary: "hostpathplugin",
    package: "hostpath-driver",
    manifest: "hostpath/driver.yaml",
    set: "csi-hostpathplugin",
    container: "hostpath",
    has_driver: true,
    account: None,
};

/// Every program.
pub(crate) const SHIPPED: &[&Shipped] =
    &[PROVISIONER, ATTACHER, RESIZER, SNAPSHOTTER, SNAPSHOT_CONTROLLER, REGISTRAR, LIVENESS_PROBE, DRIVER];

/// Binaries that have an image and no place in `deploy`: scenarios of their own start them.
const UNDEPLOYED: &[&str] = &["snapshot-conversion-webhook"];

/// The driver that is the example of `csi-driver-kit`: it has no image, scenarios run it as a plain process.
pub(crate) const EXAMPLE_DRIVER: &str = "directories";

/// The binaries of all images.
pub(crate) fn binaries() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.binary).chain(UNDEPLOYED.iter().copied())
}

/// The image with our binary of this name.
pub(crate) fn image(binary: &str) -> String {
    format!("docker.io/csi-sidecars/{binary}:dev")
}

/// The image with the binary of this name in `BASELINE_BIN_DIR`.
pub(crate) fn baseline_image(binary: &str) -> String {
    format!("docker.io/baseline/{binary}:dev")
}

impl Shipped {
    /// The one pod that the StatefulSet makes.
    pub(crate) fn pod(&self) -> String {
        format!("{}-0", self.set)
    }

    /// The image with our binary.
    pub(crate) fn image(&self) -> String {
        image(self.binary)
    }

    /// The image with the binary of `BASELINE_BIN_DIR`.
    pub(crate) fn baseline_image(&self) -> String {
        baseline_image(self.binary)
    }

    /// Its account, for those that have one.
    pub(crate) fn account(&self) -> Result<&Account> {
        self.account.as_ref().with_context(|| format!("{} has no service account of its own", self.binary))
    }
}

/// The sidecars that work for the API server.
pub(crate) fn controllers() -> impl Iterator<Item = &'static Shipped> {
    SHIPPED.iter().copied().filter(|shipped| shipped.account.is_some())
}

/// Those of them that work with a driver.
pub(crate) fn with_driver() -> impl Iterator<Item = &'static Shipped> {
    controllers().filter(|shipped| shipped.has_driver)
}

/// The sidecars, which are what is measured.
pub(crate) fn sidecars() -> impl Iterator<Item = &'static Shipped> {
    SHIPPED.iter().copied().filter(|shipped| shipped.binary != DRIVER.binary)
}

/// The StatefulSets of all programs.
pub(crate) fn sets() -> Vec<&'static str> {
    let mut sets: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.set).collect();
    sets.sort_unstable();
    sets.dedup();
    sets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// The objects of a manifest of `deploy`.
    fn objects(manifest: &str) -> Vec<Value> {
        use serde::Deserialize;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(manifest);
        let text = std::fs::read_to_string(&file).unwrap();
        serde_yaml_ng::Deserializer::from_str(&text).map(|one| Value::deserialize(one).unwrap()).collect()
    }

    fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
        let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    #[test]
    fn every_row_is_deployed_by_its_manifest() {
        for shipped in SHIPPED {
            let objects = objects(shipped.manifest);
            let spec = &named(&objects, "StatefulSet", shipped.set)["spec"]["template"]["spec"];
            let containers = spec["containers"].as_array().unwrap();
            let container = containers.iter().find(|it| it["name"] == shipped.container).unwrap();
            assert_eq!(format!("docker.io/{}", container["image"].as_str().unwrap()), shipped.image());
            if let Some(account) = &shipped.account {
                assert_eq!(spec["serviceAccountName"], account.name);
                let rights = self::objects(account.manifest);
                named(&rights, "ServiceAccount", account.name);
                named(&rights, "ClusterRole", account.cluster_role);
                named(&rights, "Role", account.role);
            }
        }
    }

    /// Rules of a manifest as lines, `group/resource verb verb`.
    fn rules(account: &Account) -> BTreeSet<String> {
        let objects = objects(account.manifest);
        let roles =
            [named(&objects, "ClusterRole", account.cluster_role), named(&objects, "Role", account.role)];
        let words = |value: &Value| {
            value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        roles
            .iter()
            .flat_map(|role| role["rules"].as_array().unwrap())
            .map(|rule| {
                let (group, resource) =
                    (words(&rule["apiGroups"]).join(","), words(&rule["resources"]).join(","));
                format!("{group}/{resource} {}", words(&rule["verbs"]).join(" "))
            })
            .collect()
    }

    fn lines(text: &str) -> BTreeSet<String> {
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    /// Sheet csi-attacher, section 4.
    #[test]
    fn the_attachers_rules_are_upstreams() {
        let upstream = lines(
            "/persistentvolumes get list watch patch
             storage.k8s.io/csinodes get list watch
             storage.k8s.io/volumeattachments get list watch patch
             storage.k8s.io/volumeattachments/status patch
             coordination.k8s.io/leases get watch list delete update create",
        );
        assert_eq!(rules(ATTACHER.account.as_ref().unwrap()), upstream);
    }

    /// Sheet csi-resizer, section 4.
    #[test]
    fn the_resizers_rules_are_upstreams() {
        let upstream = lines(
            "/persistentvolumes get list watch patch
             /persistentvolumeclaims get list watch
             /persistentvolumeclaims/status patch
             /pods get list watch
             /events list watch create update patch
             storage.k8s.io/volumeattributesclasses get list watch
             coordination.k8s.io/leases get watch list delete update create",
        );
        assert_eq!(rules(RESIZER.account.as_ref().unwrap()), upstream);
    }

    /// Sheet csi-snapshotter, section 4.
    #[test]
    fn the_snapshotters_rules_are_upstreams() {
        let upstream = lines(
            "/events list watch create update patch
             snapshot.storage.k8s.io/volumesnapshotclasses get list watch
             snapshot.storage.k8s.io/volumesnapshotcontents get list watch update patch
             snapshot.storage.k8s.io/volumesnapshotcontents/status update patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotclasses get list watch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents get list watch update patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents/status update patch
             coordination.k8s.io/leases get watch list delete update create",
        );
        assert_eq!(rules(SNAPSHOTTER.account.as_ref().unwrap()), upstream);
    }

    /// Sheet snapshot-controller, section 4.
    #[test]
    fn the_snapshot_controllers_rules_are_upstreams() {
        let upstream = lines(
            "/persistentvolumes get list watch
             /persistentvolumeclaims get list watch update
             /events list watch create update patch
             snapshot.storage.k8s.io/volumesnapshotclasses get list watch
             snapshot.storage.k8s.io/volumesnapshotcontents create get list watch update delete patch
             snapshot.storage.k8s.io/volumesnapshotcontents/status patch
             snapshot.storage.k8s.io/volumesnapshots create get list watch update patch delete
             snapshot.storage.k8s.io/volumesnapshots/status update patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotclasses get list watch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents create get list watch update delete patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshotcontents/status patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshots get list watch update patch
             groupsnapshot.storage.k8s.io/volumegroupsnapshots/status update patch
             coordination.k8s.io/leases get watch list delete update create",
        );
        assert_eq!(rules(SNAPSHOT_CONTROLLER.account.as_ref().unwrap()), upstream);
    }

    #[test]
    fn what_is_needed_is_granted() {
        for shipped in controllers() {
            let account = shipped.account.as_ref().unwrap();
            let granted = rules(account);
            for (resource, verbs) in account.needed {
                let rule = granted.iter().find(|line| {
                    line.split(' ').next().unwrap().split_once('/').is_some_and(|(_, it)| it == *resource)
                });
                let rule = rule.unwrap_or_else(|| panic!("{}: no rule for {resource}", shipped.binary));
                for verb in *verbs {
                    assert!(rule.split(' ').skip(1).any(|word| word == *verb), "{rule}: no {verb}");
                }
            }
        }
    }
}
