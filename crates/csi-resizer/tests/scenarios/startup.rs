//! Start-up: what ends the process, with which code and words, and which resizer comes out (sheet 3, 11.6).

use csi_client::csi::{
    ControllerGetCapabilitiesRequest, GetPluginCapabilitiesRequest, GetPluginInfoRequest,
    GetPluginInfoResponse, NodeGetCapabilitiesRequest, ProbeRequest, ProbeResponse,
};
use serde_json::json;
use testkit::driver::Step;
use tonic::Code;

use crate::setup::{Setup, able, pass};

#[tokio::test(start_paused = true)]
async fn bad_flags_end_with_a_clear_text() {
    let setup = Setup::new();
    for (arguments, code, text) in [
        (&["--workers=0"][..], 1, "--workers must be at least 1"),
        (&["--workers=-3"], 1, "--workers must be at least 1"),
        (&["--timeout=0"], 1, "--timeout must be positive"),
        (&["--feature-gates=NoSuchGate=true"], 1, "unrecognized feature gate: NoSuchGate"),
        (&["--http-endpoint=:0", "--metrics-address=:0"], 1, "Only one of"),
        (&["--no-such-flag"], 2, "flag provided but not defined: -no-such-flag"),
        (&["--timeout=10"], 2, "invalid value \"10\" for flag -timeout"),
        (&["--driver-name=another"], 1, "not the expected one"),
        (
            &["--leader-election", "--leader-election-lease-duration=5s"],
            2,
            "leaseDuration must be greater than renewDeadline",
        ),
    ] {
        setup.start(arguments).ends_with(code, text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn version_is_printed_and_ends_with_0_even_next_to_a_bad_gate() {
    Setup::new().start(&["--version", "--feature-gates=Nope=true"]).ends_with(0, "").await;
}

/// Whether a driver like this expands through its controller, through nodes, or not, and modifies.
async fn selects(setup: &Setup) -> (bool, bool, bool) {
    setup.attributes_class("gold", &json!({"iops": "1"}));
    setup.bound("claim", "1Gi", &json!({"spec": {"volumeAttributesClassName": "gold"}}), &json!({}));
    let sidecar = setup.start(&[]);
    setup.want("claim", "2Gi");
    pass(30).await;
    assert!(sidecar.is_running());
    let grown = setup.progress("claim") == "NodeResizePending" || setup.capacity("claim") == "2Gi";
    (!setup.asked().is_empty(), grown, !setup.modifications().is_empty())
}

#[tokio::test(start_paused = true)]
async fn node_and_controller_expand_controller_service() {
    assert_eq!(selects(&Setup::with(able(true, true, true))).await, (true, true, true));
    let setup = Setup::with(able(true, true, false));
    assert_eq!(selects(&setup).await, (true, true, false));
    assert_eq!(setup.driver.count::<NodeGetCapabilitiesRequest>(), 0, "not asked");
}

#[tokio::test(start_paused = true)]
async fn no_controller_service() {
    for config in [able(true, true, true), able(false, true, false)] {
        let setup = Setup::with(config);
        setup.driver.configure(|config| config.plugin.clear());
        setup.start(&[]).ends_with(1, "CSI driver does not support controller service").await;
    }
}

#[tokio::test(start_paused = true)]
async fn node_expand_only() {
    assert_eq!(selects(&Setup::with(able(false, true, false))).await, (false, true, false));
}

#[tokio::test(start_paused = true)]
async fn neither() {
    assert_eq!(
        selects(&Setup::with(able(false, false, true))).await,
        (false, false, true),
        "modifies all the same"
    );
    let exit = Setup::with(able(false, false, false)).start(&[]).end().await.expect_err("nothing to do");
    assert_eq!((exit.code, exit.message.as_str()), (255, "CSI driver does not support resize nor modify"));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_only_modifies_needs_no_node_service() {
    let setup = Setup::with(able(false, false, true));
    setup
        .driver
        .always::<NodeGetCapabilitiesRequest>(Step::fail(Code::Unimplemented, "unknown service csi.v1.Node"));
    assert_eq!(selects(&setup).await, (false, false, true));
    let setup = Setup::with(able(false, false, true));
    setup.driver.always::<NodeGetCapabilitiesRequest>(Step::fail(Code::Internal, "broken"));
    setup.start(&[]).ends_with(1, "").await;
}

#[tokio::test(start_paused = true)]
async fn capabilities_that_cannot_be_had_end_with_1() {
    let setup = Setup::new();
    setup.driver.always::<ControllerGetCapabilitiesRequest>(Step::fail(Code::Internal, "no"));
    setup.start(&[]).ends_with(1, "").await;
    let setup = Setup::new();
    setup.driver.always::<GetPluginCapabilitiesRequest>(Step::fail(Code::Internal, "no"));
    setup.start(&[]).ends_with(1, "rpc error: code = Internal desc = no").await;
}

#[tokio::test(start_paused = true)]
async fn the_name_of_the_driver_is_needed() {
    let setup = Setup::new();
    setup.driver.always::<GetPluginInfoRequest>(Step::fail(Code::Internal, "no"));
    setup.start(&[]).ends_with(1, "").await;
    setup.driver.always::<GetPluginInfoRequest>(Step::edit(|answer: &mut GetPluginInfoResponse| {
        answer.name.clear();
    }));
    setup.start(&[]).ends_with(1, "driver name is empty").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_not_ready_is_waited_for() {
    let setup = Setup::new();
    let not_ready = Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false));
    setup.driver.script::<ProbeRequest>(vec![not_ready; 5]);
    let sidecar = setup.start(&[]);
    setup.wanting("claim");
    setup.until_progress("claim", "NodeResizePending").await;
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
async fn metrics_have_upstream_s_names_and_ours() {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    setup.wanting("claim");
    setup.until_progress("claim", "NodeResizePending").await;
    pass(1).await;
    let series = "csi_sidecar_operations_seconds_count{driver_name=\"foo\",grpc_status_code=\"OK\",\
                  method_name=\"/csi.v1.Controller/ControllerExpandVolume\"}";
    assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
    assert!(sidecar.metric("workqueue_adds_total{name=\"foo-pvc\"}") > 0.9);
    assert!(sidecar.metric("csi_resizer_operation_duration_seconds_count{operation=\"expand\"}") > 0.9);
    assert!(sidecar.metrics.text().contains("csi_resizer_slow_claims{operation=\"modify\"} 0"));
    assert!(sidecar.metrics.text().contains("csi_resizer_operations_in_flight{operation=\"expand\"} 0"));
}
