//! Sheet 11, table VS.

use serde_json::{Value, json};
use snapshot_api::names::annotations;

use crate::setup::{AS_SOURCE, BOUND, ON_CLAIM, PVC, Setup, VS, VSC, cut_status, pass, sum, text};

/// A snapshot whose content is missing, be it ready or not.
fn bound_to(name: &str, ready: bool) -> Value {
    json!({
        "metadata": {"finalizers": [AS_SOURCE, BOUND]},
        "status": {"boundVolumeSnapshotContentName": name, "readyToUse": ready, "creationTime": "2026-11-21T05:00:00Z"},
    })
}

fn by_hand(content: &str) -> Value {
    json!({"spec": {
        "source": {"persistentVolumeClaimName": null, "volumeSnapshotContentName": content},
    }})
}

fn both(one: &Value, other: &Value) -> Value {
    sum(&[one, other])
}

#[tokio::test(start_paused = true)]
async fn row_6_1_dynamic_class_ok_pvc_bound() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    let content = setup.content("snap");
    let uid = text(&snapshot["metadata"]["uid"]);
    assert_eq!(content["metadata"]["name"], format!("snapcontent-{uid}"));
    assert_eq!(content["status"], Value::Null);
    // Upstream adds the finalizer with a second write.
    assert_eq!(
        content["spec"],
        json!({
            "deletionPolicy": "Delete", "driver": "csi-mock-plugin", "source": {"volumeHandle": "vol-claim"},
            "sourceVolumeMode": "Filesystem", "volumeSnapshotClassName": "class",
            "volumeSnapshotRef": {
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": VS, "name": "snap", "namespace": "default", "uid": uid,
                "resourceVersion": content["spec"]["volumeSnapshotRef"]["resourceVersion"],
            },
        })
    );
    assert!(content["spec"]["volumeSnapshotRef"]["resourceVersion"].is_string());
    assert!(content["metadata"]["annotations"].is_null() && content["metadata"]["labels"].is_null());
    assert_eq!(setup.status("snap")["readyToUse"], false);
    assert!(setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned()));
    let message = "Waiting for a snapshot default/snap to be created by the CSI driver.";
    setup.event("snap", "CreatingSnapshot", message).await;
}

#[tokio::test(start_paused = true)]
async fn row_6_2_class_with_secret() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({"spec": {"volumeSnapshotClassName": "secret"}}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    assert_eq!(
        setup.content("snap")["metadata"]["annotations"],
        json!({annotations::SECRET_NAME: "secret", annotations::SECRET_NAMESPACE: "default"})
    );
}

