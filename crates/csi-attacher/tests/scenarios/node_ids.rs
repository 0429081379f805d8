//! Sheet 13.7: a node was made anew under its old name and has another id than at the time of the attachment.
//! `better.rs` has the test that by default everything is as upstream.

use csi_client::csi::{ListVolumesRequest, ListVolumesResponse};
use serde_json::{Value, json};
use testkit::driver::Step;

use crate::setup::{F, NODE_ID, Setup, both, detaching, pass};

const OPTION: &str = "--detach-by-annotation";

/// Was attached to the id `before`; `node1` is `nodeID1` by now.
fn attached_before(fields: Value) -> Value {
    both(detaching(json!({"metadata": {"annotations": {NODE_ID: "before"}}})), fields)
}

#[tokio::test(start_paused = true)]
async fn the_volume_is_detached_from_where_it_was_attached() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(attached_before(json!({})));
    let sidecar = setup.start(&[OPTION]);
    setup.gone().await;
    let nodes: Vec<_> = setup.unpublished().into_iter().map(|request| request.node_id).collect();
    assert_eq!(nodes, ["before"]);
    assert!((sidecar.metric("csi_attacher_node_id_conflicts_total") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn without_a_usable_annotation_the_csinode_decides() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(detaching(json!({"metadata": {"annotations": {NODE_ID: ""}}})));
    let sidecar = setup.start(&[OPTION]);
    setup.gone().await;
    assert_eq!(setup.unpublished()[0].node_id, "nodeID1");
    assert!(sidecar.metric("csi_attacher_node_id_conflicts_total") < 0.1, "there is nothing to contradict");
}

#[tokio::test(start_paused = true)]
async fn an_attachment_always_goes_to_the_node_as_it_is_now() {
    let setup = Setup::new();
    setup.volume(json!({}));
    setup.attachment(json!({"metadata": {"finalizers": [F], "annotations": {NODE_ID: "before"}}}));
    let _sidecar = setup.start(&[OPTION]);
    setup.attached().await;
    assert_eq!(setup.published()[0].node_id, "nodeID1");
    assert_eq!(setup.va()["metadata"]["annotations"][NODE_ID], "nodeID1");
}

/// What goes is compared with the driver's list under the id from which it is detached. Upstream looks for the present id, does
/// not find it, and leaves the volume on the old machine.
#[tokio::test(start_paused = true)]
async fn the_comparison_looks_where_the_volume_was_attached() {
    for (arguments, expected) in [(&[OPTION][..], vec!["before"]), (&[], Vec::new())] {
        let setup = Setup::listing();
        setup.driver.always::<ListVolumesRequest>(Step::edit(|answer: &mut ListVolumesResponse| {
            for status in answer.entries.iter_mut().filter_map(|entry| entry.status.as_mut()) {
                status.published_node_ids = vec!["before".to_owned()];
            }
        }));
        setup.volume(json!({}));
        setup.attachment(attached_before(json!({
            "metadata": {"finalizers": ["x/y"]}, "status": {"attached": false},
        })));
        let _sidecar = setup.start(arguments);
        pass(30).await;
        let nodes: Vec<_> = setup.unpublished().into_iter().map(|request| request.node_id).collect();
        assert_eq!(nodes, expected, "{arguments:?}");
    }
}
