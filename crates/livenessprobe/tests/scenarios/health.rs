//! Rows about the answer of `/healthz`.

use std::time::{Duration, Instant};

use csi_client::csi;
use testkit::driver::Step;
use testkit::process::eventually;
use testkit::process::http::{Client, ask, get};
use tonic::Code;

use crate::pod::Pod;

/// How often the driver was probed.
fn probes(pod: &Pod) -> usize {
    pod.driver.count::<csi::ProbeRequest>()
}

fn ready(value: Option<bool>) -> Step {
    Step::edit(move |answer: &mut csi::ProbeResponse| answer.ready = value)
}

#[test]
fn row_1_probe_returns_an_empty_response() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&[]);
    let before = probes(&pod);
    pod.driver.always::<csi::ProbeRequest>(ready(None));
    assert!(get(port, "/healthz").is(200, "ok"));
    assert_eq!(probes(&pod), before + 1);
}

#[test]
fn row_2_the_drivers_socket_file_is_deleted_while_the_driver_process_is_still_serving() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=1s"]);
    assert!(get(port, "/healthz").is(200, "ok"));
    let before = probes(&pod);
    std::fs::remove_file(pod.socket()).unwrap();
    assert!(get(port, "/healthz").is(500, "context deadline exceeded"));
    assert_eq!(probes(&pod), before);
}

#[test]
fn row_3_ready_false_error_slow_nil_ready() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=1s"]);
    let late = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    let sick = "rpc error: code = FailedPrecondition desc = not healthy";
    let table = [
        (ready(Some(true)), 200, "ok"),
        (ready(None), 200, "ok"),
        (ready(Some(false)), 500, "driver responded but is not ready"),
        (Step::fail(Code::FailedPrecondition, "not healthy"), 500, sick),
        (Step::fail(Code::Unimplemented, ""), 500, "rpc error: code = Unimplemented desc = "),
        (Step::late(Duration::from_secs(5)), 500, late),
        (Step::Hang, 500, late),
        (Step::late(Duration::from_millis(100)), 200, "ok"),
    ];
    for (step, status, body) in table {
        pod.driver.script::<csi::ProbeRequest>([step.clone()]);
        let answer = get(port, "/healthz");
        assert!(answer.is(status, body), "{step:?}: {answer:?}");
    }
}

#[test]
fn row_3_headers() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&[]);
    let answer = get(port, "/healthz");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("content-length"), Some("2"));
    assert!(answer.header("date").is_some());
}

/// Ours answers as soon as no further attempt to connect fits into the timeout, a second earlier (13.2).
#[test]
fn row_4_driver_killed() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=3s"]);
    pod.driver.kill();
    let start = Instant::now();
    assert!(get(port, "/healthz").is(500, "context deadline exceeded"));
    let took = start.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn a_driver_that_comes_back_within_the_timeout_is_healthy() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=20s"]);
    pod.driver.kill();
    let mut client = Client::connect(port).unwrap();
    client.send("GET", "/healthz");
    std::fs::remove_file(pod.socket()).unwrap();
    pod.serve_driver();
    assert!(client.receive("GET").is(200, "ok"));
}

#[test]
fn a_driver_that_comes_back_later_is_healthy_again() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=500ms"]);
    for _ in 0..2 {
        pod.driver.kill();
        assert_eq!(get(port, "/healthz").status, 500);
        pod.serve_driver();
        assert!(get(port, "/healthz").is(200, "ok"));
    }
}

#[test]
fn row_5_post_and_head_on_healthz() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&[]);
    for method in ["GET", "POST", "PUT"] {
        assert!(ask(method, port, "/healthz").is(200, "ok"), "{method}");
    }
    let head = ask("HEAD", port, "/healthz");
    assert_eq!((head.status, head.header("content-length")), (200, Some("2")));
    for path in ["/healthz/", "/", "/other", "/healthz/x"] {
        assert!(get(port, path).is(404, "404 page not found\n"), "{path}");
    }
}

#[test]
fn row_15_probe_timeout_0() {
    let pod = Pod::with_driver();
    for flag in ["--probe-timeout=0", "--probe-timeout=-3s"] {
        let (_probe, port) = pod.start_probing(&[flag]);
        let before = probes(&pod);
        for _ in 0..3 {
            assert!(get(port, "/healthz").is(500, "context deadline exceeded"), "{flag}");
        }
        assert_eq!(probes(&pod), before);
    }
}

/// What upstream's `hack/e2e-livenessprobe.sh` does.
#[test]
fn row_18_e2e_script() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=1s"]);
    assert_eq!(ask("HEAD", port, "/healthz").status, 200);
    pod.driver.kill();
    assert_eq!(ask("HEAD", port, "/healthz").status, 500);
}

/// 13.1: a slow driver is not asked ever more often.
#[test]
fn questions_at_the_same_time_share_one_probe() {
    let pod = Pod::with_driver();
    let (_probe, port) = pod.start_probing(&["--probe-timeout=30s"]);
    let before = probes(&pod);
    pod.driver.script::<csi::ProbeRequest>([Step::late(Duration::from_secs(2))]);
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(port).unwrap()).collect();
    for client in &mut clients {
        client.send("GET", "/healthz");
    }
    for client in &mut clients {
        assert!(client.receive("GET").is(200, "ok"));
    }
    assert_eq!(probes(&pod), before + 1);
    assert!(get(port, "/healthz").is(200, "ok"));
    assert_eq!(probes(&pod), before + 2, "an answer is never used again");
}

/// 13.7: thousands of nodes must not repeat one line every few seconds.
#[test]
fn an_unchanged_failure_is_logged_once() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&[]);
    let failed = "\"Health check failed\" err=\"rpc error: code = Internal desc = broken\"";
    pod.driver.always::<csi::ProbeRequest>(Step::fail(Code::Internal, "broken"));
    for _ in 0..3 {
        get(port, "/healthz");
    }
    pod.driver.always::<csi::ProbeRequest>(ready(Some(false)));
    get(port, "/healthz");
    pod.driver.behave();
    get(port, "/healthz");
    probe.wait_for("\"Health check succeeded again\" failures=4 lasting=");
    assert_eq!(probe.lines(failed), 1, "{}", probe.log());
    assert_eq!(probe.lines("\"Driver responded but is not ready\""), 1, "{}", probe.log());
    assert_eq!(probe.lines("\"Health check succeeded\""), 0, "{}", probe.log());
}

#[test]
fn with_more_verbosity_every_probe_is_logged() {
    let pod = Pod::with_driver();
    let (probe, port) = pod.start_probing(&["-v=5", "--probe-timeout=300ms"]);
    let succeeded = || probe.lines("\"Health check succeeded\"");
    // The log is read beside: the line about the answer that has come may not be there yet.
    eventually("the line of the first probe", || succeeded() == 1);
    get(port, "/healthz");
    eventually("the line of the second", || succeeded() == 2);
    assert!(probe.log().contains("\"Sending probe request to CSI driver\" driver=\"x\""), "{}", probe.log());
    pod.driver.kill();
    for _ in 0..3 {
        get(port, "/healthz");
    }
    let lost = "\"Failed to establish connection to CSI driver\" err=\"context deadline exceeded\"";
    eventually("three lines", || probe.lines(lost) == 3);
    assert!(probe.log().contains("check that its container runs"), "{}", probe.log());
}
