//! Sheet 11.5: what each gRPC code leads to, seen from the claim. A claim whose volume may be under way is finished
//! even when it is deleted; of any other nothing is left.

use csi_client::csi::CreateVolumeRequest;
use serde_json::json;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, pass};

const IN_BACKGROUND: [Code; 4] = [Code::Cancelled, Code::DeadlineExceeded, Code::Unavailable, Code::Aborted];
const FINISHED: [Code; 11] = [
    Code::Unknown,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::DataLoss,
    Code::Unauthenticated,
];

/// Fails the first request, deletes the claim, and returns how often the driver was asked in all.
async fn requests_after_deletion(code: Code) -> usize {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::fail(code, "told so")]);
    let _sidecar = setup.start(&["--retry-interval-start=10s"]);
    setup.claim("claim", json!({}));
    let go = csi_client::code_name(code);
    setup.event("claim", "ProvisioningFailed", &format!("rpc error: code = {go} desc = told so")).await;
    setup.delete_claim("claim");
    pass(600).await;
    assert!(setup.driver.volumes().is_empty(), "{code:?} leaks");
    assert!(setup.volumes().is_empty(), "{code:?} leaves an object");
    setup.creations().len()
}

#[tokio::test(start_paused = true)]
async fn canceled_deadline_exceeded_unavailable_aborted_survive_the_claim() {
    for code in IN_BACKGROUND {
        assert_eq!(requests_after_deletion(code).await, 2, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_other_codes_are_final() {
    for code in FINISHED {
        assert_eq!(requests_after_deletion(code).await, 1, "{code:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_finishes_late_leaks_nothing() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>([Step::late(std::time::Duration::from_secs(25))]);
    let _sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.event("claim", "ProvisioningFailed", "code = DeadlineExceeded").await;
    setup.delete_claim("claim");
    pass(600).await;
    assert!(setup.driver.volumes().is_empty() && setup.volumes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_and_are_told_each_time() {
    let setup = Setup::new();
    setup.driver.script::<CreateVolumeRequest>(vec![Step::fail(Code::Internal, "no"); 4]);
    let sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    let start = tokio::time::Instant::now();
    setup.bound("claim").await;
    let took = start.elapsed().as_secs();
    assert!((15..18).contains(&took), "1 + 2 + 4 + 8 seconds, not {took}");
    let failed: u64 =
        setup.events("claim").iter().filter(|event| event.1 == "ProvisioningFailed").map(|e| e.3).sum();
    assert_eq!(failed, 4);
    let labels = "{class=\"fake-sc\",source=\"\"}";
    let count = |name: &str| sidecar.metric(&format!("controller_persistentvolumeclaim_{name}{labels}"));
    assert!((count("provision_failed_total") - 4.0).abs() < 0.1);
    assert!((count("provision_total") - 1.0).abs() < 0.1);
    assert!((count("provision_duration_seconds_count") - 1.0).abs() < 0.1);
}

#[tokio::test(start_paused = true)]
async fn finished_no_change_in_background_with_selected_node() {
    let setup = Setup::new();
    setup.class("waiting", json!({"volumeBindingMode": "WaitForFirstConsumer"}));
    let _sidecar = setup.start(&[]);
    for (number, code) in [Code::ResourceExhausted, Code::Unavailable].into_iter().enumerate() {
        setup.driver.script::<CreateVolumeRequest>([Step::fail(code, "no")]);
        let name = format!("claim-{number}");
        let node = json!({"volume.kubernetes.io/selected-node": "n1"});
        let fields = json!({"metadata": {"annotations": node}, "spec": {"storageClassName": "waiting"}});
        setup.claim(&name, fields);
        setup.event(&name, "ProvisioningFailed", "desc = no").await;
        setup.bound(&name).await;
        let annotations = setup.get_claim(&name)["metadata"]["annotations"].clone();
        assert_eq!(annotations["volume.kubernetes.io/selected-node"], "n1", "annotation kept");
    }
}
