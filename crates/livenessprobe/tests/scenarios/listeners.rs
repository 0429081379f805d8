//! Rows about addresses: what is served where.

use std::net::TcpStream;

use testkit::process::http::{Answer, get};
use testkit::process::{eventually, free_port};

use crate::pod::Pod;

fn samples(answer: &Answer) -> Vec<&str> {
    answer.body.lines().filter(|line| !line.starts_with('#')).collect()
}

/// UPSTREAM-GAP: ours listens at once and says what it waits for (13.3); for kubelet a 500 is as bad as a refused connection.
#[test]
fn row_6_start_without_driver() {
    let pod = Pod::new();
    let (mut probe, port) = pod.start_listening(&[]);
    assert!(get(port, "/healthz").is(500, "not connected to the CSI driver yet"));
    eventually("a line every 10 s", || probe.lines("Still connecting") == 2);
    assert!(probe.is_running());
    assert!(get(port, "/healthz").is(500, "not connected to the CSI driver yet"));
    pod.serve_driver();
    eventually("health", || get(port, "/healthz").is(200, "ok"));
}

#[test]
fn row_10_default_flags() {
    let pod = Pod::with_driver();
    let probe = pod.start(&[]);
    probe.wait_for("\"ServeMux listening\" address=\"0.0.0.0:9808\"");
    eventually("health", || get(9808, "/healthz").is(200, "ok"));
    assert_eq!(get(9808, "/metrics").status, 404);
}

#[test]
fn row_11_metrics_address() {
    let pod = Pod::with_driver();
    let (main, other) = (free_port(), free_port());
    let (health, metrics) = (format!("--health-port={main}"), format!("--metrics-address=127.0.0.1:{other}"));
    let probe = pod.start(&[&health, &metrics]);
    probe.wait_for(&format!("\"Separate metrics ServeMux listening\" address=\"127.0.0.1:{other}\""));
    eventually("health", || get(main, "/healthz").is(200, "ok"));
    assert_eq!(get(other, "/metrics").status, 200);
    assert_eq!(get(other, "/healthz").status, 404);
    assert_eq!(get(main, "/metrics").status, 404);
}

#[test]
fn row_12_http_endpoint_x() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&[]);
    assert!(get(port, "/healthz").is(200, "ok"));
    let answer = get(port, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    );
    assert!(answer.header("process-start-time-unix").is_some());
}

#[test]
fn row_14_health_port_9808_and_http_endpoint() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--health-port=9808"]);
    assert!(get(port, "/healthz").is(200, "ok"));
}

#[test]
fn metrics_are_upstreams_and_the_count_of_probes() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=300ms"]);
    pod.driver.kill();
    get(port, "/healthz");
    let answer = get(port, "/metrics");
    let families: Vec<_> = answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(
        families,
        [
            "csi_livenessprobe_probes_total counter",
            "csi_sidecar_operations_seconds histogram",
            "process_start_time_seconds gauge",
        ]
    );
    let calls = |driver: &str, method: &str| {
        format!(
            "csi_sidecar_operations_seconds_count{{driver_name=\"{driver}\",grpc_status_code=\"OK\",\
             method_name=\"/csi.v1.Identity/{method}\"}} "
        )
    };
    let has = |start: &str| samples(&answer).iter().any(|line| line.starts_with(start));
    assert!(has(&calls("unknown-driver", "GetPluginInfo")), "{}", answer.body);
    assert!(has(&calls("x", "Probe")), "{}", answer.body);
    assert!(has("csi_livenessprobe_probes_total{result=\"no_connection\"} 1"), "{}", answer.body);
    assert!(has("csi_livenessprobe_probes_total{result=\"not_ready\"} 0"), "{}", answer.body);
    assert!(!answer.body.contains("Unavailable"), "a connection that failed is no call: {}", answer.body);
}

#[test]
fn metrics_path_is_honoured_and_looked_at_only_when_metrics_are_served() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--metrics-path=/m"]);
    assert_eq!((get(port, "/m").status, get(port, "/metrics").status), (200, 404));
    let port = free_port();
    let mut probe = pod.start(&[&format!("--health-port={port}"), "--metrics-path=no path"]);
    probe.wait_for("CSI driver name");
    assert!(probe.is_running());
}

#[test]
fn documented_addresses_stand_beside_the_others() {
    let pod = Pod::new();
    let (metrics, health) = (free_port(), free_port());
    let flags = [format!("--metrics-addr=127.0.0.1:{metrics}"), format!("--health-addr=127.0.0.1:{health}")];
    let (_probe, port) = pod.start_listening(&[&flags[0], &flags[1]]);
    eventually("all three", || TcpStream::connect(("127.0.0.1", health)).is_ok());
    assert_eq!(get(metrics, "/metrics").status, 200);
    assert_eq!(get(port, "/metrics").status, 200);
    assert!(get(health, "/healthz").is(200, "ok"), "the process is alive");
    assert_eq!(get(health, "/readyz").status, 503);
    pod.serve_driver();
    eventually("readiness", || get(health, "/readyz").status == 200);
}

/// Guides give `--health-addr=:9808` to every sidecar; here that port must answer for the driver.
#[test]
fn a_documented_health_address_on_the_health_port_answers_for_the_driver() {
    let pod = Pod::new();
    let port = free_port();
    let flags = [format!("--health-port={port}"), format!("--health-addr=:{port}")];
    let probe = pod.start(&[&flags[0], &flags[1]]);
    probe.wait_for("metricsPath=");
    eventually("the listener", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    eventually("the driver's health", || get(port, "/healthz").status == 500);
    pod.serve_driver();
    eventually("health", || get(port, "/healthz").is(200, "ok"));
}
