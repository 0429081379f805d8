//! Labels and node affinity.

use serde_json::{Value, json};

use crate::volume;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE_BETA: &str = "failure-domain.beta.kubernetes.io/zone";
const REGION_BETA: &str = "failure-domain.beta.kubernetes.io/region";
const EBS: &str = "topology.ebs.csi.aws.com/zone";

/// One term that requires each key to have one of the values.
fn term(pairs: &[(&str, &[&str])]) -> Value {
    let expression =
        |(key, values): &(&str, &[&str])| json!({"key": key, "operator": "In", "values": values});
    json!({"matchExpressions": pairs.iter().map(expression).collect::<Vec<_>>()})
}

fn with(kind: &str, source: &Value, labels: &Value, terms: &[Value]) -> Value {
    let mut volume = volume(kind, source);
    volume["metadata"]["labels"] = labels.clone();
    if !terms.is_empty() {
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": terms}});
    }
    volume
}

/// Labels and terms after translation.
fn placed(object: &Value) -> (Value, Value) {
    let terms = object.pointer("/spec/nodeAffinity/required/nodeSelectorTerms");
    (object["metadata"]["labels"].clone(), terms.cloned().unwrap_or_else(|| json!([])))
}

fn ebs_to_csi(labels: &Value, terms: &[Value]) -> Value {
    let volume = with("awsElasticBlockStore", &json!({"volumeID": "vol-1"}), labels, terms);
    let (kept, terms) = placed(&csi_translation::csi_object(volume).unwrap());
    assert_eq!(kept, *labels, "labels stay");
    terms
}

fn ebs_to_in_tree(labels: &Value, terms: &[Value]) -> (Value, Value) {
    let source = json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"});
    placed(&csi_translation::in_tree_object(with("csi", &source, labels, terms)).unwrap())
}

#[test]
fn affinity_to_csi() {
    let other = ("x", &["y"][..]);
    for (name, labels, before, after) in [
        ("nothing", json!({}), vec![], vec![]),
        (
            "present label in affinity",
            json!({}),
            vec![term(&[(ZONE, &["a"]), other])],
            vec![term(&[(EBS, &["a"]), other])],
        ),
        (
            "old label in affinity",
            json!({}),
            vec![term(&[(ZONE_BETA, &["a"])])],
            vec![term(&[(EBS, &["a"])])],
        ),
        (
            "old region gets its present name",
            json!({}),
            vec![term(&[(ZONE_BETA, &["a"]), (REGION_BETA, &["r"])])],
            vec![term(&[(EBS, &["a"]), (REGION, &["r"])])],
        ),
        (
            "affinity before label",
            json!({ZONE: "b"}),
            vec![term(&[(ZONE, &["a"])])],
            vec![term(&[(EBS, &["a"])])],
        ),
        ("label without affinity", json!({ZONE: "b__ a__b__"}), vec![], vec![term(&[(EBS, &["a", "b"])])]),
        ("old label without affinity", json!({ZONE_BETA: "b"}), vec![], vec![term(&[(EBS, &["b"])])]),
        ("both labels", json!({ZONE: "a", ZONE_BETA: "b"}), vec![], vec![term(&[(EBS, &["a"])])]),
        (
            "label goes to every term",
            json!({ZONE: "a"}),
            vec![term(&[other]), term(&[])],
            vec![term(&[other, (EBS, &["a"])]), term(&[(EBS, &["a"])])],
        ),
        ("empty label", json!({ZONE: "__ "}), vec![], vec![]),
    ] {
        assert_eq!(ebs_to_csi(&labels, &before), json!(after), "{name}");
    }
}

#[test]
fn affinity_to_in_tree_with_region() {
    let (a, b) = ("us-east-1a", "us-east-1b");
    for (name, labels, before, after_labels, after) in [
        (
            "one zone",
            Value::Null,
            vec![term(&[(EBS, &[a])])],
            json!({ZONE: a, REGION: "us-east-1"}),
            vec![term(&[(ZONE, &[a]), (REGION, &["us-east-1"])])],
        ),
        (
            "two terms",
            Value::Null,
            vec![term(&[(EBS, &[b])]), term(&[(EBS, &[a])])],
            json!({ZONE: "us-east-1a__us-east-1b", REGION: "us-east-1"}),
            vec![
                term(&[(ZONE, &[b]), (REGION, &["us-east-1"])]),
                term(&[(ZONE, &[a]), (REGION, &["us-east-1"])]),
            ],
        ),
        (
            "two regions get no label",
            Value::Null,
            vec![term(&[(EBS, &[a])]), term(&[(EBS, &["us-west-2c"])])],
            json!({ZONE: "us-east-1a__us-west-2c"}),
            vec![
                term(&[(ZONE, &[a]), (REGION, &["us-east-1"])]),
                term(&[(ZONE, &["us-west-2c"]), (REGION, &["us-west-2"])]),
            ],
        ),
        (
            "region that is there",
            Value::Null,
            vec![term(&[(EBS, &["odd"]), (REGION, &["r"])])],
            json!({ZONE: "odd", REGION: "r"}),
            vec![term(&[(ZONE, &["odd"]), (REGION, &["r"])])],
        ),
        (
            "old labels stay in use",
            json!({ZONE_BETA: "kept"}),
            vec![term(&[(EBS, &[a])])],
            json!({ZONE_BETA: "kept", REGION_BETA: "us-east-1"}),
            vec![term(&[(ZONE_BETA, &[a]), (REGION_BETA, &["us-east-1"])])],
        ),
        ("no affinity", Value::Null, vec![], Value::Null, vec![]),
    ] {
        assert_eq!(ebs_to_in_tree(&labels, &before), (after_labels, json!(after)), "{name}");
    }
}

