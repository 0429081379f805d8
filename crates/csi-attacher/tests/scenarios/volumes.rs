//! The sheet's table 11.3: who takes our finalizer off a volume, and when.

use serde_json::{Value, json};

use crate::attach::{GCE, gce};
use crate::setup::{ABLE, F, Setup, VA, detaching, settle};

const OTHER: &str = "x/other";

fn going() -> Value {
    json!({"metadata": {"deletionTimestamp": "now"}})
}

/// The finalizer is taken off wherever it stands.
fn removed(finalizer: &str) -> String {
    format!("J {}", json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [finalizer]}}))
}

#[tokio::test(start_paused = true)]
async fn va_deleted_event_pv_deleting_with_f() {
    let setup = Setup::new();
    setup.volume(going());
    setup.attachment(json!({"status": {"attached": true}}));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
    setup.delete("VolumeAttachment", VA);
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    settle().await;
    assert_eq!(setup.actions(), [removed(F)]);
}

/// The whole way: the attachment goes with the finalizer that we take off it, and the volume follows.
#[tokio::test(start_paused = true)]
async fn the_volume_goes_when_its_last_attachment_is_detached() {
    let setup = Setup::new();
    setup.volume(going());
    setup.attachment(detaching(json!({})));
    let _sidecar = setup.start(&[]);
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    assert!(setup.va().is_null());
}

#[tokio::test(start_paused = true)]
async fn va_deleted_pv_deleting_without_f() {
    let setup = Setup::new();
    setup.volume(json!({"metadata": {"finalizers": [OTHER], "deletionTimestamp": "now"}}));
    setup.attachment(json!({"status": {"attached": true}}));
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.delete("VolumeAttachment", VA);
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn pv_updated_deleting_f_no_va() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.delete("PersistentVolume", "pv1");
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    settle().await;
    assert_eq!(setup.actions(), [removed(F)]);
}

#[tokio::test(start_paused = true)]
async fn several_finalizers() {
    for finalizers in [json!([F, "a/b", OTHER]), json!(["a/b", F, OTHER]), json!(["a/b", OTHER, F])] {
        let setup = Setup::new();
        setup.volume(json!({"metadata": {"finalizers": finalizers, "deletionTimestamp": "now"}}));
        let _sidecar = setup.start(&[]);
        settle().await;
        assert_eq!(setup.actions(), [removed(F)]);
        assert_eq!(setup.pv()["metadata"]["finalizers"], json!(["a/b", OTHER]));
    }
}

#[tokio::test(start_paused = true)]
async fn removal_forbidden_twice() {
    let setup = Setup::new();
    setup.volume(going());
    setup.refuse("persistentvolumes", 2);
    let _sidecar = setup.start(&[]);
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    settle().await;
    let refused = removed(F).replacen('J', "J!403", 1);
    assert_eq!(setup.actions(), [refused.clone(), refused, removed(F)]);
}

#[tokio::test(start_paused = true)]
async fn pv_not_deleting() {
    let setup = Setup::new();
    setup.volume(json!({}));
    let _sidecar = setup.start(&["--resync=10s"]);
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_va_referencing_the_pv_still_exists() {
    let setup = Setup::new();
    setup.volume(going());
    // Whoever's it is.
    setup.attachment(json!({"spec": {"attacher": "other"}}));
    let _sidecar = setup.start(&["--resync=10s"]);
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn pv_of_other_driver_no_f_updated() {
    let setup = Setup::new();
    let other = json!({"spec": {"csi": {"driver": "other"}}, "metadata": {"finalizers": [OTHER]}});
    setup.volume(other);
    let _sidecar = setup.start(&[]);
    setup.delete("PersistentVolume", "pv1");
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
}

const GCE_F: &str = "external-attacher/pd-csi-storage-gke-io";

#[tokio::test(start_paused = true)]
async fn va_deleted_event_gce_pv_deleting_with_f() {
    let setup = gce(&ABLE);
    setup.attachment(json!({"spec": {"attacher": GCE}, "status": {"attached": true}}));
    setup.delete("PersistentVolume", "pv1");
    let _sidecar = setup.start(&[]);
    settle().await;
    setup.delete("VolumeAttachment", VA);
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    assert_eq!(setup.actions(), [removed(GCE_F)]);
}

/// A volume whose migration is rolled back is the plugin's own again.
#[tokio::test(start_paused = true)]
async fn a_volume_whose_migration_was_rolled_back_loses_f() {
    let setup = gce(&ABLE);
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!(setup.pv()["metadata"]["finalizers"], json!([GCE_F]));
    let back = json!({"metadata": {"annotations": null}});
    setup.server.patch("PersistentVolume", "", "pv1", &back).unwrap();
    setup.until("it is free", || setup.pv()["metadata"]["finalizers"].is_null()).await;
}
