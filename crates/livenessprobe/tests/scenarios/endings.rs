//! Rows about the end of the process: the driver's name, taken ports, signals.

use std::net::TcpListener;
use std::time::Duration;

use csi_client::csi;
use testkit::driver::Step;
use testkit::process::eventually;
use testkit::process::http::Client;
use tonic::Code;

use crate::pod::Pod;

#[test]
fn row_7_get_plugin_info_errors() {
    let pod = Pod::with_driver();
    pod.driver.always::<csi::GetPluginInfoRequest>(Step::fail(Code::Internal, "broken"));
    let end = pod.start(&["--http-endpoint=127.0.0.1:0"]).end();
    assert_eq!(end.code, 1);
    let text = "\"Failed to get CSI driver name\" err=\"rpc error: code = Internal desc = broken\"";
    assert!(end.log.contains(text), "{}", end.log);
}

#[test]
fn row_7_empty_name() {
    let pod = Pod::with_driver();
    pod.driver.always::<csi::GetPluginInfoRequest>(Step::edit(|answer: &mut csi::GetPluginInfoResponse| {
        answer.name.clear();
    }));
    let end = pod.start(&["--http-endpoint=127.0.0.1:0"]).end();
    assert_eq!(end.code, 1);
    assert!(
        end.log.contains("\"Failed to get CSI driver name\" err=\"driver name is empty\""),
        "{}",
        end.log
    );
}

/// UPSTREAM-BUG: upstream ends with code 0, which shows as a completed container (13.4), and only when the driver is there.
#[test]
fn row_8_health_port_already_in_use() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let end = Pod::new().start(&[&format!("--health-port={port}")]).end();
    assert_eq!(end.code, 1);
    let text = "\"Failed to start http server\" err=\"listen tcp 0.0.0.0:";
    assert!(end.log.contains(text) && end.log.contains("bind: address already in use"), "{}", end.log);
}

#[test]
fn row_9_metrics_port_already_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let end = Pod::with_driver().start(&["--health-port=0", &format!("--metrics-address={address}")]).end();
    assert_eq!(end.code, 1);
    let text =
        "\"Failed to start prometheus metrics endpoint on specified address and path\" err=\"listen tcp ";
    assert!(end.log.contains(text), "{}", end.log);
    assert!(end.log.contains(&format!("addr=\"{address}\" path=\"/metrics\"")), "{}", end.log);
}

/// Upstream dies by the signal, and as process 1 of its container with code 2 (13.5).
#[test]
fn sigterm_and_sigint_end_with_0() {
    for signal in ["-TERM", "-INT"] {
        let pod = Pod::with_driver();
        let (probe, _port) = pod.start_probing(&[]);
        probe.signal(signal);
        let end = probe.end();
        assert_eq!(end.code, 0, "{signal}: {}", end.log);
    }
}

#[test]
fn a_signal_while_connecting_ends_at_once() {
    for signal in ["-TERM", "-INT"] {
        let pod = Pod::new();
        let (probe, _port) = pod.start_listening(&[]);
        probe.signal(signal);
        let end = probe.end();
        assert_eq!(end.code, 0, "{signal}: {}", end.log);
        assert!(end.took < Duration::from_secs(10), "{:?}", end.took);
    }
}

#[test]
fn who_has_asked_before_sigterm_is_answered() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&["--probe-timeout=30s"]);
    let before = pod.driver.count::<csi::ProbeRequest>();
    pod.driver.script::<csi::ProbeRequest>([Step::late(Duration::from_secs(1))]);
    let mut client = Client::connect(port).unwrap();
    client.send("GET", "/healthz");
    eventually("the probe", || pod.driver.count::<csi::ProbeRequest>() == before + 1);
    probe.signal("-TERM");
    assert!(client.receive("GET").is(200, "ok"));
    assert_eq!(probe.end().code, 0);
}

#[test]
fn a_hung_driver_does_not_hold_up_the_end() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&["--probe-timeout=10m"]);
    let before = pod.driver.count::<csi::ProbeRequest>();
    pod.driver.always::<csi::ProbeRequest>(Step::Hang);
    let mut client = Client::connect(port).unwrap();
    client.send("GET", "/healthz");
    eventually("the probe", || pod.driver.count::<csi::ProbeRequest>() == before + 1);
    probe.signal("-TERM");
    let end = probe.end();
    assert_eq!(end.code, 0, "{}", end.log);
}

#[test]
fn a_second_signal_ends_all_waiting() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&["--probe-timeout=10m"]);
    let before = pod.driver.count::<csi::ProbeRequest>();
    pod.driver.always::<csi::ProbeRequest>(Step::Hang);
    let mut client = Client::connect(port).unwrap();
    client.send("GET", "/healthz");
    eventually("the probe", || pod.driver.count::<csi::ProbeRequest>() == before + 1);
    probe.signal("-TERM");
    probe.wait_for("shutting down");
    probe.signal("-TERM");
    assert_eq!(probe.end().code, 1);
}
