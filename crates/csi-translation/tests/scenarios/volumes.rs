//! Sources, both ways.

use csi_translation::{
    InTreeVolume, VolumeObject, driver_of, driver_of_source, in_tree_name, is_migrated_driver,
};
use serde_json::{Value, json};

use crate::{csi, csi_error, in_tree, in_tree_error, volume};

#[test]
fn names_of_drivers_and_plugins() {
    for (driver, plugin, source) in [
        ("ebs.csi.aws.com", "kubernetes.io/aws-ebs", "awsElasticBlockStore"),
        ("pd.csi.storage.gke.io", "kubernetes.io/gce-pd", "gcePersistentDisk"),
        ("disk.csi.azure.com", "kubernetes.io/azure-disk", "azureDisk"),
        ("file.csi.azure.com", "kubernetes.io/azure-file", "azureFile"),
        ("cinder.csi.openstack.org", "kubernetes.io/cinder", "cinder"),
        ("csi.vsphere.vmware.com", "kubernetes.io/vsphere-volume", "vsphereVolume"),
        ("pxd.portworx.com", "kubernetes.io/portworx-volume", "portworxVolume"),
    ] {
        assert!(is_migrated_driver(driver) && !is_migrated_driver(plugin));
        assert_eq!((in_tree_name(driver), driver_of(plugin)), (Some(plugin), Some(driver)));
        assert_eq!(driver_of_source(source), Some(driver));
    }
    assert_eq!((in_tree_name("hostpath.csi.k8s.io"), driver_of("kubernetes.io/rbd")), (None, None));
    assert_eq!((driver_of_source("rbd"), driver_of_source("csi")), (None, None));
}

#[test]
fn aws_to_csi() {
    for (id, handle) in [
        ("vol-1", "vol-1"),
        ("aws://us-east-1a/vol-02", "vol-02"),
        ("aws:///vol-3/", "vol-3"),
        ("any", "any"),
    ] {
        let source = json!({"volumeID": id, "fsType": "ext4", "readOnly": true, "partition": 2});
        assert_eq!(
            csi(volume("awsElasticBlockStore", &source)),
            json!({"driver": "ebs.csi.aws.com", "volumeHandle": handle, "fsType": "ext4", "readOnly": true,
                "volumeAttributes": {"partition": "2"}})
        );
    }
    let plain = csi(volume("awsElasticBlockStore", &json!({"volumeID": "vol-1"})));
    assert_eq!(plain["volumeAttributes"], json!({"partition": "0"}), "zero is written out");
    assert_eq!((&plain["fsType"], &plain["readOnly"]), (&Value::Null, &Value::Null));
}

#[test]
fn aws_ids_of_no_known_form() {
    for id in ["aws://us-east-1a/snap-1", "aws://vol-1", "aws:///us-east-1a/vol-1", "aws://"] {
        let error = csi_error(volume("awsElasticBlockStore", &json!({"volumeID": id})));
        let expected = format!(
            "failed to translate Kubernetes ID to EBS Volume ID Invalid format for AWS volume ({id})"
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn aws_to_in_tree() {
    let source = json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1", "fsType": "xfs", "readOnly": true,
        "volumeAttributes": {"partition": "3", "storage.kubernetes.io/csiProvisionerIdentity": "x"}});
    assert_eq!(
        in_tree("awsElasticBlockStore", &source),
        json!({"volumeID": "vol-1", "fsType": "xfs", "readOnly": true, "partition": 3})
    );
    let plain =
        json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1", "volumeAttributes": {"partition": ""}});
    assert_eq!(in_tree("awsElasticBlockStore", &plain), json!({"volumeID": "vol-1"}));
    let wrong =
        json!({"driver": "ebs.csi.aws.com", "volumeHandle": "v", "volumeAttributes": {"partition": "a"}});
    assert_eq!(in_tree_error(&wrong), "failed to convert partition a to integer");
}

#[test]
fn gce_handle_follows_the_zone_label() {
    const BETA: &str = "failure-domain.beta.kubernetes.io/zone";
    const GA: &str = "topology.kubernetes.io/zone";
    for (labels, place) in [
        (json!({}), "zones/UNSPECIFIED"),
        (json!({GA: ""}), "zones/UNSPECIFIED"),
        (json!({GA: "us-central1-a"}), "zones/us-central1-a"),
        (json!({GA: "us-central1-a", BETA: "us-central1-b"}), "zones/us-central1-b"),
        (json!({BETA: "us-central1-a__us-central1-b"}), "regions/us-central1"),
    ] {
        let mut volume = volume("gcePersistentDisk", &json!({"pdName": "disk"}));
        volume["metadata"]["labels"] = labels;
        let source = csi(volume);
        assert_eq!(source["volumeHandle"], format!("projects/UNSPECIFIED/{place}/disks/disk"));
        assert_eq!(source["volumeAttributes"], json!({"partition": ""}), "zero is empty here");
    }
}

#[test]
fn gce_regions_that_cannot_be_told() {
    for (zones, why) in [
        ("a__b", "zone in unexpected format, expected: {locale}-{region}-{zone}, got: a"),
        ("us-east1-a__us-west1-a", "multiple or no regions gotten from zones, got: us-east1, us-west1"),
    ] {
        let mut volume = volume("gcePersistentDisk", &json!({"pdName": "disk"}));
        volume["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": zones});
        assert_eq!(csi_error(volume), format!("failed to get region from zones: {why}"));
    }
}