/// Starts with what `prepare` makes, and expects this error, and the event about it.
async fn fails(prepare: impl Fn(&Setup), error: &str) {
    let setup = Setup::new();
    prepare(&setup);
    let _controller = setup.start(&[]);
    let message = format!("Failed to create snapshot content with error {error}");
    setup.until_error("snap", &message).await;
    setup.event("snap", "SnapshotContentCreationFailed", &message).await;
    assert_eq!(setup.status("snap")["readyToUse"], false);
    assert!(setup.server.list(VSC).is_empty());
    pass(900).await;
    assert_eq!(setup.reasons("snap").iter().filter(|r| *r == "SnapshotContentCreationFailed").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn row_7_4_and_2_9_pvc_missing() {
    let error = "snapshot controller failed to update snap on API server: cannot get claim from snapshot";
    fails(|setup| drop(setup.snapshot("snap", "claim", &json!({}))), error).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_5_pv_missing() {
    let prepare = |setup: &Setup| {
        setup.claim("claim");
        setup.delete("PersistentVolume", "pv-claim");
        setup.snapshot("snap", "claim", &json!({}));
    };
    let error = r#"failed to get input parameters to create snapshot snap: "failed to retrieve PV pv-claim from the API server: \"persistentvolumes \\\"pv-claim\\\" not found\"""#;
    fails(prepare, error).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_6_pvc_pending() {
    let prepare = |setup: &Setup| {
        setup.claim_with("claim", &json!({"status": {"phase": "Pending"}}), &json!({}));
        setup.snapshot("snap", "claim", &json!({}));
    };
    let error = r#"failed to get input parameters to create snapshot snap: "the PVC claim is not yet bound to a PV, will not attempt to take a snapshot""#;
    fails(prepare, error).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_10_only_secret_name_given() {
    let prepare = |setup: &Setup| {
        setup.claim("claim");
        let half = json!({"parameters": {"csi.storage.k8s.io/snapshotter-secret-name": "secret"}});
        setup.class("half", "Delete", &half);
        setup.snapshot("snap", "claim", &json!({"spec": {"volumeSnapshotClassName": "half"}}));
    };
    let error = r#"failed to get input parameters to create snapshot snap: "failed to get name and namespace template from params: either name and namespace for Snapshotter secrets specified, Both must be specified""#;
    fails(prepare, error).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_11_vsc_create_fails() {
    let prepare = |setup: &Setup| {
        setup.claim("claim");
        setup.snapshot("snap", "claim", &json!({}));
        setup.refuse("create", "volumesnapshotcontents", "mock create error");
    };
    let error = "snapshot controller failed to update default/snap on API server: Internal error occurred: mock create error";
    fails(prepare, error).await;
    let setup = Setup::new();
    prepare(&setup);
    let _controller = setup.start(&[]);
    let message = "Error creating volume snapshot content object for snapshot default/snap: Internal error occurred: mock create error.";
    setup.event("snap", "CreateSnapshotContentFailed", message).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_7_pvc_finalizer_removal_fails() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is protected", || setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
    setup.refuse("update", "persistentvolumeclaims", "no");
    let _sidecar = setup.play_sidecar();
    setup.until_ready("snap").await;
    let message = "Error check and remove PVC Finalizer for VolumeSnapshot";
    setup.event("snap", "ErrorPVCFinalizer", message).await;
    let before = (setup.vs("snap"), setup.content("snap"));
    pass(60).await;
    assert_eq!((setup.vs("snap"), setup.content("snap")), before);
    // Upstream tries again only when something happens.
    setup.server.pass();
    setup.until("it is released", || !setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
}

#[tokio::test(start_paused = true)]
async fn row_7_9_vsc_created_vs_status_put_fails_repeatedly() {
    let setup = Setup::new();
    setup.claim("claim");
    setup.refuse("patch", "volumesnapshots/status", "no");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("there is a content", || !setup.server.list(VSC).is_empty()).await;
    pass(60).await;
    assert_eq!(setup.status("snap"), Value::Null);
    assert_eq!(setup.server.list(VSC).len(), 1);
    let message = "Snapshot status update failed, snapshot controller failed to update default/snap on API server: Internal error occurred: no";
    setup.event("snap", "SnapshotStatusUpdateFailed", message).await;
    setup.server.pass();
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn row_2_1_3_1_3_2_ready_vs_content_gone_dynamic_and_static() {
    for source in [json!({}), by_hand("gone")] {
        let setup = Setup::new();
        setup.claim("claim");
        setup.snapshot("snap", "claim", &both(&source, &bound_to("gone", true)));
        let _controller = setup.start(&[]);
        setup.until_error("snap", "VolumeSnapshotContent is missing").await;
        assert_eq!(setup.status("snap")["readyToUse"], false);
        setup.event("snap", "SnapshotContentMissing", "VolumeSnapshotContent is missing").await;
        // It is not cut again, at another time, under the same name.
        pass(900).await;
        assert!(setup.server.list(VSC).is_empty());
        assert_eq!(setup.reasons("snap"), ["SnapshotContentMissing"]);
    }
}

#[tokio::test(start_paused = true)]
async fn row_2_2_2_10_3_4_3_6_content_ref_uid_differs_unready_and_ready_static_and_dynamic() {
    for ready in [false, true] {
        for dynamic in [false, true] {
            let setup = Setup::new();
            setup.claim("claim");
            let other = json!({"spec": {"volumeSnapshotRef": {"uid": "other-uid"}}});
            let name = if dynamic {
                let snapshot = setup.snapshot("snap", "claim", &json!({}));
                text(&setup.content_of(&snapshot, "claim", &other)["metadata"]["name"])
            } else {
                setup.content_by_hand("content", "snap", &other);
                setup.snapshot("snap", "claim", &by_hand("content"));
                "content".to_owned()
            };
            if ready {
                setup.patch_status(VS, "snap", &bound_to(&name, true)["status"]);
            }
            let content = setup.get(VSC, &name);
            let _controller = setup.start(&[]);
            let message = format!("VolumeSnapshotContent [{name}] is bound to a different snapshot");
            setup.until_error("snap", &message).await;
            setup.event("snap", "SnapshotContentMisbound", &message).await;
            let finalizers = format!("Failed to check and update snapshot: {message}");
            setup.event("snap", "SnapshotFinalizerError", &finalizers).await;
            assert_eq!(setup.status("snap")["readyToUse"], false);
            pass(60).await;
            assert_eq!(setup.get(VSC, &name)["spec"], content["spec"], "it is another's");
            assert!(setup.get(VSC, &name)["metadata"]["annotations"].is_null());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn row_2_3_unready_vs_content_ready() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
    setup.cut(&name, true);
    let _controller = setup.start(&[]);
    setup.until_ready("snap").await;
    assert_eq!(setup.status("snap")["boundVolumeSnapshotContentName"], name);
    setup
        .event("snap", "SnapshotCreated", "Snapshot default/snap was successfully created by the CSI driver.")
        .await;
    setup.event("snap", "SnapshotReady", "Snapshot default/snap is ready to use.").await;
}

#[tokio::test(start_paused = true)]
async fn row_2_4_2_14_3_3_3_5_ready_and_consistent() {
    for dynamic in [false, true] {
        let setup = Setup::new();
        setup.claim("claim");
        let _sidecar = setup.play_sidecar();
        let controller = setup.start(&[]);
        if dynamic {
            setup.snapshot("snap", "claim", &json!({}));
        } else {
            setup.content_by_hand("content", "snap", &json!({}));
            setup.snapshot("snap", "claim", &by_hand("content"));
        }
        setup.until_ready("snap").await;
        pass(5).await;
        drop(controller);
        setup.server.forget_calls();
        let before = (setup.vs("snap"), setup.content("snap"));
        let _another = setup.start(&["--resync-period=1m"]);
        pass(900).await;
        assert_eq!(setup.calls(), [] as [&str; 0]);
        assert_eq!((setup.vs("snap"), setup.content("snap")), before);
    }
}

#[tokio::test(start_paused = true)]
async fn row_2_5_content_not_ready() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
    setup.cut(&name, false);
    let _controller = setup.start(&[]);
    setup.until("it is bound", || setup.status("snap")["boundVolumeSnapshotContentName"] == name).await;
    pass(60).await;
    assert_eq!(setup.status("snap")["readyToUse"], false);
    assert_eq!(setup.reasons("snap"), ["SnapshotCreated"]);
    setup.cut(&name, true);
    setup.until_ready("snap").await;
}

#[tokio::test(start_paused = true)]
async fn row_2_6_static_content_with_empty_uid() {
    let setup = Setup::new();
    setup.content_by_hand("content", "snap", &json!({"status": cut_status("content", true)}));
    let snapshot = setup.snapshot("snap", "", &by_hand("content"));
    let _controller = setup.start(&[]);
    setup.until_ready("snap").await;
    let content = setup.content("snap");
    assert_eq!(content["spec"]["volumeSnapshotRef"]["uid"], snapshot["metadata"]["uid"]);
    assert_eq!(content["metadata"]["finalizers"], json!([crate::setup::CONTENT_BOUND]));
    assert_eq!(setup.finalizers(VS, "snap"), [AS_SOURCE, BOUND]);
    assert_eq!(setup.writes().len(), 3, "{:?}", setup.writes());
}

#[tokio::test(start_paused = true)]
async fn row_2_8_vs_without_finalizers_finalizer_put_fails() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    setup.refuse("patch", "volumesnapshots", "no");
    let _controller = setup.start(&[]);
    let message = "Failed to check and update snapshot: Internal error occurred: no";
    setup.event("snap", "SnapshotFinalizerError", message).await;
    assert_eq!(setup.vs("snap"), snapshot);
    assert!(setup.server.list(VSC).is_empty());
}

#[tokio::test(start_paused = true)]
async fn row_2_11_static_content_uid_set_class_nil() {
    let setup = Setup::new();
    let snapshot = setup.snapshot("snap", "", &by_hand("content"));
    let uid = json!({"spec": {"volumeSnapshotRef": {"uid": snapshot["metadata"]["uid"]}}});
    setup.content_by_hand("content", "snap", &both(&uid, &json!({"status": cut_status("content", true)})));
    let _controller = setup.start(&[]);
    setup.until_ready("snap").await;
    assert_eq!(setup.content("snap")["spec"]["volumeSnapshotClassName"], "class");
}

#[tokio::test(start_paused = true)]
async fn row_2_12_that_patch_fails() {
    let setup = Setup::new();
    setup.snapshot("snap", "", &by_hand("content"));
    setup.content_by_hand("content", "snap", &json!({"status": cut_status("content", true)}));
    setup.refuse("patch", "volumesnapshotcontents", "mock update error");
    let _controller = setup.start(&[]);
    let message = "Snapshot failed to bind VolumeSnapshotContent, Internal error occurred: mock update error";
    setup.until_error("snap", message).await;
    setup.event("snap", "SnapshotBindFailed", message).await;
    assert_eq!(setup.status("snap")["readyToUse"], false);
}

#[tokio::test(start_paused = true)]
async fn row_2_13_dynamic_vs_but_its_content_is_static() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    let uid = text(&snapshot["metadata"]["uid"]);
    let name = format!("snapcontent-{uid}");
    setup.content_by_hand(&name, "snap", &json!({"spec": {"volumeSnapshotRef": {"uid": uid}}}));
    let _controller = setup.start(&[]);
    let message = format!(
        "VolumeSnapshotContent {name} is pre-provisioned while expecting a dynamically provisioned one"
    );
    setup.until_error("snap", &message).await;
    setup.event("snap", "SnapshotContentMismatch", &message).await;
    let finalizers = format!(
        "Failed to check and update snapshot: snapshot default/snap expects a dynamically provisioned VolumeSnapshotContent {name} but gets a pre-provisioned one"
    );
    setup.event("snap", "SnapshotFinalizerError", &finalizers).await;
}

#[tokio::test(start_paused = true)]
async fn row_4_1_to_4_4_status_nil_or_partially_missing() {
    let parts = [
        json!({}),
        json!({"boundVolumeSnapshotContentName": true}),
        json!({"boundVolumeSnapshotContentName": true, "creationTime": "2026-11-21T05:00:00Z"}),
        json!({"boundVolumeSnapshotContentName": true, "restoreSize": "0"}),
    ];
    for part in parts {
        let setup = Setup::new();
        setup.claim("claim");
        let snapshot = setup.snapshot("snap", "claim", &json!({}));
        let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
        setup.cut(&name, true);
        let mut part = part;
        if !part["boundVolumeSnapshotContentName"].is_null() {
            part["boundVolumeSnapshotContentName"] = json!(name);
        }
        setup.patch_status(VS, "snap", &part);
        let _controller = setup.start(&[]);
        setup.until_ready("snap").await;
        assert_eq!(
            setup.status("snap"),
            json!({
                "boundVolumeSnapshotContentName": name, "creationTime": "2026-11-21T05:00:00Z",
                "readyToUse": true, "restoreSize": "1Gi",
            })
        );
    }
}

fn error(message: &str) -> Value {
    json!({"error": {"message": message, "time": "2026-11-21T05:00:00Z"}})
}

#[tokio::test(start_paused = true)]
async fn row_6_1u_and_6_3u_content_error_vs_none_or_vs_status_nil() {
    for status in [json!({"readyToUse": false}), json!({})] {
        let setup = Setup::new();
        setup.claim("claim");
        let snapshot = setup.snapshot("snap", "claim", &json!({ "status": status }));
        let failed = both(&error("mock driver error"), &json!({"readyToUse": false}));
        setup.content_of(&snapshot, "claim", &json!({ "status": failed }));
        let _controller = setup.start(&[]);
        setup.until_error("snap", "mock driver error").await;
        assert_eq!(setup.status("snap")["error"], error("mock driver error")["error"]);
        assert_eq!(setup.status("snap")["readyToUse"], false);
        pass(900).await;
        // Upstream copies it again at every look.
        assert_eq!(setup.writes().iter().filter(|call| call.contains("/status")).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn row_6_2u_content_without_error_vs_error() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({"status": error("old")}));
    setup.content_of(&snapshot, "claim", &json!({"status": cut_status("content", true)}));
    let _controller = setup.start(&[]);
    setup.until_ready("snap").await;
    assert_eq!(setup.status("snap")["error"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn row_6_4u_vs_status_nil_content_status_nil() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({}));
    let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
    let _controller = setup.start(&[]);
    setup.until("it is bound", || !setup.status("snap").is_null()).await;
    assert_eq!(setup.status("snap"), json!({"boundVolumeSnapshotContentName": name, "readyToUse": false}));
}

#[tokio::test(start_paused = true)]
async fn row_8_1_to_8_3_no_content_status_nil_no_error_or_old_error() {
    for status in
        [json!({}), json!({"readyToUse": false}), both(&error("old"), &json!({"readyToUse": false}))]
    {
        let setup = Setup::new();
        setup.claim("claim");
        let class = json!({"spec": {"volumeSnapshotClassName": "secret"}});
        setup.snapshot("snap", "claim", &both(&class, &json!({ "status": status })));
        let _controller = setup.start(&[]);
        setup.until("it is bound", || !setup.content("snap").is_null()).await;
        assert_eq!(setup.content("snap")["metadata"]["annotations"][annotations::SECRET_NAME], "secret");
        assert_eq!(setup.status("snap")["error"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn row_9_1_class_vanished_vs_ready_flag_already_true_content_ready() {
    let setup = Setup::new();
    setup.claim("claim");
    let overlay = json!({"spec": {"volumeSnapshotClassName": "vanished"}, "status": {"readyToUse": true}});
    let snapshot = setup.snapshot("snap", "claim", &overlay);
    let content = setup.content_of(&snapshot, "claim", &json!({"status": cut_status("content", true)}));
    let _controller = setup.start(&[]);
    let name = &content["metadata"]["name"];
    setup.until("it is bound", || setup.status("snap")["boundVolumeSnapshotContentName"] == *name).await;
    pass(60).await;
    assert!(setup.is_ready("snap"));
    assert_eq!(setup.error("snap"), "");
}
