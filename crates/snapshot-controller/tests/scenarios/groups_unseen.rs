//! Snapshots and groups that only seem to belong together, or only seem not to.

use serde_json::{Value, json};

use crate::groups::setup;
use crate::members::made;
use crate::setup::{Setup, VGS, VS, pass};

const ELSEWHERE: &str = "elsewhere";

/// A snapshot in another namespace that has been made by hand for a part of the group with the handle `g`.
fn made_by_hand(setup: &Setup, name: &str, status: &Value) {
    setup.content_by_hand(
        name,
        name,
        &json!({
            "spec": {"volumeSnapshotRef": {"namespace": ELSEWHERE}},
            "status": {"snapshotHandle": "s", "readyToUse": true, "volumeGroupSnapshotHandle": "g", "creationTime": 0},
        }),
    );
    let source = json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": name});
    let overlay = json!({"metadata": {"namespace": ELSEWHERE}, "spec": {"source": source}, "status": status});
    setup.snapshot(name, "", &overlay);
}

fn elsewhere(setup: &Setup, name: &str) -> Value {
    setup.server.get(VS, ELSEWHERE, name).unwrap()
}

/// Upstream writes the name of the group down wherever that group is, and then has the group of that name own the snapshot. Who
/// deletes that one deletes the snapshot with it.
#[tokio::test(start_paused = true)]
async fn a_group_of_another_namespace_is_not_taken_for_one_of_the_same_name() {
    let setup = setup();
    setup.server.add_namespace(ELSEWHERE);
    let _controller = setup.start(&[]);
    made(&setup).await;
    setup.create(&json!({
        "apiVersion": "groupsnapshot.storage.k8s.io/v1", "kind": VGS,
        "metadata": {"name": "group", "namespace": ELSEWHERE},
        "spec": {"source": {"volumeGroupSnapshotContentName": "unrelated"}},
    }));
    pass(5).await;
    // The second one as upstream has left it.
    made_by_hand(&setup, "new", &Value::Null);
    made_by_hand(&setup, "old", &json!({"volumeGroupSnapshotName": "group"}));
    for name in ["new", "old"] {
        setup.until("it is ready", || elsewhere(&setup, name)["status"]["readyToUse"] == true).await;
    }
    pass(60).await;
    assert!(elsewhere(&setup, "new")["status"]["volumeGroupSnapshotName"].is_null());
    for name in ["new", "old"] {
        assert!(
            elsewhere(&setup, name)["metadata"]["ownerReferences"].is_null(),
            "{}",
            elsewhere(&setup, name)
        );
    }
}
