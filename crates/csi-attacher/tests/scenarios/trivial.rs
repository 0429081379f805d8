//! The sheet's table 11.6: drivers that do not attach.

use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, DriverConfig};

use crate::setup::{DRIVER, F, Setup, VA, detaching, settle};

fn trivial() -> Setup {
    Setup::able(&[ControllerCapability::CreateDeleteVolume])
}

fn attached() -> String {
    format!("S {}", json!({"status": {"attached": true, "attachmentMetadata": null, "attachError": null}}))
}

#[tokio::test(start_paused = true)]
async fn add_of_unattached_va() {
    let no_controller = DriverConfig { name: DRIVER.into(), plugin: Vec::new(), ..DriverConfig::default() };
    for setup in [trivial(), Setup::with(no_controller)] {
        setup.volume(json!({"metadata": {"finalizers": null}}));
        setup.attachment(json!({}));
        let _sidecar = setup.start(&[]);
        setup.attached().await;
        assert_eq!(setup.actions(), [attached()]);
        assert_eq!(setup.va()["metadata"]["finalizers"], Value::Null);
        assert!(setup.published().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn update_of_unattached_va() {
    let setup = trivial();
    let _sidecar = setup.start(&[]);
    setup.attachment(json!({"status": {"attached": true}}));
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
    setup.server.patch_status("VolumeAttachment", "", VA, &json!({"status": {"attached": false}})).unwrap();
    setup.attached().await;
    assert_eq!(setup.actions(), [attached()]);
}

#[tokio::test(start_paused = true)]
async fn unknown_driver() {
    let setup = trivial();
    setup.attachment(json!({"spec": {"attacher": "other"}}));
    let _sidecar = setup.start(&[]);
    settle().await;
    assert_eq!(setup.actions(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn saving_fails_twice() {
    let setup = trivial();
    setup.attachment(json!({}));
    setup.refuse("volumeattachments/status", 2);
    let _sidecar = setup.start(&[]);
    setup.attached().await;
    let refused = attached().replacen('S', "S!403", 1);
    assert_eq!(setup.actions(), [refused.clone(), refused, attached()]);
}

/// Upstream leaves them for ever.
#[tokio::test(start_paused = true)]
async fn finalizers_from_a_time_when_the_driver_attached_are_cleaned_up() {
    let setup = trivial();
    setup.volume(json!({"metadata": {"deletionTimestamp": "now"}}));
    setup.attachment(detaching(json!({"metadata": {"finalizers": [F]}})));
    let _sidecar = setup.start(&[]);
    setup.gone().await;
    setup.until("the volume is gone", || setup.pv().is_null()).await;
    assert!(setup.unpublished().is_empty());
}
