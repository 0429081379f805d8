//! Sheet 11, table Deletion.

use serde_json::{Value, json};
use snapshot_api::names::annotations::BEING_DELETED;

use crate::setup::{
    AS_SOURCE, BOUND, CONTENT_BOUND, ON_CLAIM, PVC, Setup, VS, VSC, cut_status, pass, strings, text,
};

/// Upstream's finalizers and a foreign one, so that the object stays to be looked at.
fn held() -> Value {
    json!({"metadata": {"finalizers": ["example.com/held", AS_SOURCE, BOUND]}})
}

fn is_marked(setup: &Setup, content: &str) -> bool {
    setup.get(VSC, content)["metadata"]["annotations"][BEING_DELETED] == "yes"
}

/// A snapshot `snap` that is ready and bound to a content of this policy, dynamic or by hand; the content's name.
fn ready(setup: &Setup, policy: &str, dynamic: bool) -> String {
    if setup.get(PVC, "claim").is_null() {
        setup.claim("claim");
    }
    let spec = json!({"spec": {"deletionPolicy": policy}, "status": cut_status("content", true)});
    let name = if dynamic {
        let snapshot = setup.snapshot("snap", "claim", &held());
        text(&setup.content_of(&snapshot, "claim", &spec)["metadata"]["name"])
    } else {
        let mut overlay = held();
        overlay["spec"]["source"] =
            json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": "content"});
        let snapshot = setup.snapshot("snap", "claim", &overlay);
        let mut spec = spec;
        spec["spec"]["volumeSnapshotRef"] = json!({"uid": snapshot["metadata"]["uid"]});
        spec["metadata"] = json!({"finalizers": [CONTENT_BOUND]});
        setup.content_by_hand("content", "snap", &spec);
        "content".to_owned()
    };
    let status = json!({
        "boundVolumeSnapshotContentName": name, "readyToUse": true, "creationTime": "2026-11-21T05:00:00Z",
        "restoreSize": "1Gi",
    });
    setup.patch_status(VS, "snap", &status);
    name
}

async fn until_released(setup: &Setup) {
    setup
        .until("only the foreign finalizer is left", || setup.finalizers(VS, "snap") == ["example.com/held"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn row_1_1_content_uid_empty_vs_deleting() {
    let setup = Setup::new();
    setup.content_by_hand("content", "snap", &json!({}));
    let mut overlay = held();
    overlay["spec"]["source"] =
        json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": "content"});
    setup.snapshot("snap", "", &overlay);
    setup.delete(VS, "snap");
    let before = setup.get(VSC, "content");
    let _controller = setup.start(&[]);
    until_released(&setup).await;
    pass(60).await;
    assert_eq!(setup.get(VSC, "content"), before);
}

#[tokio::test(start_paused = true)]
async fn row_1_2_vsc_gone_from_the_api_vs_absent() {
    let setup = Setup::new();
    let snapshot = json!({"metadata": {"name": "absent", "uid": "uid"}});
    let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
    let controller = setup.start(&[]);
    pass(5).await;
    setup.patch(VSC, &name, &json!({"metadata": {"finalizers": null}}));
    setup.delete(VSC, &name);
    pass(60).await;
    assert!(controller.is_running());
    assert!(setup.calls().iter().all(|call| call.ends_with(" 200")), "{:?}", setup.calls());
}

#[tokio::test(start_paused = true)]
async fn row_1_3_content_uid_differs() {
    let setup = Setup::new();
    let name = ready(&setup, "Delete", true);
    setup.patch(VSC, &name, &json!({"spec": {"volumeSnapshotRef": {"uid": "other"}}}));
    setup.delete(VS, "snap");
    let _controller = setup.start(&[]);
    until_released(&setup).await;
    assert!(!is_marked(&setup, &name));
}

#[tokio::test(start_paused = true)]
async fn row_3_1a_pending_pvc_restoring() {
    let fields = [
        json!({"dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": VS, "name": "snap"}}),
        json!({"dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": VS, "name": "snap"}}),
    ];
    for source in fields {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", true);
        let mut restoring = testkit::manifests::claim("restoring", "class");
        crate::setup::merge(&mut restoring["spec"], &source);
        setup.create(&restoring);
        setup.delete(VS, "snap");
        let before = (setup.vs("snap"), setup.get(VSC, &name));
        let _sidecar = setup.play_sidecar();
        let _controller = setup.start(&[]);
        setup.event("snap", "SnapshotDeletePending", "Snapshot is being used to restore a PVC").await;
        pass(1000).await;
        assert_eq!((setup.vs("snap"), setup.get(VSC, &name)), before);
        // What it waits for wakes it; upstream waits for its back-off.
        setup.patch_status(PVC, "restoring", &json!({"phase": "Bound"}));
        pass(1).await;
        assert!(setup.get(VSC, &name).is_null(), "{}", setup.story());
    }
}

#[tokio::test(start_paused = true)]
async fn row_3_1_3_7_delete_policy_dynamic_and_static() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", dynamic);
        setup.delete(VS, "snap");
        let _controller = setup.start(&[]);
        setup
            .until("the content is deleted", || {
                !setup.get(VSC, &name)["metadata"]["deletionTimestamp"].is_null()
            })
            .await;
        assert!(is_marked(&setup, &name));
        pass(60).await;
        // Upstream has taken off the first of the two by now, with a write of its own.
        assert_eq!(setup.finalizers(VS, "snap"), ["example.com/held", AS_SOURCE, BOUND]);
        let _sidecar = setup.play_sidecar();
        until_released(&setup).await;
        assert!(setup.get(VSC, &name).is_null());
    }
}

