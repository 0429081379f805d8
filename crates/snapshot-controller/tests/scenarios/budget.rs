//! What a snapshot's life costs the API server: 8 writes, 3 events and one read of the claim, nothing refused.
//!
//! Upstream takes 12 writes. Left out are
//!
//! - the second finalizer on the snapshot, which is written with the first: more is protected, earlier;
//! - the finalizer on the content, which is created with it: there is no moment any more in which nothing holds it;
//! - the first status, which says only that the snapshot is bound, where the driver is faster than a second: nobody can restore
//!   from a snapshot that is not ready, and what is written then says that it is bound, too;
//! - the removal of the first of two finalizers from a snapshot that is being deleted: it is there until both are gone.

use serde_json::json;

use crate::setup::{AS_SOURCE, BOUND, CONTENT_BOUND, ON_CLAIM, PVC, Setup, VS, pass};

#[tokio::test(start_paused = true)]
async fn a_snapshot_s_life_costs_eight_writes_and_three_events() {
    let setup = Setup::new();
    setup.claim("claim");
    let _sidecar = setup.play_sidecar();
    let controller = setup.start(&[]);
    pass(5).await;
    setup.server.forget_calls();
    setup.snapshot("snap", "claim", &json!({}));
    setup.until_ready("snap").await;
    pass(60).await;
    assert_eq!(setup.finalizers(VS, "snap"), [AS_SOURCE, BOUND]);
    let content = setup.content("snap");
    assert_eq!(content["metadata"]["finalizers"], json!([CONTENT_BOUND]));
    assert!(!setup.finalizers(PVC, "claim").contains(&ON_CLAIM.to_owned()));
    assert_eq!(setup.status("snap")["restoreSize"], "1Gi");
    assert_eq!(setup.status("snap")["creationTime"], "2026-11-21T05:00:00Z");
    assert_eq!(setup.reasons("snap"), ["CreatingSnapshot", "SnapshotCreated", "SnapshotReady"]);
    setup.delete(VS, "snap");
    setup.until_gone(VS, "snap").await;
    assert!(setup.server.list("VolumeSnapshotContent").is_empty());
    pass(60).await;
    assert_eq!(
        setup.calls(),
        [
            "patch volumesnapshots -> 200",
            "get persistentvolumeclaims -> 200",
            "update persistentvolumeclaims -> 200",
            "create volumesnapshotcontents -> 201",
            "create events -> 201",
            "patch volumesnapshots/status -> 200",
            "update persistentvolumeclaims -> 200",
            "create events -> 201",
            "create events -> 201",
            "patch volumesnapshotcontents -> 200",
            "delete volumesnapshotcontents -> 200",
            "patch volumesnapshots -> 200",
        ]
    );
    assert!(controller.is_running());
}
