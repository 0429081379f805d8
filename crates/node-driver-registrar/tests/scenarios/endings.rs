//! Rows that end the process: flags, a driver that does not answer, a socket that cannot be made.

use std::time::Duration;

use testkit::driver::Step;
use testkit::process::{End, eventually, free_port};

use csi_client::csi;

use crate::kubelet;
use crate::registrar::{Node, launch};

fn run(flags: &[&str]) -> End {
    launch(flags.iter().map(|flag| (*flag).to_owned())).start().end()
}

#[test]
fn row_6_no_flags() {
    let end = run(&[]);
    assert_eq!(end.code, 1);
    assert!(end.log.contains("kubelet-registration-path is a required parameter"), "{}", end.log);
}

#[test]
fn row_7_probe_mode_with_path() {
    let end = run(&["--kubelet-registration-path=/x", "--mode=kubelet-registration-probe"]);
    assert_eq!((end.code, end.log.as_str(), end.output.as_str()), (0, "", ""));
}

#[test]
fn row_8_probe_mode_alone() {
    assert_eq!(run(&["--mode=kubelet-registration-probe"]).code, 1);
}

#[test]
fn row_9_version_with_or_without_other_flags() {
    for flags in [&["--version"][..], &["-version", "--kubelet-registration-path=/x"]] {
        let end = run(flags);
        let binary = env!("CARGO_BIN_EXE_csi-node-driver-registrar");
        assert_eq!(end.code, 0);
        assert!(
            end.output.starts_with(&format!("{binary} v")) && end.output.ends_with('\n'),
            "{}",
            end.output
        );
        assert_eq!(end.output.lines().count(), 1);
    }
}

#[test]
fn row_10_health_port_and_http_endpoint() {
    let end = run(&["--kubelet-registration-path=/x", "--health-port=1", "--http-endpoint=:2"]);
    assert_eq!(end.code, 1);
    let lines: Vec<_> = end.log.lines().collect();
    assert_eq!(lines.len(), 3, "{}", end.log);
    assert!(
        lines[0].contains("\"Version\"") && lines[1].contains("\"Running node-driver-registrar\" mode=\"\"")
    );
    assert!(lines[2].contains("Only one of `--health-port` and `--http-endpoint` can be set"));
}

#[test]
fn row_12_driver_returns_empty_name() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::edit(|answer: &mut csi::GetPluginInfoResponse| {
        answer.name.clear();
    }));
    let end = node.start(&[]).end();
    assert_eq!(end.code, 1);
    assert!(
        end.log.contains("\"Error retreiving CSI driver name\" err=\"driver name is empty\""),
        "{}",
        end.log
    );
}

#[test]
fn row_13_driver_returns_internal_from_get_plugin_info() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::fail(tonic::Code::Internal, "broken"));
    let end = node.start(&[]).end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("rpc error: code = Internal desc = broken"), "{}", end.log);
}

#[test]
fn row_14_get_plugin_info_takes_5_s_default_timeout() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::late(Duration::from_secs(5)));
    let end = node.start(&[]).end();
    assert_eq!(end.code, 1);
    assert!(
        end.log.contains("rpc error: code = DeadlineExceeded desc = context deadline exceeded"),
        "{}",
        end.log
    );
    assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&end.took), "{:?}", end.took);
}

#[test]
fn row_15_same_with_timeout_10_s() {
    let node = Node::with_driver();
    node.driver.always::<csi::GetPluginInfoRequest>(Step::late(Duration::from_secs(2)));
    node.start_serving(&["--timeout=10s"]);
}

#[test]
fn row_16_driver_socket_missing() {
    let end = Node::new().start(&[]).end();
    assert_eq!(end.code, 1);
    assert_eq!(end.log.matches("Still connecting").count(), 3, "{}", end.log);
    assert!(
        end.log.contains("\"Error connecting to CSI driver\" err=\"context deadline exceeded"),
        "{}",
        end.log
    );
    assert!((Duration::from_secs(29)..Duration::from_secs(40)).contains(&end.took), "{:?}", end.took);
}

