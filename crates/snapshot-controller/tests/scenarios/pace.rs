//! No hot loop: what is called and written in a simulated hour while something is wrong stays under what the back-off allows. The
//! figures are printed.

use serde_json::json;

use crate::setup::{Setup, VS, cut_status, pass, text};

const HOUR: u64 = 3600;

/// Tries in an hour when each failure doubles the wait from one second to five minutes.
fn bound() -> usize {
    let (mut tries, mut at, mut wait) = (1, 0, 1);
    while at + wait <= HOUR {
        at += wait;
        wait = (wait * 2).min(300);
        tries += 1;
    }
    tries
}

async fn hour(what: &str, writes: usize, events: usize, prepare: impl Fn(&Setup)) {
    let setup = Setup::new();
    prepare(&setup);
    let _controller = setup.start(&[]);
    pass(HOUR).await;
    let written = setup.writes().len();
    let reported = setup.calls().iter().filter(|call| call.contains(" events ")).count();
    eprintln!("{what}: {written} writes (at most {writes}), {reported} event writes (at most {events})");
    assert!(written <= writes, "{written} writes: {:?}", setup.writes());
    assert!(reported <= events, "{reported} events");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_said_once() {
    let class = json!({"spec": {"volumeSnapshotClassName": "missing"}});
    hour("no class", 1, 1, |setup| {
        setup.claim("claim");
        setup.snapshot("snap", "claim", &class);
    })
    .await;
    hour("no claim", 2, 1, |setup| drop(setup.snapshot("snap", "claim", &json!({})))).await;
    hour("no content", 2, 1, |setup| {
        let source = json!({"persistentVolumeClaimName": null, "volumeSnapshotContentName": "content"});
        setup.snapshot("snap", "", &json!({"spec": {"source": source}}));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_content_that_cannot_be_made() {
    // Snapshot and claim are protected, the status says so once, and each try is one call and one event. After the grace period
    // the claim is protected for the time of a try only.
    hour("content refused", 3 + 3 * bound(), 2 * bound(), |setup| {
        setup.claim("claim");
        setup.snapshot("snap", "claim", &json!({}));
        setup.refuse("create", "volumesnapshotcontents", "no");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_has_to_wait() {
    hour("being restored", 5, bound() + 5, |setup| {
        setup.claim("claim");
        let snapshot =
            setup.snapshot("snap", "claim", &json!({"metadata": {"finalizers": [crate::setup::AS_SOURCE]}}));
        setup.content_of(&snapshot, "claim", &json!({"status": cut_status("c", true)}));
        let mut restoring = testkit::manifests::claim("restoring", "class");
        restoring["spec"]["dataSource"] =
            json!({"apiGroup": "snapshot.storage.k8s.io", "kind": VS, "name": "snap"});
        setup.create(&restoring);
        setup.delete(VS, "snap");
    })
    .await;
}

/// A driver that takes its time: the content says nothing new, and nothing is written.
#[tokio::test(start_paused = true)]
async fn a_snapshot_that_takes_ten_minutes() {
    let setup = Setup::new();
    setup.claim("claim");
    let _controller = setup.start(&[]);
    setup.snapshot("snap", "claim", &json!({}));
    setup.until("it is bound", || !setup.content("snap").is_null()).await;
    let name = text(&setup.content("snap")["metadata"]["name"]);
    setup.cut(&name, false);
    pass(5).await;
    setup.server.forget_calls();
    for minute in 0..10 {
        // As the snapshotter would, at each of its polls.
        let annotation = json!({"metadata": {"annotations": {"example.com/poll": minute.to_string()}}});
        setup.patch("VolumeSnapshotContent", &name, &annotation);
        pass(60).await;
    }
    assert_eq!(setup.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_costs_nothing() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let _controller = setup.start(&["--resync-period=1m"]);
    for number in 0..20 {
        setup.snapshot(&format!("snap-{number}"), "claim", &json!({}));
    }
    for number in 0..20 {
        setup.until_ready(&format!("snap-{number}")).await;
    }
    pass(60).await;
    assert!(setup.server.list("Event").iter().all(|event| event["type"] != "Warning"));
    setup.server.forget_calls();
    pass(HOUR).await;
    assert_eq!(setup.calls(), [] as [&str; 0]);
}