#[tokio::test(start_paused = true)]
async fn row_3_2_3_8_vsc_delete_api_error() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", dynamic);
        setup.delete(VS, "snap");
        setup.refuse("delete", "volumesnapshotcontents", "mock delete error");
        let _controller = setup.start(&[]);
        let message = "Failed to delete snapshot content API object";
        setup.event("snap", "SnapshotContentObjectDeleteError", message).await;
        assert!(is_marked(&setup, &name));
        assert_eq!(setup.finalizers(VS, "snap"), ["example.com/held", AS_SOURCE, BOUND]);
    }
}

#[tokio::test(start_paused = true)]
async fn row_3_3_3_9_5_5_5_8_retain() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Retain", dynamic);
        setup.delete(VS, "snap");
        let _controller = setup.start(&[]);
        until_released(&setup).await;
        assert!(is_marked(&setup, &name));
        pass(60).await;
        assert!(setup.get(VSC, &name)["metadata"]["deletionTimestamp"].is_null());
    }
}

#[tokio::test(start_paused = true)]
async fn row_3_4_3_10_no_content() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", dynamic);
        setup.patch(VSC, &name, &json!({"metadata": {"finalizers": null}}));
        setup.delete(VSC, &name);
        setup.delete(VS, "snap");
        let _controller = setup.start(&[]);
        until_released(&setup).await;
    }
}

