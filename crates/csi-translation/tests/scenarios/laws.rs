//! What must hold for every volume: nothing panics, and what one way makes the other way understands.

use csi_translation::{
    CsiSource, CsiVolume, InTreeVolume, Requirement, Term, VolumeObject, driver_of, repair_handle,
    translate_back, translate_volume,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const ZONE: &str = "topology.kubernetes.io/zone";
const DRIVERS: [&str; 7] = [
    "ebs.csi.aws.com",
    "pd.csi.storage.gke.io",
    "disk.csi.azure.com",
    "file.csi.azure.com",
    "cinder.csi.openstack.org",
    "csi.vsphere.vmware.com",
    "pxd.portworx.com",
];

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,12}"
}

/// A source as a user may have written it, in the order in which translation writes it.
fn source() -> impl Strategy<Value = (&'static str, Value)> {
    (name(), prop::option::of("[a-z0-9]{1,5}"), any::<bool>(), 0..9i32, 0..5usize).prop_map(
        |(id, fs_type, read_only, partition, plugin)| {
            let uri = format!("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/{id}");
            let (kind, mut source) = match plugin {
                0 => ("awsElasticBlockStore", json!({"volumeID": format!("vol-{id}")})),
                1 => ("gcePersistentDisk", json!({"pdName": id})),
                2 => ("cinder", json!({"volumeID": id})),
                3 => {
                    let source = json!({"diskName": id, "diskURI": uri, "kind": "Managed",
                        "fsType": fs_type.clone().unwrap_or_default(), "readOnly": read_only});
                    return ("azureDisk", source);
                }
                _ => {
                    let source = json!({"shareName": id, "secretName": "azure-storage-account-a-secret",
                        "secretNamespace": "ns"});
                    return ("azureFile", source);
                }
            };
            if let Some(fs_type) = fs_type {
                source["fsType"] = json!(fs_type);
            }
            if read_only {
                source["readOnly"] = json!(true);
            }
            if partition > 0 && plugin < 2 {
                source["partition"] = json!(partition);
            }
            (kind, source)
        },
    )
}

/// A volume that was made in some zones and says so in both places, as plugins did.
fn volume() -> impl Strategy<Value = InTreeVolume> {
    (source(), prop::collection::btree_set("[a-c]", 0..3)).prop_map(|((kind, source), letters)| {
        let zone = |letter: &String| {
            if kind == "awsElasticBlockStore" {
                format!("us-east-1{letter}")
            } else {
                format!("us-east1-{letter}")
            }
        };
        let zones: Vec<String> = letters.iter().map(zone).collect();
        let mut object = VolumeObject { name: "pv".to_owned(), ..VolumeObject::default() };
        if !zones.is_empty() {
            let region = if kind == "awsElasticBlockStore" { "us-east-1" } else { "us-east1" };
            object.labels.insert(ZONE.to_owned(), zones.join("__"));
            object.labels.insert("topology.kubernetes.io/region".to_owned(), region.to_owned());
            object.affinity.push(Term {
                match_expressions: vec![
                    requirement(ZONE, zones),
                    requirement("topology.kubernetes.io/region", vec![region.to_owned()]),
                ],
                match_fields: Vec::new(),
            });
        }
        InTreeVolume { kind: kind.to_owned(), source: source.to_string(), object }
    })
}

fn requirement(key: &str, values: Vec<String>) -> Requirement {
    Requirement { key: key.to_owned(), operator: "In".to_owned(), values }
}

fn parsed(volume: InTreeVolume) -> (String, Value, VolumeObject) {
    (volume.kind, serde_json::from_str(&volume.source).unwrap(), volume.object)
}

proptest! {
    #[test]
    fn there_and_back_is_where_it_began(volume in volume()) {
        let csi = translate_volume(&volume).unwrap();
        let back = translate_back(&csi).unwrap();
        prop_assert_eq!(parsed(back), parsed(volume));
    }

    #[test]
    fn no_zone_of_kubernetes_is_left_in_a_csi_affinity(volume in volume()) {
        let csi = translate_volume(&volume).unwrap();
        if !csi.source.driver.contains("azure") {
            let terms = &csi.object.affinity;
            prop_assert!(terms.iter().flat_map(|term| &term.match_expressions).all(|r| r.key != ZONE));
        }
    }

    #[test]
    fn translating_twice_gives_the_same(volume in volume()) {
        prop_assert_eq!(translate_volume(&volume).unwrap(), translate_volume(&volume).unwrap());
    }

    #[test]
    fn no_handle_makes_anything_panic(
        driver in prop::sample::select(DRIVERS.to_vec()),
        handle in ".{0,60}",
        node in ".{0,60}",
        attribute in "(partition|sharename|fsType)",
        value in ".{0,8}",
        zone in ".{0,12}",
    ) {
        let _ = repair_handle(driver, &handle, &node);
        let mut source = CsiSource { driver: driver.to_owned(), volume_handle: handle, ..CsiSource::default() };
        source.volume_attributes.insert(attribute, value);
        let mut object = VolumeObject::default();
        object.affinity.push(Term {
            match_expressions: vec![requirement("topology.gke.io/zone", vec![zone.clone()]), requirement(ZONE, vec![zone])],
            match_fields: Vec::new(),
        });
        if let Ok(volume) = translate_back(&CsiVolume { source, object }) {
            // What was made can be read again, unless the plugin knows fewer forms than the driver.
            let again = translate_volume(&volume);
            prop_assert!(again.is_ok() || volume.kind == "awsElasticBlockStore" || volume.kind == "azureFile"
                || volume.kind == "gcePersistentDisk");
        }
    }

    #[test]
    fn repaired_handles_need_no_repair(disk in name(), zonal in any::<bool>(), known in any::<bool>()) {
        let kind = if zonal { "zones" } else { "regions" };
        let place = if known { "us-west1-a" } else { "UNSPECIFIED" };
        let handle = format!("projects/UNSPECIFIED/{kind}/{place}/disks/{disk}");
        let node = "projects/p/zones/us-east1-b/instances/n";
        let once = repair_handle("pd.csi.storage.gke.io", &handle, node).unwrap();
        prop_assert!(!once.contains("UNSPECIFIED"));
        prop_assert_eq!(&repair_handle("pd.csi.storage.gke.io", &once, node).unwrap(), &once);
    }
}

#[test]
fn every_plugin_has_its_driver() {
    for driver in DRIVERS {
        assert_eq!(csi_translation::in_tree_name(driver).and_then(driver_of), Some(driver));
    }
}
