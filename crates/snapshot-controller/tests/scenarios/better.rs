//! What is better than upstream (sheet 13), as far as no other table shows it.

use serde_json::{Value, json};
use snapshot_api::names::finalizers::PROVISIONER_SOURCE;

use crate::setup::{AS_SOURCE, BOUND, CONTENT_BOUND, ON_CLAIM, PVC, Setup, VS, VSC, cut_status, pass, text};

/// 13.2: with upstream a ready snapshot whose class was deleted is never looked at again, and says so for ever.
#[tokio::test(start_paused = true)]
async fn a_ready_snapshot_needs_no_class_and_says_nothing_about_it() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until_ready("snap").await;
    drop(controller);
    setup.delete("VolumeSnapshotClass", "class");
    let message = "Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io \"class\" not found";
    setup.patch_status(VS, "snap", &json!({"error": {"message": message, "time": crate::setup::EPOCH}}));
    let _another = setup.start(&[]);
    setup.until("the error is gone", || setup.error("snap").is_empty()).await;
    setup.delete(VS, "snap");
    setup.until_gone(VS, "snap").await;
}

/// 13.6: upstream waits for its back-off, up to five minutes.
#[tokio::test(start_paused = true)]
async fn what_a_snapshot_waits_for_wakes_it() {
    let setup = Setup::new();
    setup.claim_with("claim", &json!({"status": {"phase": "Pending"}}), &json!({}));
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({"spec": {"volumeSnapshotClassName": "late"}}));
    pass(1000).await;
    assert!(setup.error("snap").contains("\"late\" not found"));
    setup.class("late", "Delete", &json!({}));
    pass(1).await;
    assert!(setup.error("snap").contains("not yet bound to a PV"), "{}", setup.error("snap"));
    pass(1000).await;
    setup.patch_status(PVC, "claim", &json!({"phase": "Bound"}));
    pass(2).await;
    assert!(!setup.content("snap").is_null(), "{}", setup.story());
}

/// 13.8: upstream makes the content, and the wrong driver is asked for ever (upstream issue 1484).
#[tokio::test(start_paused = true)]
async fn a_class_of_another_driver_is_refused() {
    let setup = Setup::new();
    setup.claim("claim");
    setup.class("other", "Delete", &json!({"driver": "other.example"}));
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({"spec": {"volumeSnapshotClassName": "other"}}));
    let message = "Failed to create snapshot content with error failed to get input parameters to create snapshot snap: \"the class other is of the driver other.example, the volume pv-claim of the driver csi-mock-plugin\"";
    setup.until_error("snap", message).await;
    assert!(setup.server.list(VSC).is_empty());
    assert!(!setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned()), "nothing to protect it for");
}

/// 13.11: upstream loses the event of an error whose status could not be written.
#[tokio::test(start_paused = true)]
async fn an_error_is_reported_even_if_its_status_cannot_be_written() {
    let setup = Setup::new();
    setup.refuse("patch", "volumesnapshots/status", "no");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    let message = "Failed to create snapshot content with error snapshot controller failed to update snap on API server: cannot get claim from snapshot";
    setup.event("snap", "SnapshotContentCreationFailed", message).await;
    assert_eq!(setup.status("snap"), Value::Null);
}

/// 13.18: upstream keeps the claim for as long as there is a snapshot of it that is not ready (upstream issue 1305).
#[tokio::test(start_paused = true)]
async fn a_claim_is_not_kept_for_a_snapshot_that_failed_long_ago() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("good", "claim", &json!({}));
    setup.until("it is protected", || setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
    setup.snapshot("bad", "claim", &json!({"spec": {"volumeSnapshotClassName": "missing"}}));
    setup.until("it has failed", || !setup.error("bad").is_empty()).await;
    setup.until("it is bound", || !setup.content("good").is_null()).await;
    setup.cut(&text(&setup.content("good")["metadata"]["name"]), true);
    setup.until_ready("good").await;
    setup.delete(PVC, "claim");
    pass(300).await;
    assert!(!setup.get(PVC, "claim").is_null(), "it may still be taken");
    pass(1200).await;
    assert!(!setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned()), "{}", setup.story());
}

/// A crash, or somebody's hand, between the last snapshot's end and the claim's.
#[tokio::test(start_paused = true)]
async fn a_finalizer_that_is_left_over_on_a_claim_is_taken_off() {
    let setup = Setup::new();
    setup.claim_with("claim", &json!({"metadata": {"finalizers": [ON_CLAIM]}}), &json!({}));
    let _controller = setup.start(&[]);
    setup.until("it is taken off", || !setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
    // And of a snapshot whose finalizers were taken off by hand.
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is protected", || setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
    setup.patch(VS, "snap", &json!({"metadata": {"finalizers": null}}));
    setup.delete(VS, "snap");
    setup.until("it is taken off", || !setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
}

/// The claim's finalizer is written whole, with all that others have put there meanwhile.
#[tokio::test(start_paused = true)]
async fn a_claim_that_changes_between_the_two_writes_keeps_the_change() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    setup.patch(PVC, "claim", &json!({"metadata": {"annotations": {"a": "b"}}}));
    setup.cut(&text(&setup.content("snap")["metadata"]["name"]), true);
    setup.until("it is released", || !setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned())).await;
    assert_eq!(setup.get(PVC, "claim")["metadata"]["annotations"], json!({"a": "b"}));
    assert!(setup.calls().iter().all(|call| !call.contains("-> 4")), "{:?}", setup.calls());
}

