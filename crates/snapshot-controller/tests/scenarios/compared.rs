//! 13.10 to 13.12: what is the same is not written again, nothing is written into another object of the same name, and a content
//! that is gone already has been deleted.

use serde_json::json;
use testkit::api::Failure;

use crate::groups::{content_of_group, group};
use crate::setup::{Setup, VGS, VGSC, VS, VSC, cut_status, pass, text};

/// Upstream compares addresses: each look at a snapshot whose content has an error writes it once more, and each event of a content
/// wakes its snapshot.
#[tokio::test(start_paused = true)]
async fn an_error_that_is_known_is_not_copied_again() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&["--resync-period=1m"]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    let name = text(&setup.content("snap")["metadata"]["name"]);
    let error =
        json!({"readyToUse": false, "error": {"message": "it broke", "time": "2026-11-21T05:00:30Z"}});
    setup.patch_status(VSC, &name, &error);
    setup.until_error("snap", "it broke").await;
    pass(5).await;
    setup.server.forget_calls();
    for round in 0..10 {
        setup.patch(
            VSC,
            &name,
            &json!({"metadata": {"annotations": {"example.com/round": round.to_string()}}}),
        );
        pass(60).await;
    }
    assert_eq!(setup.calls(), [] as [&str; 0]);
    // A later time of the same error is news.
    let later = json!({"error": {"message": "it broke", "time": "2026-11-21T06:00:00Z"}});
    setup.patch_status(VSC, &name, &later);
    setup.until("it is copied", || setup.status("snap")["error"]["time"] == "2026-11-21T06:00:00Z").await;
    assert_eq!(setup.writes(), ["patch volumesnapshots/status -> 200"]);
}

/// Upstream finds the snapshot by its name alone.
#[tokio::test(start_paused = true)]
async fn a_snapshot_made_anew_gets_nothing_of_the_old_one_s_content() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    let first = text(&setup.content("snap")["metadata"]["name"]);
    pass(5).await;
    // The write waits for two seconds, in which the one snapshot goes and the other comes.
    setup.server.fail_next("patch", "volumesnapshots/status", 1, &Failure::too_many_requests(2));
    setup.server.forget_calls();
    setup.cut(&first, true);
    setup.until("it is being written", || setup.server.count("patch", "volumesnapshots/status") > 0).await;
    setup.patch(VS, "snap", &json!({"metadata": {"finalizers": null}}));
    setup.delete(VS, "snap");
    setup.snapshot("snap", "claim", &json!({}));
    pass(30).await;
    let second = text(&setup.content("snap")["metadata"]["name"]);
    assert!(second.starts_with("snapcontent-") && second != first);
    assert!(
        !setup.is_ready("snap") && setup.status("snap")["creationTime"].is_null(),
        "{}",
        setup.status("snap")
    );
}

/// Upstream takes it for a failure, with an event.
#[tokio::test(start_paused = true)]
async fn the_content_of_a_group_that_is_gone_already_is_deleted() {
    let setup = crate::groups::setup();
    let _controller = setup.start(&[]);
    group(&setup, &json!({}));
    setup.until("it is bound", || !content_of_group(&setup).is_null()).await;
    let name = text(&content_of_group(&setup)["metadata"]["name"]);
    pass(5).await;
    // The call waits for two seconds, in which the content goes.
    let late = Failure::too_many_requests(2);
    setup.server.fail_next("delete", "volumegroupsnapshotcontents", 1, &late);
    setup.delete(VGS, "group");
    setup.until("it is tried", || setup.server.count("delete", "volumegroupsnapshotcontents") > 0).await;
    setup.patch(VGSC, &name, &json!({"metadata": {"finalizers": null}}));
    setup.delete(VGSC, &name);
    setup.until_gone(VGS, "group").await;
    assert!(setup.get(VGSC, &name).is_null());
    assert!(!setup.reasons("group").contains(&"GroupSnapshotContentObjectDeleteError".to_owned()));
}

/// What a content says once is copied once.
#[tokio::test(start_paused = true)]
async fn a_status_is_copied_in_one_write() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    let name = text(&setup.content("snap")["metadata"]["name"]);
    pass(5).await;
    setup.server.forget_calls();
    setup.patch_status(VSC, &name, &cut_status(&name, true));
    setup.until_ready("snap").await;
    pass(60).await;
    let statuses = setup.writes().into_iter().filter(|call| call.contains("volumesnapshots/status"));
    assert_eq!(statuses.count(), 1, "{:?}", setup.writes());
}
