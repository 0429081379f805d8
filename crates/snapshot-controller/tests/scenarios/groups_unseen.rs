//! Snapshots and groups that only seem to belong together, or only seem not to.

use serde_json::{Value, json};

use crate::groups::setup;
use crate::members::made;
use crate::setup::{Setup, VGS, VGSC, VS, VSC, pass, text};

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

/// A 404 for the kind is none for the object: the group may be there in a version that is not served.
#[tokio::test(start_paused = true)]
async fn a_member_is_kept_while_the_api_server_does_not_serve_groups() {
    for kinds in [[VGS].as_slice(), &[VGS, VGSC, "VolumeGroupSnapshotClass"]] {
        let setup = setup();
        let controller = setup.start(&[]);
        let names = made(&setup).await;
        drop(controller);
        let content = text(&setup.content(&names[0])["metadata"]["name"]);
        for kind in kinds {
            setup.server.hide(kind);
        }
        setup.delete(VS, &names[0]);
        let _sidecar = setup.play_sidecar();
        let _controller = setup.start(&[]);
        let message = format!(
            "deletion of the volume snapshot default/{} waits, as it belongs to group snapshot default/group and the API \
             server does not say whether that is still there: it does not serve groupsnapshot.storage.k8s.io/v1 \
             VolumeGroupSnapshot",
            names[0]
        );
        setup.event(&names[0], "SnapshotDeletePending", &message).await;
        pass(30).await;
        assert!(
            !setup.vs(&names[0]).is_null()
                && setup.get(VSC, &content)["metadata"]["deletionTimestamp"].is_null()
        );
        // Its kind is served again, and it is gone meanwhile.
        setup.server.install("groupsnapshot.storage.k8s.io");
        setup.patch(VGS, "group", &json!({"metadata": {"finalizers": null}}));
        setup.delete(VGS, "group");
        setup.until_gone(VS, &names[0]).await;
        setup.until_gone(VSC, &content).await;
    }
}
