//! Claims that are bound to another volume while the driver makes their own, which nobody will ever see.

use csi_client::csi::CreateVolumeRequest;
use serde_json::json;
use testkit::driver::Step;
use testkit::manifests::merge;
use tonic::Code;

use crate::setup::{CLASS, DRIVER, Setup, pass};

/// The driver makes the next volume and does not say so.
fn slow(setup: &Setup) {
    setup.driver.script::<CreateVolumeRequest>([Step::FailAfter(Code::DeadlineExceeded, "slow".into())]);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Aborted, "pending"));
}

/// An administrator makes a volume object for `claim`.
async fn bind_by_hand(setup: &Setup, handle: &str) {
    let mut volume = testkit::manifests::volume("by-hand", DRIVER, handle, CLASS);
    merge(&mut volume, &json!({"spec": {"claimRef": {"namespace": "default", "name": "claim"}}}));
    setup.server.create(&volume).unwrap();
    assert_eq!(setup.bound("claim").await, "by-hand");
}

fn ids(setup: &Setup) -> Vec<String> {
    setup.driver.volumes().iter().map(|volume| volume.id.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_made_for_a_claim_that_is_bound_to_another_volume_is_deleted() {
    let setup = Setup::new();
    setup.driver.add_volume("by-hand", 100);
    slow(&setup);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.until("the driver has made it", || setup.driver.volumes().len() == 2).await;
    bind_by_hand(&setup, "by-hand").await;
    pass(60).await;
    setup.driver.behave();
    setup.until("the spare volume is gone", || ids(&setup) == ["by-hand"]).await;
    let asked = setup.creations().len();
    pass(1200).await;
    assert_eq!((setup.creations().len(), setup.deletions().len()), (asked, 1), "that is the end of it");
    assert_eq!(setup.volumes().len(), 1, "and no object was made of it");
    assert_eq!(setup.get_claim("claim")["status"]["phase"], "Bound");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_it_if_the_claim_is_protected() {
    let setup = Setup::new();
    setup.driver.add_volume("by-hand", 100);
    setup.driver.script::<CreateVolumeRequest>([Step::HangAfter]);
    let sidecar = setup.start(&["--leak-protection"]);
    setup.claim("claim", json!({}));
    setup.until("the driver has made it", || setup.driver.volumes().len() == 2).await;
    drop(sidecar);
    bind_by_hand(&setup, "by-hand").await;
    let _next = setup.start(&["--leak-protection"]);
    setup.until("the spare volume is gone", || ids(&setup) == ["by-hand"]).await;
    setup
        .until("the claim is let go", || {
            !setup.get_claim("claim")["metadata"]["finalizers"].to_string().contains("claim-in-progress")
        })
        .await;
    pass(1200).await;
    assert_eq!((setup.creations().len(), setup.deletions().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_volume_for_which_somebody_made_the_object_is_left_alone() {
    let setup = Setup::new();
    slow(&setup);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.until("the driver has made it", || setup.driver.volumes().len() == 1).await;
    bind_by_hand(&setup, &ids(&setup)[0]).await;
    let asked = setup.creations().len();
    setup.driver.behave();
    setup.until("the driver is asked what came of it", || setup.creations().len() > asked).await;
    pass(1200).await;
    assert_eq!((ids(&setup).len(), setup.deletions().len()), (1, 0), "there is data in it");
}
