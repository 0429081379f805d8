//! Contents whose snapshot has been asked for and is not there yet, when what was known about that is lost.

use std::time::Duration;

use csi_client::csi::{CreateSnapshotRequest, CreateVolumeGroupSnapshotRequest};
use serde_json::json;
use testkit::driver::Step;
use tokio::time::Instant;

use crate::setup::{
    BEING_CREATED, CLASS, DRIVER, GROUP_BEING_CREATED, Setup, VGSC, VSC, has_annotation, is_ready, pass,
};

const CLASS_KIND: &str = "VolumeSnapshotClass";

fn delete_class(setup: &Setup) {
    setup.server.delete(CLASS_KIND, "", CLASS).unwrap();
}

/// Until the driver has said what it calls the snapshot, which is far from being ready.
async fn followed(setup: &Setup) {
    setup.until("it has a handle", || setup.vsc("content")["status"]["snapshotHandle"].is_string()).await;
    pass(5).await;
    assert!(has_annotation(&setup.vsc("content"), BEING_CREATED));
}

/// Upstream's content does not say between two looks that it is being created, and a deletion takes no class (row D1-9). The
/// second snapshotter does not know how the last call of the first one ended, and cannot make another.
#[tokio::test(start_paused = true)]
async fn an_unready_snapshot_without_a_usable_class_goes_after_a_restart() {
    for bad in [None, Some(json!({"parameters": {"csi.storage.k8s.io/nonsense": "x"}}))] {
        let setup = Setup::slow(Duration::from_secs(7200));
        setup.content("content", json!({}));
        let first = setup.start(&[]);
        followed(&setup).await;
        drop(first);
        let calls = setup.created().len();
        delete_class(&setup);
        if let Some(bad) = bad {
            setup.class(bad);
        }
        let _second = setup.start(&[]);
        setup.failed(VSC, "content").await;
        setup.unwanted(VSC, "content");
        setup.gone(VSC, "content").await;
        assert!(setup.driver.snapshots().is_empty());
        assert_eq!((setup.created().len(), setup.deleted().len()), (calls, 1));
    }
}

/// For as long as its class is that of another driver nobody looks at it (sheet 5.3), and nothing is left that would. Nothing
/// but the class wakes it here: there are no resyncs.
#[tokio::test(start_paused = true)]
async fn a_followed_snapshot_is_followed_again_when_its_class_is_of_our_driver_again() {
    for edited in [true, false] {
        let time = Duration::from_secs(600);
        let (setup, start) = (Setup::slow(time), Instant::now());
        let _sidecar = setup.start(&["--resync-period=0"]);
        setup.content("content", json!({}));
        followed(&setup).await;
        let driver = |driver: &str| {
            if edited {
                setup.patch(CLASS_KIND, CLASS, &json!({"driver": driver}));
            } else {
                delete_class(&setup);
                setup.class(json!({"driver": driver}));
            }
        };
        driver("other");
        pass(120).await;
        let calls = setup.created().len();
        pass(480).await;
        assert_eq!(setup.created().len(), calls, "it is nobody's");
        assert!(start.elapsed() > time, "it would be found ready");
        driver(DRIVER);
        pass(5).await;
        assert!(is_ready(&setup.vsc("content")), "edited: {edited}, {}", setup.vsc("content"));
    }
}

/// Upstream's snapshot controller writes a content's annotations back as its cache has them, without a mark that has just been
/// made. The snapshotter knows that its call is open for all that.
#[tokio::test(start_paused = true)]
async fn a_mark_that_others_wipe_out_does_not_let_an_open_call_go() {
    for (kind, mark) in [(VSC, BEING_CREATED), (VGSC, GROUP_BEING_CREATED)] {
        let setup = Setup::new();
        setup.driver.script::<CreateSnapshotRequest>([Step::HangAfter, Step::late(Duration::from_secs(3))]);
        setup.driver.script::<CreateVolumeGroupSnapshotRequest>([
            Step::HangAfter,
            Step::late(Duration::from_secs(3)),
        ]);
        if kind == VSC {
            setup.content("content", json!({}));
        } else {
            setup.group("content", json!({}));
        }
        let _sidecar = setup.start(&["--timeout=5s"]);
        let calls = || setup.created().len() + setup.driver.count::<CreateVolumeGroupSnapshotRequest>();
        setup.until("the driver has taken it", || !setup.driver.snapshots().is_empty()).await;
        assert!(has_annotation(&setup.get(kind, "content"), mark));
        setup.patch(kind, "content", &json!({"metadata": {"annotations": {mark: null}}}));
        setup.unwanted(kind, "content");
        setup.until("it is asked for again", || calls() == 2).await;
        assert!(
            has_annotation(&setup.get(kind, "content"), mark),
            "it says so again, to whoever comes after"
        );
        setup.gone(kind, "content").await;
        assert!(setup.driver.snapshots().is_empty() && setup.driver.groups().is_empty(), "{kind}");
        assert_eq!(calls(), 2);
    }
}

/// A call that may still end is not overtaken by a deletion, whatever has become of the class meanwhile.
#[tokio::test(start_paused = true)]
async fn an_open_call_is_closed_before_the_snapshot_goes_even_without_a_class() {
    let setup = Setup::slow(Duration::from_secs(7200));
    setup.content("content", json!({}));
    let _sidecar = setup.start(&["--timeout=5s"]);
    followed(&setup).await;
    let before = setup.created().len();
    setup.driver.script::<CreateSnapshotRequest>([Step::late(Duration::from_secs(30))]);
    setup.until("the driver is asked again", || setup.created().len() > before).await;
    delete_class(&setup);
    setup.unwanted(VSC, "content");
    pass(60).await;
    assert!(setup.deleted().is_empty() && !setup.vsc("content").is_null());
    setup.class(json!({}));
    setup.gone(VSC, "content").await;
    assert!(setup.driver.snapshots().is_empty());
}
