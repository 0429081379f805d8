//! Storage classes.

use csi_translation::{StorageClass, TopologyRequirement, translate_class};

type Pairs<'a> = &'a [(&'a str, &'a str)];
type Terms<'a> = &'a [(&'a str, &'a [&'a str])];

const ZONE: &str = "topology.kubernetes.io/zone";
const ZONE_BETA: &str = "failure-domain.beta.kubernetes.io/zone";

/// A class with one requirement per term.
fn class(provisioner: &str, parameters: Pairs<'_>, terms: Terms<'_>) -> StorageClass {
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    StorageClass {
        provisioner: provisioner.to_owned(),
        parameters: parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        allowed_topologies: terms
            .iter()
            .map(|(key, values)| {
                vec![TopologyRequirement { key: (*key).to_owned(), values: strings(values) }]
            })
            .collect(),
    }
}

fn check(plugin: &str, before: (Pairs<'_>, Terms<'_>), after: (Pairs<'_>, Terms<'_>)) {
    let translated = translate_class(class(plugin, before.0, before.1)).unwrap();
    assert_eq!(translated, class(plugin, after.0, after.1), "{plugin} {before:?}");
}

#[test]
fn file_systems_get_their_csi_name() {
    for plugin in ["kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/cinder"] {
        for key in ["fstype", "fsType", "FSTYPE"] {
            check(
                plugin,
                (&[(key, "xfs"), ("type", "t")], &[]),
                (&[("csi.storage.k8s.io/fstype", "xfs"), ("type", "t")], &[]),
            );
        }
    }
    for plugin in ["kubernetes.io/azure-disk", "kubernetes.io/azure-file"] {
        check(plugin, (&[("fsType", "xfs")], &[]), (&[("fsType", "xfs")], &[]));
    }
}

#[test]
fn zones_become_topologies() {
    for (plugin, key) in [
        ("kubernetes.io/aws-ebs", "topology.ebs.csi.aws.com/zone"),
        ("kubernetes.io/gce-pd", "topology.gke.io/zone"),
        ("kubernetes.io/azure-disk", "topology.disk.csi.azure.com/zone"),
    ] {
        check(plugin, (&[("zone", "a")], &[]), (&[], &[(key, &["a"])]));
        check(plugin, (&[("Zones", "a, b")], &[]), (&[], &[(key, &["a", " b"])]));
        check(
            plugin,
            (&[], &[(ZONE, &["a"]), (ZONE_BETA, &["b"]), ("x", &["c"])]),
            (&[], &[(key, &["a"]), (key, &["b"]), ("x", &["c"])]),
        );
        let twice = translate_class(class(plugin, &[("zone", "a")], &[(ZONE, &["a"])])).unwrap_err();
        assert_eq!(
            twice.to_string(),
            "cannot simultaneously set allowed topologies and zone/zones parameters"
        );
    }
}

#[test]
fn aws_keeps_the_rate_and_lets_it_grow() {
    check(
        "kubernetes.io/aws-ebs",
        (&[("iopsPerGB", "10")], &[]),
        (&[("allowautoiopspergbincrease", "true"), ("iopsPerGB", "10")], &[]),
    );
}

#[test]
fn azure_numbers_are_no_zones() {
    let key = "topology.disk.csi.azure.com/zone";
    check(
        "kubernetes.io/azure-disk",
        (&[("zones", "1,eastus-1,22,")], &[]),
        (&[], &[(key, &["", "eastus-1", "", ""])]),
    );
    check(
        "kubernetes.io/azure-disk",
        (&[], &[(ZONE, &["0"]), ("x", &["1"])]),
        (&[], &[(key, &[""]), ("x", &["1"])]),
    );
}

#[test]
fn cinder_zones_are_renamed_and_availability_stays() {
    check(
        "kubernetes.io/cinder",
        (&[("availability", "nova"), ("zone", "a")], &[(ZONE, &["b"])]),
        (&[("availability", "nova"), ("zone", "a")], &[("topology.cinder.csi.openstack.org/zone", &["b"])]),
    );
}

#[test]
fn vsphere_keeps_only_what_the_driver_knows() {
    check("kubernetes.io/vsphere-volume", (&[], &[]), (&[("csimigration", "true")], &[]));
    check(
        "kubernetes.io/vsphere-volume",
        (&[("unknown", "x"), ("fsType", "xfs"), ("StoragePolicyName", "gold")], &[(ZONE_BETA, &["z"])]),
        (
            &[("csi.storage.k8s.io/fstype", "xfs"), ("csimigration", "true"), ("storagepolicyname", "gold")],
            &[("topology.csi.vmware.com/zone", &["z"])],
        ),
    );
    for name in [
        "datastore",
        "diskformat",
        "hostfailurestotolerate",
        "forceprovisioning",
        "cachereservation",
        "diskstripes",
        "objectspacereservation",
        "iopslimit",
    ] {
        let migrated = format!("{name}-migrationparam");
        check(
            "kubernetes.io/vsphere-volume",
            (&[(name, "v")], &[]),
            (&[("csimigration", "true"), (&migrated, "v")], &[]),
        );
    }
}

#[test]
fn portworx_hands_its_secret_to_every_call() {
    let given: Pairs<'_> = &[
        ("openstorage.io/auth-secret-name", "n"),
        ("openstorage.io/auth-secret-namespace", "ns"),
        ("repl", "2"),
    ];
    let translated = translate_class(class("kubernetes.io/portworx-volume", given, &[])).unwrap();
    assert_eq!(translated.provisioner, "pxd.portworx.com", "the only plugin that changes it");
    assert_eq!(translated.parameters["repl"], "2");
    for purpose in [
        "provisioner",
        "controller-publish",
        "node-publish",
        "node-stage",
        "controller-expand",
        "node-expand",
    ] {
        assert_eq!(translated.parameters[&format!("csi.storage.k8s.io/{purpose}-secret-name")], "n");
        assert_eq!(translated.parameters[&format!("csi.storage.k8s.io/{purpose}-secret-namespace")], "ns");
    }
    assert_eq!(translated.parameters.len(), 13);
}

#[test]
fn classes_of_others_are_refused() {
    for provisioner in ["ebs.csi.aws.com", "kubernetes.io/rbd"] {
        let error = translate_class(class(provisioner, &[], &[])).unwrap_err().to_string();
        let expected = "could not find in-tree storage class parameter translation logic for";
        assert_eq!(error, format!("{expected} \"{provisioner}\""));
    }
}
