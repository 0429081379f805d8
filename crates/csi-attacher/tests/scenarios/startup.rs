//! Start-up: what ends the process, with which code and words, and what is there while it waits (sheet 2, 3, 9).

use std::time::Duration;

use csi_client::csi::{
    ControllerGetCapabilitiesRequest, GetPluginCapabilitiesRequest, GetPluginInfoRequest,
    GetPluginInfoResponse, ProbeRequest, ProbeResponse,
};
use serde_json::json;
use testkit::driver::{DriverConfig, Step};
use tonic::Code;

use crate::setup::{ABLE, Setup, both, inline, is_attached, pass};

#[tokio::test(start_paused = true)]
async fn bad_flags_end_with_a_clear_text() {
    let setup = Setup::new();
    for (arguments, code, text) in [
        (&["--worker-threads=0"][..], 1, "Option -worker-threads must be greater than zero"),
        (&["--worker-threads=-1"], 2, "invalid value"),
        (&["--timeout=0"], 1, "--timeout must be positive"),
        (&["--timeout=10"], 2, "invalid value \"10\" for flag -timeout: parse error"),
        (&["--feature-gates=NoSuchGate=true"], 1, "unrecognized feature gate: NoSuchGate"),
        (&["--feature-gates=x"], 2, "invalid value \"x\" for flag -feature-gates"),
        (
            &["--http-endpoint=:0", "--metrics-address=:0"],
            1,
            "Only one of `--metrics-address` and `--http-endpoint` can be set",
        ),
        (&["--no-such-flag"], 2, "flag provided but not defined: -no-such-flag"),
        (&["--csi-driver=another"], 1, "not the expected one"),
        (
            &["--upstream-flags-only", "--csi-driver=csi/test"],
            2,
            "flag provided but not defined: -csi-driver",
        ),
        (&["--leader-election-labels=a"], 2, "malformed item in list of labels: a"),
        (
            &["--leader-election", "--leader-election-lease-duration=5s"],
            2,
            "leaseDuration must be greater than renewDeadline",
        ),
        (
            &["--leader-election", "--leader-election-retry-period=9s"],
            2,
            "renewDeadline must be greater than retryPeriod*JitterFactor",
        ),
    ] {
        setup.start(arguments).ends_with(code, text).await;
    }
    assert!(setup.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn version_is_printed_and_ends_with_0() {
    Setup::new().start(&["--version"]).ends_with(0, "").await;
}

#[tokio::test(start_paused = true)]
async fn flags_of_old_manifests_are_accepted() {
    let setup = Setup::new();
    let arguments = [
        "--dummy=false",
        "--connection-timeout=15s",
        "--leader-election-type=leases",
        "--logtostderr",
        "--alsologtostderr=true",
        "--stderrthreshold=2",
        "--feature-gates=APIResponseCompression=true,AllAlpha=true",
        "--driver-name=csi/test",
    ];
    let _sidecar = setup.start(&arguments);
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.attached().await;
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_under_the_drivers_name() {
    let setup = Setup::new();
    let sidecar = setup.start(&[]);
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.attached().await;
    let count = |driver: &str, method: &str| {
        sidecar.metric(&format!(
            "csi_sidecar_operations_seconds_count{{driver_name=\"{driver}\",grpc_status_code=\"OK\",\
             method_name=\"/csi.v1.{method}\"}}"
        ))
    };
    assert!((count("csi/test", "Controller/ControllerPublishVolume") - 1.0).abs() < 0.1);
    assert!((count("unknown-driver", "Identity/Probe") - 1.0).abs() < 0.1);
    for series in [
        "workqueue_adds_total{name=\"csi-attacher-va\"}",
        "csi_attacher_operation_duration_seconds_count{operation=\"attach\"}",
    ] {
        assert!((sidecar.metric(series) - 1.0).abs() < 0.1, "{series}\n{}", sidecar.metrics.text());
    }
    assert!(sidecar.metrics.text().contains("workqueue_depth{name=\"csi-attacher-pv\"}"));
}

/// A driver that replaces an in-tree plugin is probed twice, and its calls say whether they are about a migrated volume.
#[tokio::test(start_paused = true)]
async fn calls_of_a_migration_driver_have_the_label_migrated() {
    let name = "ebs.csi.aws.com";
    let setup =
        Setup::with(DriverConfig { name: name.into(), controller: ABLE.into(), ..DriverConfig::default() });
    let sidecar = setup.start(&[]);
    setup.attachment(both(inline(json!({})), json!({"spec": {"attacher": name}})));
    setup.attached().await;
    assert_eq!(setup.driver.count::<ProbeRequest>(), 2);
    let probe = format!(
        "csi_sidecar_operations_seconds_count{{driver_name=\"{name}\",grpc_status_code=\"OK\",\
         method_name=\"/csi.v1.Identity/Probe\",migrated=\"false\"}}"
    );
    assert!((sidecar.metric(&probe) - 1.0).abs() < 0.1, "{}", sidecar.metrics.text());
}

#[tokio::test(start_paused = true)]
async fn a_driver_without_name_ends_with_1() {
    let setup = Setup::new();
    setup.driver.always::<GetPluginInfoRequest>(Step::edit(|answer: &mut GetPluginInfoResponse| {
        answer.name.clear();
    }));
    setup.start(&[]).ends_with(1, "driver name is empty").await;
}

fn late() -> Step {
    Step::late(Duration::from_millis(1100))
}

fn half() -> Step {
    Step::late(Duration::from_millis(600))
}

/// One second for the name, one for both questions about capabilities, whatever `--timeout` says.
#[tokio::test(start_paused = true)]
async fn name_and_capabilities_have_one_second() {
    let name: fn(&Setup) = |setup| setup.driver.always::<GetPluginInfoRequest>(late());
    let plugin: fn(&Setup) = |setup| setup.driver.always::<GetPluginCapabilitiesRequest>(late());
    let both: fn(&Setup) = |setup| {
        setup.driver.always::<GetPluginCapabilitiesRequest>(half());
        setup.driver.always::<ControllerGetCapabilitiesRequest>(half());
    };
    for script in [name, plugin, both] {
        let setup = Setup::new();
        script(&setup);
        setup.start(&["--timeout=1m"]).ends_with(1, "code = DeadlineExceeded").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_not_ready_is_waited_for() {
    let setup = Setup::new();
    let not_ready = || Step::edit(|answer: &mut ProbeResponse| answer.ready = Some(false));
    setup.driver.script::<ProbeRequest>(vec![not_ready(); 5]);
    let sidecar = setup.start(&[]);
    setup.volume(json!({}));
    setup.attachment(json!({}));
    setup.attached().await;
    assert_eq!(setup.driver.count::<ProbeRequest>(), 6);
    assert!(sidecar.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_ends_with_1() {
    let setup = Setup::new();
    setup.driver.always::<ProbeRequest>(Step::fail(Code::Internal, "broken"));
    let text = "CSI driver probe failed: rpc error: code = Internal desc = broken";
    setup.start(&[]).ends_with(1, text).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_from_before_the_start_are_carried_out() {
    let setup = Setup::new();
    let names: Vec<String> = (0..30).map(|number| setup.pair(number, "node1")).collect();
    let _sidecar = setup.start(&["--worker-threads=3"]);
    setup.until("all attached", || names.iter().all(|name| is_attached(&setup.get_va(name)))).await;
    pass(60).await;
    assert_eq!(setup.published().len(), 30);
}

/// All state is in the API: a new process attaches nothing twice and forgets nothing (sheet 5.14).
#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_the_last_process_ended() {
    let setup = Setup::new();
    let first = setup.start(&[]);
    let names: Vec<String> = (0..3).map(|number| setup.pair(number, "node1")).collect();
    setup.until("all attached", || names.iter().all(|name| is_attached(&setup.get_va(name)))).await;
    drop(first);
    setup.delete("VolumeAttachment", &names[0]);
    let late = setup.pair(7, "node1");
    let _second = setup.start(&[]);
    setup.until("attached", || is_attached(&setup.get_va(&late))).await;
    setup.until("detached", || setup.get_va(&names[0]).is_null()).await;
    pass(60).await;
    assert_eq!((setup.published().len(), setup.unpublished().len()), (4, 1));
}