#[test]
fn gce_access_modes_collapse() {
    let (rwo, rox, rwx) = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany");
    for (modes, expected) in [
        (json!([rwo]), json!([rwo])),
        (json!([rox]), json!([rox])),
        (json!([rwx]), json!([rwo])),
        (json!([rox, rwo]), json!([rwo])),
        (json!([rox, rwx]), json!([rwo])),
        (json!(["ReadWriteOncePod"]), json!([rwo])),
        (Value::Null, Value::Null),
    ] {
        let mut volume = volume("gcePersistentDisk", &json!({"pdName": "disk"}));
        volume["spec"]["accessModes"] = modes;
        let translated = csi_translation::csi_object(volume).unwrap();
        assert_eq!(translated["spec"]["accessModes"], expected);
    }
}

#[test]
fn gce_to_in_tree() {
    let source = json!({"driver": "pd.csi.storage.gke.io", "volumeHandle": "projects/p/zones/z/disks/d",
        "fsType": "ext4", "readOnly": true, "volumeAttributes": {"partition": "1"}});
    assert_eq!(
        in_tree("gcePersistentDisk", &source),
        json!({"pdName": "d", "fsType": "ext4", "readOnly": true, "partition": 1})
    );
    for handle in ["d", "projects/p/zones/z/disks/d/e"] {
        let error = in_tree_error(&json!({"driver": "pd.csi.storage.gke.io", "volumeHandle": handle}));
        let expected = "failed to get id components. Expected projects/{project}/zones/{zone}/disks/{name}.";
        assert_eq!(error, format!("{expected} Got: {handle}"));
    }
}

const URI: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/disk-1";

#[test]
fn azure_disk_to_csi() {
    let source = json!({"diskName": "n", "diskURI": URI, "kind": "managed", "cachingMode": "ReadOnly",
        "fsType": "ext4", "readOnly": true});
    assert_eq!(
        csi(volume("azureDisk", &source)),
        json!({"driver": "disk.csi.azure.com", "volumeHandle": URI, "fsType": "ext4", "readOnly": true,
            "volumeAttributes": {"kind": "Managed", "cachingmode": "ReadOnly", "fstype": "ext4"}})
    );
    let plain =
        json!({"driver": "disk.csi.azure.com", "volumeHandle": URI, "volumeAttributes": {"kind": "Managed"}});
    assert_eq!(csi(volume("azureDisk", &json!({"diskName": "n", "diskURI": URI}))), plain);
    for kind in ["Dedicated", "Shared"] {
        let error = csi_error(volume("azureDisk", &json!({"diskName": "n", "diskURI": URI, "kind": kind})));
        assert_eq!(error, format!("kind({kind}) is not supported in csi migration"));
    }
}