/// The provisioner's finalizer says so before any claim is seen.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_the_provisioner_holds_keeps_its_content() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until_ready("snap").await;
    let held = json!({"metadata": {"finalizers": [AS_SOURCE, BOUND, PROVISIONER_SOURCE]}});
    setup.patch(VS, "snap", &held);
    setup.delete(VS, "snap");
    pass(600).await;
    assert!(setup.content("snap")["metadata"]["deletionTimestamp"].is_null());
    setup.patch(VS, "snap", &json!({"metadata": {"finalizers": [AS_SOURCE, BOUND]}}));
    setup.until_gone(VS, "snap").await;
    assert!(setup.server.list(VSC).is_empty());
}

/// Restarted between any two of the steps of a deletion.
#[tokio::test(start_paused = true)]
async fn no_deletion_is_lost_when_the_controller_ends_in_the_middle() {
    for steps in 0..4 {
        let setup = Setup::new();
        setup.claim("claim");
        let sidecar = setup.play_sidecar();
        let controller = setup.start(&[]);
        setup.snapshot("snap", "claim", &json!({}));
        setup.until_ready("snap").await;
        pass(5).await;
        drop(controller);
        drop(sidecar);
        setup.delete(VS, "snap");
        // It gets so far, then the API server refuses everything, then it dies.
        let mut left = steps;
        setup.server.intercept(move |call| {
            let writes = ["patch", "delete", "update", "create"].contains(&call.verb.as_str());
            if !call.user_agent.starts_with("snapshot-controller/") || !writes {
                return None;
            }
            if left == 0 {
                return Some(testkit::api::Failure::internal("no"));
            }
            left -= 1;
            None
        });
        let controller = setup.start(&[]);
        pass(3).await;
        drop(controller);
        setup.server.pass();
        let _sidecar = setup.play_sidecar();
        let _another = setup.start(&[]);
        setup.until_gone(VS, "snap").await;
        assert!(setup.server.list(VSC).is_empty(), "after {steps} steps");
    }
}

/// What a content was created by is not known any more after a restart: it is found by its name.
#[tokio::test(start_paused = true)]
async fn a_content_whose_creation_was_not_answered_is_neither_made_twice_nor_lost() {
    let setup = Setup::new();
    setup.claim("claim");
    let snapshot = setup.snapshot("snap", "claim", &json!({"metadata": {"finalizers": [AS_SOURCE, BOUND]}}));
    setup.content_of(&snapshot, "claim", &json!({}));
    setup.delete(VS, "snap");
    let _sidecar = setup.play_sidecar();
    let _controller = setup.start(&[]);
    setup.until_gone(VS, "snap").await;
    assert!(setup.server.list(VSC).is_empty());
}

/// A leader that ended just now has made it; the caches of the next one are not so far yet. Upstream lets the snapshot go, and the
/// content is nobody's.
#[tokio::test(start_paused = true)]
async fn a_content_that_the_watch_has_not_shown_yet_is_not_left_behind() {
    let setup = Setup::new();
    setup.claim("claim");
    let overlay = json!({
        "metadata": {"finalizers": [AS_SOURCE, BOUND]}, "spec": {"volumeSnapshotClassName": "missing"},
    });
    let snapshot = setup.snapshot("snap", "claim", &overlay);
    let _controller = setup.start(&[]);
    setup.until("it is looked at", || !setup.error("snap").is_empty()).await;
    setup.server.intercept(|call| {
        let blind =
            ["watch", "list"].contains(&call.verb.as_str()) && call.resource == "volumesnapshotcontents";
        blind.then(|| testkit::api::Failure::internal("no"))
    });
    setup.server.break_watches(VSC);
    let name = text(&setup.content_of(&snapshot, "claim", &json!({}))["metadata"]["name"]);
    setup.delete(VS, "snap");
    setup.until("it is deleted", || !setup.get(VSC, &name)["metadata"]["deletionTimestamp"].is_null()).await;
    assert!(!setup.vs("snap").is_null());
    setup.server.pass();
    let _sidecar = setup.play_sidecar();
    setup.until_gone(VS, "snap").await;
    assert!(setup.server.list(VSC).is_empty());
}

/// 5.11.4: a manifest from another cluster, or from a backup, names a snapshot that is not here.
#[tokio::test(start_paused = true)]
async fn copied_contents_are_left_alone() {
    let setup = Setup::new();
    let copied = json!({"metadata": {"name": "snap", "uid": "of-another-cluster"}});
    let name = text(
        &setup.content_of(&copied, "claim", &json!({"status": cut_status("c", true)}))["metadata"]["name"],
    );
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let _controller = setup.start(&[]);
    // Another snapshot of that name comes and goes.
    setup.snapshot("snap", "claim", &json!({}));
    setup.until_ready("snap").await;
    setup.delete(VS, "snap");
    setup.until_gone(VS, "snap").await;
    pass(60).await;
    let left = setup.get(VSC, &name);
    assert!(left["metadata"]["deletionTimestamp"].is_null() && left["metadata"]["annotations"].is_null());
    assert_eq!(left["metadata"]["finalizers"], json!([CONTENT_BOUND]));
}
