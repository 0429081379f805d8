//! Start-up: what ends the process, with which code and words, and what is there while it waits (sheet 3.1, 13.13, 13.14).

use csi_client::csi::{GetPluginInfoRequest, GetPluginInfoResponse, ProbeRequest, ProbeResponse};
use serde_json::json;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, pass};

#[tokio::test(start_paused = true)]
async fn bad_flags_end_with_a_clear_text() {
    let setup = Setup::new();
    for (arguments, code, text) in [
        (&["--volume-name-prefix="][..], 1, "--volume-name-prefix must not be empty"),
        (&["--volume-name-uuid-length=0"], 1, "from 1 to 32"),
        (&["--volume-name-uuid-length=33"], 1, "from 1 to 32"),
        (&["--volume-name-uuid-length=-2"], 1, "from 1 to 32"),
        (&["--worker-threads=0"], 1, "--worker-threads must be at least 1"),
        (&["--enable-capacity"], 1, "--enable-capacity is not supported yet"),
        (&["--node-deployment"], 255, "NODE_NAME environment variable must be set"),
        (&["--feature-gates=NoSuchGate=true"], 255, "unrecognized feature gate: NoSuchGate"),
        (&["--http-endpoint=:0", "--metrics-address=:0"], 1, "only one of"),
        (&["--no-such-flag"], 2, "unknown flag: --no-such-flag"),
        (&["--timeout=10"], 2, "missing unit"),
        (&["--provisioner=another"], 1, "not the expected one"),
        (
            &["--leader-election", "--leader-election-lease-duration=5s"],
            2,
            "leaseDuration must be greater than renewDeadline",
        ),
    ] {
        setup.start(arguments).ends_with(code, text).await;
    }
    assert!(setup.creations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn version_is_printed_and_ends_with_0() {
    Setup::new().start(&["--version"]).ends_with(0, "").await;
}

#[tokio::test(start_paused = true)]
async fn get_driver_name_ok() {
    let setup = Setup::new();
    let sidecar = setup.start(&["--provisioner=test-driver"]);
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    let series = "csi_sidecar_operations_seconds_count{driver_name=\"test-driver\",\
                  grpc_status_code=\"OK\",method_name=\"/csi.v1.Controller/CreateVolume\"}";
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn get_driver_name_grpc_error() {
    let setup = Setup::new();
    setup.driver.always::<GetPluginInfoRequest>(Step::fail(Code::Internal, "no"));
    setup.start(&[]).ends_with(255, "rpc error: code = Internal desc = no").await;
}

#[tokio::test(start_paused = true)]
async fn get_driver_name_empty_name() {
    let setup = Setup::new();
    setup.driver.always::<GetPluginInfoRequest>(Step::edit(|answer: &mut GetPluginInfoResponse| {
        answer.name.clear();
    }));
    setup.start(&[]).ends_with(255, "driver name is empty").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_not_ready_is_waited_for() {
    let setup = Setup::new();
    setup.driver.script::<ProbeRequest>(vec![
        Step::edit(
            |answer: &mut ProbeResponse| answer.ready = Some(false)
        );
        5
    ]);
    let sidecar = setup.start(&[]);
    setup.claim("claim", json!({}));
    setup.bound("claim").await;
    assert_eq!(setup.driver.count::<ProbeRequest>(), 6);
    assert!(sidecar.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_ends_with_1() {
    let setup = Setup::new();
    setup.driver.always::<ProbeRequest>(Step::fail(Code::Internal, "broken"));
    setup.start(&[]).ends_with(1, "broken").await;
}

#[tokio::test(start_paused = true)]
async fn sigterm_while_waiting_for_the_driver_ends_at_once() {
    let setup = Setup::new();
    setup.driver.always::<ProbeRequest>(Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false)));
    let sidecar = setup.start(&[]);
    pass(30).await;
    sidecar.terminate();
    sidecar.ends_within(1, None).await;
}

#[tokio::test(start_paused = true)]
async fn claims_from_before_the_start_are_served() {
    let setup = Setup::new();
    for number in 0..30 {
        setup.claim(&format!("claim-{number}"), json!({}));
    }
    let _sidecar = setup.start(&["--worker-threads=3"]);
    for number in 0..30 {
        setup.bound(&format!("claim-{number}")).await;
    }
    assert_eq!(setup.creations().len(), 30);
}