#[test]
fn regions_of_amazon_and_google() {
    for (driver, handle, key, zone, region) in [
        ("ebs.csi.aws.com", "v", EBS, "us-west-2a", "us-west-2"),
        ("ebs.csi.aws.com", "v", EBS, "us-gov-east-1a", "us-gov-east-1"),
        ("ebs.csi.aws.com", "v", EBS, "us-west-2-lax-1a", "us-west-2"),
        ("ebs.csi.aws.com", "v", EBS, "us-east-1-wl1-bos-wlz-1", "us-east-1"),
        (
            "pd.csi.storage.gke.io",
            "projects/p/zones/z/disks/d",
            "topology.gke.io/zone",
            "us-central1-a",
            "us-central1",
        ),
    ] {
        let source = json!({"driver": driver, "volumeHandle": handle});
        let volume = with("csi", &source, &Value::Null, &[term(&[(key, &[zone])])]);
        let (labels, _) = placed(&csi_translation::in_tree_object(volume).unwrap());
        assert_eq!(labels, json!({ZONE: zone, REGION: region}));
    }
}

#[test]
fn regions_that_cannot_be_told_fail() {
    for (terms, why) in [
        (vec![term(&[(EBS, &["us-east-1"])])], "Unexpected zone format: us-east-1 is not a valid AWS zone"),
        (vec![term(&[("x", &["y"])])], "no zones specified"),
        (
            vec![term(&[(EBS, &["us-east-1a", "us-west-2c"])])],
            "multiple or no regions gotten from zones, got: us-east-1, us-west-2",
        ),
    ] {
        let source = json!({"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"});
        let error = csi_translation::in_tree_object(with("csi", &source, &Value::Null, &terms)).unwrap_err();
        assert_eq!(error.to_string(), format!("failed to translate topology. PV: pv. Error: {why}"));
    }
}

#[test]
fn cinder_has_zones_but_no_regions() {
    let key = "topology.cinder.csi.openstack.org/zone";
    let source = json!({"driver": "cinder.csi.openstack.org", "volumeHandle": "id"});
    let volume = with("csi", &source, &Value::Null, &[term(&[(key, &["nova"])])]);
    let (labels, terms) = placed(&csi_translation::in_tree_object(volume).unwrap());
    assert_eq!((labels, terms), (json!({ZONE: "nova"}), json!([term(&[(ZONE, &["nova"])])])));
}

#[test]
fn vsphere_has_zones_and_regions() {
    let (zone, region) = ("topology.csi.vmware.com/zone", "topology.csi.vmware.com/region");
    let source = json!({"driver": "csi.vsphere.vmware.com", "volumeHandle": "id"});
    let volume = with("csi", &source, &Value::Null, &[term(&[(zone, &["b", "a"]), (region, &["r"])])]);
    let (labels, terms) = placed(&csi_translation::in_tree_object(volume).unwrap());
    assert_eq!(labels, json!({ZONE: "a", REGION: "r"}), "the first value");
    assert_eq!(terms, json!([term(&[(ZONE, &["b", "a"]), (REGION, &["r"])])]));

    let labels = json!({ZONE: "a__b", REGION: "r"});
    let volume = with("vsphereVolume", &json!({"volumePath": "p"}), &labels, &[]);
    let (_, terms) = placed(&csi_translation::csi_object(volume).unwrap());
    assert_eq!(terms, json!([term(&[(zone, &["a__b"]), (region, &["r"])])]), "labels are taken whole");
}

#[test]
fn azure_and_portworx_leave_places_alone() {
    let uri = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d";
    let terms = [term(&[(ZONE, &["a"]), ("topology.disk.csi.azure.com/zone", &["b"])])];
    for (kind, source) in [
        ("azureDisk", json!({"diskURI": uri})),
        ("portworxVolume", json!({"volumeID": "v"})),
        ("azureFile", json!({"secretName": "s", "shareName": "n", "secretNamespace": "ns"})),
    ] {
        let translated =
            csi_translation::csi_object(with(kind, &source, &json!({ZONE: "a"}), &terms)).unwrap();
        assert_eq!(placed(&translated), (json!({ZONE: "a"}), json!(terms)), "{kind}");
        let back = csi_translation::in_tree_object(translated).unwrap();
        assert_eq!(placed(&back), (json!({ZONE: "a"}), json!(terms)), "{kind}");
    }
}

#[test]
fn match_fields_are_kept() {
    let mut with_fields = term(&[(ZONE, &["a"])]);
    with_fields["matchFields"] = json!([{"key": "metadata.name", "operator": "In", "values": ["n"]}]);
    let terms = ebs_to_csi(&json!({}), &[with_fields.clone()]);
    assert_eq!(terms[0]["matchFields"], with_fields["matchFields"]);
}
