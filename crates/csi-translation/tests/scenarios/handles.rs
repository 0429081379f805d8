//! Handles that a node's id completes (attacher sheet 5.11).

use csi_translation::repair_handle;

const GCE: &str = "pd.csi.storage.gke.io";
const NODE: &str = "projects/proj/zones/us-east1-b/instances/n";

#[test]
fn google_handles_are_completed() {
    for (handle, repaired) in [
        ("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/d", "projects/proj/zones/us-east1-b/disks/d"),
        ("projects/UNSPECIFIED/zones/us-east1-c/disks/d", "projects/proj/zones/us-east1-c/disks/d"),
        ("projects/UNSPECIFIED/regions/UNSPECIFIED/disks/d", "projects/proj/regions/us-east1/disks/d"),
        ("projects/UNSPECIFIED/regions/us-west1/disks/d", "projects/proj/regions/us-west1/disks/d"),
        ("projects/p/zones/UNSPECIFIED/disks/d", "projects/p/zones/UNSPECIFIED/disks/d"),
    ] {
        assert_eq!(repair_handle(GCE, handle, NODE).unwrap(), repaired);
    }
}

#[test]
fn google_handles_that_cannot_be_completed() {
    for (handle, node, error) in [
        ("d", NODE, "volume handle has wrong number of elements; got 1, wanted 6 or more"),
        (
            "projects/UNSPECIFIED/zones/z/disks/d",
            "node",
            "node handle has wrong number of elements; got 1, wanted 6 or more",
        ),
        (
            "projects/UNSPECIFIED/places/z/disks/d",
            NODE,
            "expected volume handle to have zones or regions regionality value, got: places",
        ),
        (
            "projects/UNSPECIFIED/regions/UNSPECIFIED/disks/d",
            "projects/p/zones/z/instances/n",
            "failed to get region from zone z: zone in unexpected format, expected: {locale}-{region}-{zone}, got: z",
        ),
    ] {
        assert_eq!(repair_handle(GCE, handle, node).unwrap_err().to_string(), error);
    }
}

#[test]
fn other_migrated_drivers_have_complete_handles() {
    for driver in [
        "ebs.csi.aws.com",
        "disk.csi.azure.com",
        "file.csi.azure.com",
        "cinder.csi.openstack.org",
        "csi.vsphere.vmware.com",
        "pxd.portworx.com",
    ] {
        assert_eq!(repair_handle(driver, "anything", "").unwrap(), "anything");
    }
}

#[test]
fn drivers_that_replace_nothing_have_nothing_to_repair() {
    let error = repair_handle("hostpath.csi.k8s.io", "h", "n").unwrap_err();
    assert_eq!(error.to_string(), "could not find In-tree driver name for CSI plugin hostpath.csi.k8s.io");
}