#[test]
fn azure_disk_to_in_tree() {
    let source = json!({"driver": "disk.csi.azure.com", "volumeHandle": URI, "fsType": "ext4",
        "volumeAttributes": {"cachingMode": "None", "FsType": "xfs"}});
    assert_eq!(
        in_tree("azureDisk", &source),
        json!({"diskName": "disk-1", "diskURI": URI, "cachingMode": "None", "fsType": "xfs", "readOnly": false,
            "kind": "Managed"}),
        "the attribute wins over the field"
    );
    for (uri, name) in [
        (URI, "disk-1"),
        ("/subscriptions/s/resourcegroups/g/providers/microsoft.compute/disks/D2", "D2"),
        ("https://x.blob.core.windows.net/vhds/a.vhd", "a.vhd"),
    ] {
        let source = in_tree("azureDisk", &json!({"driver": "disk.csi.azure.com", "volumeHandle": uri}));
        assert_eq!(source["diskName"], name);
    }
    for uri in ["disk", "/subscriptions/s/providers/Microsoft.Compute/disks/", "http://x/disks/d"] {
        let error = in_tree_error(&json!({"driver": "disk.csi.azure.com", "volumeHandle": uri}));
        assert!(
            error.starts_with(&format!("could not get disk name from {uri}, correct format: ")),
            "{error}"
        );
    }
}

#[test]
fn azure_file_to_csi() {
    for (secret, account) in [
        ("azure-storage-account-acct-secret", "acct"),
        ("azure-storage-account--secret", "azure-storage-account--secret"),
        ("other", "other"),
    ] {
        for (group, source_ns, claim_ns, ns) in
            [("", Some("a"), Some("b"), "a"), ("rg", None, Some("b"), "b"), ("rg", Some("a"), None, "a")]
        {
            let mut volume = volume("azureFile", &json!({"secretName": secret, "shareName": "share"}));
            volume["spec"]["azureFile"]["secretNamespace"] = json!(source_ns);
            volume["spec"]["claimRef"] = claim_ns.map_or(Value::Null, |ns| json!({"namespace": ns}));
            if !group.is_empty() {
                volume["metadata"]["annotations"] = json!({"kubernetes.io/azure-file-resource-group": group});
            }
            assert_eq!(
                csi(volume),
                json!({"driver": "file.csi.azure.com", "volumeHandle": format!("{group}#{account}#share#pv#{ns}"),
                    "volumeAttributes": {"sharename": "share"},
                    "nodeStageSecretRef": {"name": secret, "namespace": ns}})
            );
        }
    }
    let nowhere = volume("azureFile", &json!({"secretName": "s", "shareName": "share"}));
    assert_eq!(csi_error(nowhere), "could not find a secret namespace in PersistentVolumeSource or ClaimRef");
}

#[test]
fn azure_file_to_in_tree() {
    let source = json!({"driver": "file.csi.azure.com", "volumeHandle": "x", "readOnly": true,
        "volumeAttributes": {"shareName": "s", "secretname": "ignored", "secretNamespace": "ignored"},
        "nodeStageSecretRef": {"name": "n", "namespace": "ns"}});
    assert_eq!(
        in_tree("azureFile", &source),
        json!({"secretName": "n", "shareName": "s", "readOnly": true, "secretNamespace": "ns"})
    );
    let from_handle = json!({"driver": "file.csi.azure.com", "volumeHandle": "rg#acct#share#pv"});
    let translated = csi_translation::in_tree_object(volume("csi", &from_handle)).unwrap();
    assert_eq!(
        translated["spec"]["azureFile"],
        json!({"secretName": "azure-storage-account-acct-secret", "shareName": "share", "secretNamespace": "default"})
    );
    assert_eq!(
        translated["metadata"]["annotations"],
        json!({"kubernetes.io/azure-file-resource-group": "rg"})
    );
    let error = in_tree_error(&json!({"driver": "file.csi.azure.com", "volumeHandle": "rg#acct"}));
    assert_eq!(error, "error parsing volume id: \"rg#acct\", should at least contain two #");
}

#[test]
fn cinder_both_ways() {
    let source = json!({"volumeID": "id", "fsType": "ext4", "readOnly": true});
    let translated = json!({"driver": "cinder.csi.openstack.org", "volumeHandle": "id", "fsType": "ext4", "readOnly": true});
    assert_eq!(csi(volume("cinder", &source)), translated);
    assert_eq!(in_tree("cinder", &translated), source);
}