#[tokio::test(start_paused = true)]
async fn row_3_5_3_6_3_11_3_12_content_of_another_vs() {
    for dynamic in [true, false] {
        for other in [json!({"uid": "other"}), json!({"name": "other"}), json!({"namespace": "other"})] {
            let setup = Setup::new();
            let name = ready(&setup, "Delete", dynamic);
            setup.patch(VSC, &name, &json!({"spec": {"volumeSnapshotRef": other}}));
            setup.delete(VS, "snap");
            let before = setup.get(VSC, &name);
            let _controller = setup.start(&[]);
            until_released(&setup).await;
            pass(60).await;
            assert_eq!(setup.get(VSC, &name), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_5_1_vsc_without_finalizer() {
    let setup = Setup::new();
    let name = ready(&setup, "Delete", true);
    setup.patch(VSC, &name, &json!({"metadata": {"finalizers": ["a/b"]}}));
    let _controller = setup.start(&[]);
    let finalizers = || strings(&setup.get(VSC, &name)["metadata"]["finalizers"]);
    setup.until("it has it", || finalizers() == ["a/b", CONTENT_BOUND]).await;
}

#[tokio::test(start_paused = true)]
async fn row_5_2_that_patch_fails() {
    let setup = Setup::new();
    let name = ready(&setup, "Delete", true);
    setup.patch(VSC, &name, &json!({"metadata": {"finalizers": null}}));
    setup.refuse("patch", "volumesnapshotcontents", "no");
    let _controller = setup.start(&[]);
    pass(20).await;
    assert!(setup.get(VSC, &name)["metadata"]["finalizers"].is_null());
    assert!(setup.server.count("patch", "volumesnapshotcontents") > 2, "it is tried again");
    setup.server.pass();
    setup.until("it has it", || !setup.get(VSC, &name)["metadata"]["finalizers"].is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn row_5_3_5_6_sync_content_vs_deleting_with_finalizers() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", dynamic);
        setup.delete(VS, "snap");
        let _controller = setup.start(&[]);
        setup.until("it is marked", || is_marked(&setup, &name)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn row_5_4_5_7_that_patch_fails() {
    for dynamic in [true, false] {
        let setup = Setup::new();
        let name = ready(&setup, "Delete", dynamic);
        setup.delete(VS, "snap");
        setup.refuse("patch", "volumesnapshotcontents", "no");
        let _controller = setup.start(&[]);
        pass(20).await;
        // Upstream takes it for marked from then on, and deletes it.
        assert!(!is_marked(&setup, &name));
        assert!(setup.get(VSC, &name)["metadata"]["deletionTimestamp"].is_null());
        setup.server.pass();
        setup.until("it is marked", || is_marked(&setup, &name)).await;
    }
}

fn on_claim(setup: &Setup) -> bool {
    setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())
}

#[tokio::test(start_paused = true)]
async fn row_fin_1_pvc_finalizer_add_already_there_remove_already_removed_in_use() {
    let setup = Setup::new();
    setup.claim_with("claim", &json!({"metadata": {"labels": {"kept": "yes"}}}), &json!({}));
    let _controller = setup.start(&[]);
    setup.snapshot("one", "claim", &json!({}));
    setup.until("it is added", || on_claim(&setup)).await;
    assert_eq!(setup.get(PVC, "claim")["metadata"]["labels"], json!({"kept": "yes"}));
    // Already there.
    setup.snapshot("two", "claim", &json!({}));
    setup
        .until("both are bound", || !setup.content("one").is_null() && !setup.content("two").is_null())
        .await;
    assert_eq!(setup.server.count("update", "persistentvolumeclaims"), 1);
    // In use by the other.
    setup.cut(&text(&setup.content("one")["metadata"]["name"]), true);
    setup.until_ready("one").await;
    pass(60).await;
    assert!(on_claim(&setup));
    // Remove.
    setup.cut(&text(&setup.content("two")["metadata"]["name"]), true);
    setup.until("it is removed", || !on_claim(&setup)).await;
    // Already removed.
    pass(60).await;
    assert_eq!(setup.server.count("update", "persistentvolumeclaims"), 2);
    assert_eq!(
        setup.server.count("get", "persistentvolumeclaims"),
        1,
        "what the first write returned is kept"
    );
}

#[tokio::test(start_paused = true)]
async fn row_fin_2_vs_finalizers_none_one_present_removal() {
    for present in [json!(null), json!(["a/b"]), json!([AS_SOURCE]), json!([BOUND, "a/b"])] {
        let setup = Setup::new();
        setup.claim("claim");
        let _sidecar = setup.play_sidecar();
        let _controller = setup.start(&[]);
        setup.snapshot("snap", "claim", &json!({"metadata": {"finalizers": present}}));
        setup.until_ready("snap").await;
        let mut expected = strings(&present);
        for ours in [AS_SOURCE, BOUND] {
            if !expected.contains(&ours.to_owned()) {
                expected.push(ours.to_owned());
            }
        }
        assert_eq!(setup.finalizers(VS, "snap"), expected);
        setup.delete(VS, "snap");
        setup
            .until("ours are removed", || {
                setup.finalizers(VS, "snap").iter().all(|finalizer| finalizer == "a/b")
            })
            .await;
        let foreign = strings(&present).contains(&"a/b".to_owned());
        assert_eq!(setup.vs("snap").is_null(), !foreign);
    }
}
