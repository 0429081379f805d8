//! Sheet 13.4: claims are kept while their volumes are being made, if that is wanted.

use csi_client::csi::CreateVolumeRequest;
use serde_json::{Value, json};
use testkit::api::Failure;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{CLASS, Setup, pass};

const KEPT: &str = "external-provisioner.volume.kubernetes.io/claim-in-progress";
const PROTECTED: &[&str] = &["--leak-protection"];

fn is_kept(claim: &Value) -> bool {
    claim["metadata"]["finalizers"].as_array().is_some_and(|list| list.contains(&json!(KEPT)))
}

fn claim_calls(setup: &Setup) -> Vec<String> {
    setup.calls().into_iter().filter(|call| call.contains(" persistentvolumeclaims ")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_kept_from_the_first_request_until_its_volume_is_saved() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::late(std::time::Duration::from_secs(5))]);
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.until("the driver is asked", || !setup.creations().is_empty()).await;
    assert!(is_kept(&setup.get_claim("claim")), "before the driver is asked");
    setup.bound("claim").await;
    setup.until("the claim is let go", || !is_kept(&setup.get_claim("claim"))).await;
    pass(60).await;
    let get = "get persistentvolumeclaims -> 200";
    let update = "update persistentvolumeclaims -> 200";
    assert_eq!(claim_calls(&setup), [get, update, get, update]);
    assert_eq!(setup.creations().len(), 1);
}

/// A claim deleted while its volume is made, by a driver that has not answered before the provisioner crashes.
async fn deleted_before_a_crash() -> Setup {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::HangAfter]);
    let sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.until("the driver has made the volume", || !setup.driver.volumes().is_empty()).await;
    setup.delete_claim("claim");
    drop(sidecar);
    pass(10).await;
    setup
}

/// Waits until neither claim nor volume is left anywhere.
async fn nothing_left(setup: &Setup) {
    setup.until("the claim is gone", || setup.get_claim("claim").is_null()).await;
    setup.until("the driver has no volume", || setup.driver.volumes().is_empty()).await;
    setup.no_volumes().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_deleted_before_a_crash_leaks_no_volume() {
    let setup = deleted_before_a_crash().await;
    assert!(is_kept(&setup.get_claim("claim")), "nobody else lets it go");
    let _next = setup.start(PROTECTED);
    nothing_left(&setup).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_claim_whose_volume_surely_does_not_exist_is_let_go() {
    let setup = Setup::new();
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::InvalidArgument, "never"));
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "never").await;
    assert!(!is_kept(&setup.get_claim("claim")), "nobody has a volume for it");
    setup.delete_claim("claim");
    setup.until("the claim is gone", || setup.get_claim("claim").is_null()).await;
    assert!(setup.volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_refused_may_go_after_its_class() {
    let setup = Setup::new();
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::ResourceExhausted, "full"));
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "full").await;
    setup.server.delete("StorageClass", "", CLASS).unwrap();
    setup.delete_claim("claim");
    setup.until("the claim is gone", || setup.get_claim("claim").is_null()).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_claim_that_could_not_be_let_go_at_once_is_let_go_later() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::Late(
        std::time::Duration::from_secs(5),
        Box::new(Step::fail(Code::ResourceExhausted, "full")),
    )]);
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.until("it is kept", || is_kept(&setup.get_claim("claim"))).await;
    setup.server.fail_next("update", "persistentvolumeclaims", 2, &Failure::internal("not now"));
    setup.server.delete("StorageClass", "", CLASS).unwrap();
    setup.delete_claim("claim");
    setup.until("the claim is gone", || setup.get_claim("claim").is_null()).await;
    assert_eq!(setup.creations().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_followed_by_a_pause_whatever_is_written() {
    let setup = Setup::new();
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::ResourceExhausted, "full"));
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    pass(60).await;
    let asked = setup.creations().len();
    assert!((5..=7).contains(&asked), "1, 2, 4, 8, 16 and 32 seconds apart: {asked}");
    assert_eq!(
        claim_calls(&setup).len(),
        4 * asked + asked - 1,
        "four each, and a look before each but the first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_kept_again_whenever_the_driver_is_asked_again() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([
        Step::fail(Code::ResourceExhausted, "full"),
        Step::FailAfter(Code::DeadlineExceeded, "slow".into()),
    ]);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Unavailable, "restarts"));
    let sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "full").await;
    setup.event("claim", "ProvisioningFailed", "restarts").await;
    assert!(is_kept(&setup.get_claim("claim")), "the driver may be making it");
    drop(sidecar);
    setup.delete_claim("claim");
    setup.driver.behave();
    let _next = setup.start(PROTECTED);
    nothing_left(&setup).await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_kept_by_an_earlier_process_is_let_go_without_the_flag_too() {
    let setup = Setup::new();
    setup.claim("claim", json!({"metadata": {"finalizers": [KEPT]}}));
    let _sidecar = setup.start(&[]);
    setup.bound("claim").await;
    setup.until("the claim is let go", || !is_kept(&setup.get_claim("claim"))).await;
}

#[tokio::test(start_paused = true)]
async fn no_volume_is_begun_for_a_claim_that_is_being_deleted() {
    let setup = Setup::new();
    setup.claim("claim", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    setup.delete_claim("claim");
    let _sidecar = setup.start(PROTECTED);
    pass(600).await;
    assert!(setup.creations().is_empty());
    assert!(setup.events("claim").iter().all(|(kind, ..)| kind == "Normal"), "that is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_kept_is_not_asked_for() {
    let setup = Setup::new();
    setup.server.fail_next("update", "persistentvolumeclaims", 3, &Failure::internal("not now"));
    let _sidecar = setup.start(PROTECTED);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "failed to protect the claim").await;
    assert!(setup.creations().is_empty());
    setup.bound("claim").await;
}

/// The class of the claim is replaced by one that cannot be used, or by a good one.
fn replace_class(setup: &Setup, parameters: Value) {
    setup.server.delete("StorageClass", "", CLASS).unwrap();
    setup.class(CLASS, json!({ "parameters": parameters }));
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_doubt_is_kept_while_the_driver_cannot_be_asked() {
    let setup = deleted_before_a_crash().await;
    replace_class(&setup, json!({"csi.storage.k8s.io/unknown": "x"}));
    let _next = setup.start(PROTECTED);
    setup.event("claim", "ProvisioningFailed", "csi.storage.k8s.io/unknown").await;
    pass(600).await;
    assert!(is_kept(&setup.get_claim("claim")), "the volume that is there would be forgotten");
    replace_class(&setup, json!({}));
    nothing_left(&setup).await;
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_may_be_under_way_is_remembered_while_the_driver_cannot_be_asked() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::FailAfter(Code::DeadlineExceeded, "slow".into())]);
    setup.driver.always::<CreateVolumeRequest>(Step::fail(Code::Aborted, "pending"));
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "pending").await;
    replace_class(&setup, json!({"csi.storage.k8s.io/unknown": "x"}));
    setup.event("claim", "ProvisioningFailed", "csi.storage.k8s.io/unknown").await;
    setup.delete_claim("claim");
    setup.driver.behave();
    pass(60).await;
    replace_class(&setup, json!({}));
    nothing_left(&setup).await;
}
