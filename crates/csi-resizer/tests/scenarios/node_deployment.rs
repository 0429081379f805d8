//! Sheet 13.18, `--node-deployment`: a resizer on each node, for the volumes that the node can reach, under upstream's rules.

use csi_client::csi::{ControllerExpandVolumeRequest, ControllerModifyVolumeRequest, NodeGetInfoRequest};
use serde_json::{Value, json};
use sidecar_core::context::Variables;
use sidecar_testkit::{Sidecar, command_line, connector, context};
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, USER, pass, wants, whole};

const KEY: &str = "topology.foo/node";

/// The driver of the node of that name.
fn driver_on(setup: &Setup, node: &str) {
    setup.driver.configure(|config| config.topology = [(KEY.to_owned(), node.to_owned())].into());
}

/// A resizer on the node of that name.
fn start(setup: &Setup, node: &str, arguments: &[&str]) -> Sidecar {
    let context = context(&setup.server, USER, node)
        .variables(Variables::from_pairs([("NODE_NAME", node)]))
        .driver(connector(&setup.driver))
        .build();
    let arguments = command_line(&["--kube-api-qps=-1", "--node-deployment"], arguments);
    Sidecar::start(arguments, context, whole)
}

fn reachable(term: Value) -> Value {
    json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})
}

fn with_label(key: &str, value: &str) -> Value {
    reachable(json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}))
}

fn expanded(setup: &Setup) -> Vec<String> {
    let requests: Vec<ControllerExpandVolumeRequest> = setup.driver.requests();
    let mut volumes: Vec<_> = requests.into_iter().map(|request| request.volume_id).collect();
    volumes.sort();
    volumes
}

#[tokio::test(start_paused = true)]
async fn each_node_expands_its_own_volumes() {
    let setup = Setup::without_nodes();
    setup.bound("one", "1Gi", &wants("2Gi"), &with_label(KEY, "n1"));
    setup.bound("two", "1Gi", &wants("2Gi"), &with_label(KEY, "n2"));
    driver_on(&setup, "n1");
    let first = start(&setup, "n1", &[]);
    pass(1200).await;
    assert_eq!(expanded(&setup), ["vol-one"], "also after a resync");
    assert_eq!((setup.capacity("one"), setup.capacity("two")), ("2Gi".to_owned(), "1Gi".to_owned()));
    assert_eq!(setup.driver.count::<NodeGetInfoRequest>(), 1);
    driver_on(&setup, "n2");
    let second = start(&setup, "n2", &[]);
    pass(30).await;
    assert_eq!(expanded(&setup), ["vol-one", "vol-two"]);
    assert_eq!(setup.capacity("two"), "2Gi");
    assert!(first.is_running() && second.is_running());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_without_reading_nodes_is_left_alone() {
    let setup = Setup::without_nodes();
    setup.bound("free", "1Gi", &wants("2Gi"), &json!({}));
    setup.bound("foreign", "1Gi", &wants("2Gi"), &with_label("kubernetes.io/hostname", "n1"));
    let named = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]});
    setup.bound("named", "1Gi", &wants("2Gi"), &reachable(named));
    // A driver without topology.
    let _sidecar = start(&setup, "n1", &[]);
    pass(30).await;
    assert_eq!(expanded(&setup), ["vol-named"]);
}

#[tokio::test(start_paused = true)]
async fn each_node_modifies_its_own_volumes() {
    let setup = Setup::without_nodes();
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttributesClass", "metadata": {"name": "gold"},
        "driverName": "foo", "parameters": {"iops": "5"},
    });
    setup.server.create(&class).unwrap();
    let gold = json!({"spec": {"volumeAttributesClassName": "gold"}});
    setup.bound("one", "1Gi", &gold, &with_label(KEY, "n1"));
    setup.bound("two", "1Gi", &gold, &with_label(KEY, "n2"));
    driver_on(&setup, "n1");
    let _sidecar = start(&setup, "n1", &[]);
    pass(30).await;
    let requests: Vec<ControllerModifyVolumeRequest> = setup.driver.requests();
    let volumes: Vec<_> = requests.iter().map(|request| &*request.volume_id).collect();
    assert_eq!(volumes, ["vol-one"]);
}

#[tokio::test(start_paused = true)]
async fn without_the_flag_nobody_asks_for_the_node() {
    let setup = Setup::without_nodes();
    setup.bound("one", "1Gi", &wants("2Gi"), &with_label(KEY, "n2"));
    let _sidecar = setup.start(&[]);
    pass(30).await;
    assert_eq!((expanded(&setup).len(), setup.driver.count::<NodeGetInfoRequest>()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_and_a_resizer_on_each_node_exclude_each_other() {
    let setup = Setup::without_nodes();
    start(&setup, "n1", &["--leader-election"]).ends_with(1, "exclude each other").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_does_not_know_its_node_ends_the_resizer() {
    let setup = Setup::without_nodes();
    setup.driver.always::<NodeGetInfoRequest>(Step::fail(Code::Unimplemented, "no node service"));
    start(&setup, "n1", &[]).ends_with(1, "no node service").await;
}
