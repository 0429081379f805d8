//! Contents whose snapshot has been asked for and is not there yet, when what was known about that is lost.

use std::time::Duration;

use serde_json::json;

use crate::setup::{BEING_CREATED, CLASS, Setup, VSC, has_annotation, pass};

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