#[test]
fn row_17_driver_socket_appears_after_10_s() {
    let node = Node::new();
    let registrar = node.start(&[]);
    registrar.wait_for("Still connecting");
    let appeared = std::time::Instant::now();
    node.serve_driver();
    registrar.wait_for("Registration Server started");
    assert!(
        appeared.elapsed() < Duration::from_secs(5),
        "about a second was promised: {:?}",
        appeared.elapsed()
    );
}

#[test]
fn row_19_registration_directory_missing() {
    let node = Node::with_driver();
    std::fs::remove_dir(node.registration_directory()).unwrap();
    let end = node.start(&[]).end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("bind: no such file or directory"), "{}", end.log);
}

/// Upstream exits without answering and leaves the socket; ours answers, so that kubelet logs a clean error, and
/// removes it (13.3). The exit code and the message are the contract.
#[test]
fn row_23_notify_registration_status_false() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&[]);
    kubelet::notify(&node.socket(), false, "no such volume").unwrap();
    let end = registrar.end();
    assert_eq!(end.code, 1);
    assert!(
        end.log.contains(
            "\"Registration process failed with error, restarting registration container\" err=\"no such volume\""
        ),
        "{}",
        end.log
    );
    assert!(!node.socket().exists());
}

#[test]
fn row_24_sigterm() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&[]);
    registrar.signal("-TERM");
    let end = registrar.end();
    assert_eq!(end.code, 0, "{}", end.log);
    assert!(!node.socket().exists());
}

/// Upstream dies by the signal and leaves the socket behind (13.7).
#[test]
fn sigint_ends_like_sigterm() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&[]);
    registrar.signal("-INT");
    assert_eq!(registrar.end().code, 0);
    assert!(!node.socket().exists());
}

#[test]
fn a_signal_while_connecting_ends_at_once() {
    for signal in ["-TERM", "-INT"] {
        let registrar = Node::new().start(&["-v=1"]);
        registrar.wait_for("Attempting to open a gRPC connection");
        registrar.signal(signal);
        let end = registrar.end();
        assert_eq!(end.code, 0, "{}", end.log);
        assert!(end.took < Duration::from_secs(10), "{:?}", end.took);
    }
}

/// The socket is not left behind, unlike upstream's (13.8).
#[test]
fn row_29_http_port_busy_or_malformed() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let busy = format!("--http-endpoint=:{}", taken.local_addr().unwrap().port());
    for flag in [busy.as_str(), "--http-endpoint=foo"] {
        let node = Node::with_driver();
        let end = node.start(&[flag]).end();
        assert_eq!(end.code, 1);
        assert!(end.log.contains("\"\" err=\"listen tcp"), "{}", end.log);
        assert!(!node.socket().exists());
    }
}

#[test]
fn a_driver_with_another_name_than_expected_is_refused() {
    let node = Node::with_driver();
    let end = node.start(&["--csi-driver=y"]).end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("expected \\\"y\\\"") && end.log.contains("csi.sock"), "{}", end.log);
}

#[test]
fn a_file_in_the_way_is_named_and_left_alone() {
    let node = Node::with_driver();
    std::fs::write(node.socket(), "precious").unwrap();
    let end = node.start(&[]).end();
    assert_eq!(end.code, 1);
    assert!(end.log.contains("file exists in socketPath"), "{}", end.log);
    assert_eq!(std::fs::read_to_string(node.socket()).unwrap(), "precious");
}

#[test]
fn a_second_registrar_takes_over_and_the_first_leaves_its_socket_alone() {
    let node = Node::with_driver();
    let first = node.start_serving(&[]);
    let second = node.start_serving(&[]);
    first.signal("-TERM");
    assert_eq!(first.end().code, 0);
    assert!(kubelet::get_info(&node.socket(), "localhost").is_ok());
    drop(second);
}

#[test]
fn row_11_negative_health_port() {
    let node = Node::with_driver();
    let registrar = node.start_serving(&["--health-port=-3"]);
    eventually("the line about the HTTP server", || registrar.log().contains("Skipping HTTP server"));
    let port = free_port();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
