//! Sheet 11, row node; and 13.6: nodes that come later.

use serde_json::{Value, json};

use crate::setup::Setup;

fn affinity(terms: &Value) -> Value {
    json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
}

fn label(setup: &Setup) -> Value {
    setup.content("snap")["metadata"]["labels"]["snapshot.storage.kubernetes.io/managed-by"].clone()
}

async fn labelled(terms: &Value, expected: &Value) {
    let setup = Setup::new();
    setup.create(&testkit::manifests::node("node0"));
    setup.create(&testkit::manifests::node("node1"));
    setup.claim_with("claim", &json!({}), &if terms.is_null() { json!({}) } else { affinity(terms) });
    let _controller = setup.start(&["--enable-distributed-snapshotting"]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(label(&setup), *expected, "{terms}");
}

#[tokio::test(start_paused = true)]
async fn row_node_matching_node_affinity_or_none() {
    let host = |operator: &str, values: Value| json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": operator, "values": values}]}]);
    labelled(&host("In", json!(["node1"])), &json!("node1")).await;
    labelled(&host("In", json!(["node2"])), &Value::Null).await;
    labelled(&host("NotIn", json!(["node0"])), &json!("node1")).await;
    labelled(&host("Exists", json!([])), &json!("node0")).await;
    labelled(
        &json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node1"]}]}]),
        &json!("node1"),
    )
    .await;
    let two = json!([
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["none"]}]},
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}]},
    ]);
    labelled(&two, &json!("node1")).await;
    labelled(&Value::Null, &Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_flag_no_node_is_looked_at() {
    let setup = Setup::new();
    setup.create(&testkit::manifests::node("node1"));
    let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]);
    setup.claim_with("claim", &json!({}), &affinity(&terms));
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(label(&setup), Value::Null);
    assert_eq!(setup.server.count("list", "nodes") + setup.server.count("watch", "nodes"), 0);
}

/// With upstream nobody is in charge of a group, nor of its members.
#[tokio::test(start_paused = true)]
async fn the_node_that_reaches_all_volumes_of_a_group_is_put_in_charge_of_it_and_its_members() {
    use crate::groups::{class, content_of_group, cut, group, labelled};
    let setup = Setup::new();
    class(&setup, "group", "Delete", &json!({}));
    for name in ["node0", "node1", "node2"] {
        setup.create(&testkit::manifests::node(name));
    }
    for (name, nodes) in [("a", ["node0", "node1"]), ("b", ["node1", "node2"])] {
        let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}]}]);
        setup.claim_with(name, &labelled(), &affinity(&terms));
    }
    let _controller = setup.start(&["--enable-distributed-snapshotting"]);
    group(&setup, &json!({}));
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    let labels = json!({"snapshot.storage.kubernetes.io/managed-by": "node1"});
    assert_eq!(content_of_group(&setup)["metadata"]["labels"], labels);
    cut(&setup, true);
    let contents = || setup.server.list("VolumeSnapshotContent");
    setup.until("there are members", || contents().len() == 2).await;
    assert!(contents().iter().all(|content| content["metadata"]["labels"] == labels));
}

/// Upstream leaves the content to nobody for ever.
#[tokio::test(start_paused = true)]
async fn a_node_that_comes_later_is_put_in_charge() {
    let setup = Setup::new();
    let terms = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}]}]);
    setup.claim_with("claim", &json!({}), &affinity(&terms));
    let _controller = setup.start(&["--enable-distributed-snapshotting"]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(label(&setup), Value::Null);
    setup.create(&testkit::manifests::node("node1"));
    setup.until("it has a node", || label(&setup) == "node1").await;
}
