//! What one volume costs the API server: one PV create, one PV delete, one finalizer patch, two events, nothing refused.

use serde_json::json;
use testkit::driver::ControllerCapability;

use crate::setup::{Setup, pass};

#[tokio::test(start_paused = true)]
async fn a_volume_life_costs_five_writes_and_nothing_is_refused() {
    let setup = Setup::able(&[ControllerCapability::PublishUnpublishVolume]);
    let _sidecar = setup.start(&[]);
    pass(5).await;
    setup.server.forget_calls();

    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    pass(60).await;
    setup.delete_claim("claim");
    setup.no_volumes().await;
    pass(60).await;

    let mut calls = setup.calls();
    calls.sort();
    assert_eq!(
        calls,
        [
            "create events -> 201",
            "create events -> 201",
            "create persistentvolumes -> 201",
            "delete persistentvolumes -> 200",
            "patch persistentvolumes -> 200",
        ]
    );
    assert_eq!((setup.creations().len(), setup.deletions().len()), (1, 1));
    assert!(setup.driver.volumes().is_empty());
}