#[test]
fn vsphere_both_ways() {
    let source = json!({"volumePath": "[ds] a.vmdk", "fsType": "ext4", "storagePolicyName": "gold"});
    assert_eq!(
        csi(volume("vsphereVolume", &source)),
        json!({"driver": "csi.vsphere.vmware.com", "volumeHandle": "[ds] a.vmdk", "fsType": "ext4",
            "volumeAttributes": {"storagepolicyname": "gold"}})
    );
    let made = json!({"driver": "csi.vsphere.vmware.com", "volumeHandle": "id", "fsType": "ext4",
        "volumeAttributes": {"initialvolumefilepath": "[ds] a.vmdk"}});
    assert_eq!(in_tree("vsphereVolume", &made), json!({"volumePath": "[ds] a.vmdk", "fsType": "ext4"}));
}

#[test]
fn portworx_both_ways() {
    let mut object = volume("portworxVolume", &json!({"volumeID": "id", "fsType": "ext4", "readOnly": true}));
    let bare = json!({"driver": "pxd.portworx.com", "volumeHandle": "id", "fsType": "ext4"});
    assert_eq!(csi(object.clone()), bare, "read-only is not copied");
    object["metadata"]["annotations"] = json!({"openstorage.io/auth-secret-name": "n"});
    assert_eq!(csi(object.clone()), bare, "one annotation alone names no secret");
    object["metadata"]["annotations"]["openstorage.io/auth-secret-namespace"] = json!("ns");
    let secret = json!({"name": "n", "namespace": "ns"});
    let source = csi(object);
    for purpose in ["controllerPublish", "nodeStage", "nodePublish", "controllerExpand", "nodeExpand"] {
        assert_eq!(source[format!("{purpose}SecretRef")], secret);
    }
    let read_only = json!({"driver": "pxd.portworx.com", "volumeHandle": "id", "readOnly": true});
    assert_eq!(in_tree("portworxVolume", &read_only), json!({"volumeID": "id", "readOnly": true}));
}

#[test]
fn what_nobody_takes_over_is_refused() {
    let rbd = volume("rbd", &json!({"image": "i"}));
    assert_eq!(csi_error(rbd.clone()), "could not find in-tree plugin translation logic for \"pv\"");
    assert_eq!(csi_translation::in_tree_object(rbd).unwrap_err().to_string(), "CSI source was nil");
    let other = json!({"driver": "hostpath.csi.k8s.io", "volumeHandle": "h"});
    assert_eq!(
        in_tree_error(&other),
        "could not find In-tree driver name for CSI plugin hostpath.csi.k8s.io"
    );
    let broken = volume("cinder", &json!({"volumeID": 5}));
    assert!(csi_error(broken).starts_with("cannot read cinder: "));
}

/// What attachers and resizers do with a volume of their cache.
#[test]
fn a_cached_volume_is_translated_without_its_object() {
    let cached = InTreeVolume {
        kind: "cinder".to_owned(),
        source: r#"{"volumeID":"id"}"#.to_owned(),
        object: VolumeObject { name: "pv".to_owned(), ..VolumeObject::default() },
    };
    let translated = csi_translation::translate_volume(&cached).unwrap();
    assert_eq!(
        (&*translated.source.driver, &*translated.source.volume_handle),
        ("cinder.csi.openstack.org", "id")
    );
    assert_eq!(translated.object, cached.object);
}

#[test]
fn the_rest_of_an_object_stays() {
    let mut object = volume("cinder", &json!({"volumeID": "id"}));
    object["metadata"]["finalizers"] = json!(["f"]);
    object["spec"]["mountOptions"] = json!(["noatime"]);
    object["spec"]["volumeMode"] = json!("Block");
    object["status"] = json!({"phase": "Bound"});
    let translated = csi_translation::csi_object(object.clone()).unwrap();
    assert!(translated["spec"].get("cinder").is_none());
    assert_eq!(csi_translation::in_tree_object(translated).unwrap(), object);
}
