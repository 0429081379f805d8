//! Rows about a registrar that serves: kubelet's calls, the health endpoint, a socket that vanishes.

use std::os::unix::fs::MetadataExt as _;

use testkit::process::{Program, eventually, free_port};

use crate::kubelet::{get_info, kubelets_authority, notify};
use crate::registrar::{Node, ask, is_socket_with_mode};

/// A registrar with a health endpoint, and its port.
fn with_health(node: &Node, more: &[&str]) -> (Program, u16) {
    let port = free_port();
    let endpoint = format!("--http-endpoint=127.0.0.1:{port}");
    let flags: Vec<_> = std::iter::once(endpoint.as_str()).chain(more.iter().copied()).collect();
    (node.start_serving(&flags), port)
}

#[test]
fn row_18_stale_socket_from_killed_instance() {
    let node = Node::with_driver();
    let first = node.start_serving(&[]);
    first.signal("-KILL");
    assert_eq!(first.end().code, 137);
    let stale = std::fs::metadata(node.socket()).unwrap().ino();
    let _second = node.start_serving(&[]);
    assert_ne!(std::fs::metadata(node.socket()).unwrap().ino(), stale);
    assert!(get_info(&node.socket(), "localhost").is_ok());
}

#[test]
fn row_20_socket_mode() {
    let node = Node::with_driver();
    let _registrar = node.start_serving(&[]);
    assert!(is_socket_with_mode(&node.socket(), 0o700));
}

#[test]
fn row_21_get_info() {
    let node = Node::with_driver();
    let _registrar = node.start_serving(&[]);
    let info = get_info(&node.socket(), &kubelets_authority(&node.socket())).unwrap();
    assert_eq!(info.r#type, "CSIPlugin");
    assert_eq!(info.name, "x");
    assert_eq!(info.endpoint, "/var/lib/kubelet/plugins/x/csi.sock");
    assert_eq!(info.supported_versions, ["1.0.0"]);
}

#[test]
fn row_22_notify_registration_status_true() {
    let node = Node::with_driver();
    let mut registrar = node.start_serving(&[]);
    notify(&node.socket(), true, "").unwrap();
    registrar.wait_for("Received NotifyRegistrationStatus call");
    assert!(registrar.is_running());
    assert!(get_info(&node.socket(), "localhost").is_ok());
}

#[test]
fn row_25_healthz_normal() {
    let node = Node::with_driver();
    let (_registrar, port) = with_health(&node, &[]);
    for method in ["GET", "POST"] {
        assert_eq!(ask(method, port, "/healthz"), (200, "ok".to_owned()), "{method}");
    }
    assert_eq!(ask("HEAD", port, "/healthz").0, 200);
    assert_eq!(ask("GET", port, "/other"), (404, "404 page not found\n".to_owned()));
}

/// Between the loss and the new socket the answer is 404; afterwards all is well again (13.1, upstream issue 57).
#[test]
fn row_26_healthz_socket_file_unlinked() {
    let node = Node::with_driver();
    let (registrar, port) = with_health(&node, &[]);
    let first = std::fs::metadata(node.socket()).unwrap().ino();
    let mut seen_missing = false;
    // The watch looks every two seconds, so one of a few immediate looks comes before it.
    for _ in 0..3 {
        std::fs::remove_file(node.socket()).unwrap();
        seen_missing |=
            ask("GET", port, "/healthz") == (404, "registration socket does not exist".to_owned());
        eventually("a new socket", || node.socket().exists());
    }
    assert!(seen_missing, "{}", registrar.log());
    assert_ne!(std::fs::metadata(node.socket()).unwrap().ino(), first);
    assert_eq!(ask("GET", port, "/healthz").0, 200);
    assert!(get_info(&node.socket(), &kubelets_authority(&node.socket())).is_ok());
}

#[test]
fn row_27_healthz_regular_file_instead() {
    let node = Node::with_driver();
    let (_registrar, port) = with_health(&node, &[]);
    let file = node.registration_directory().join("file");
    std::fs::write(&file, "").unwrap();
    std::fs::rename(&file, node.socket()).unwrap();
    let (status, body) = ask("GET", port, "/healthz");
    assert_eq!(status, 500);
    assert!(body.starts_with("file exists in socketPath"), "{body}");
}

#[test]
fn row_28_csi_driver_dead() {
    let node = Node::with_driver();
    let (mut registrar, port) = with_health(&node, &[]);
    node.driver.kill();
    assert_eq!(ask("GET", port, "/healthz"), (200, "ok".to_owned()));
    assert!(registrar.is_running());
}

/// A socket that nobody serves is reported within kubelet's probe timeout, not after 30 s (13.10), and replaced.
#[test]
fn healthz_with_a_dead_socket_in_place_is_quick_and_mends_itself() {
    let node = Node::with_driver();
    let (_registrar, port) = with_health(&node, &[]);
    let dead = node.registration_directory().join("dead");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    std::fs::rename(&dead, node.socket()).unwrap();
    let start = std::time::Instant::now();
    let (status, _) = ask("GET", port, "/healthz");
    assert!(start.elapsed().as_secs() < 5);
    assert!(status == 500 || status == 200, "{status}");
    eventually("a living socket", || ask("GET", port, "/healthz").0 == 200);
}

#[test]
fn row_30_pprof_without_enable_pprof() {
    let node = Node::with_driver();
    let (_registrar, port) = with_health(&node, &[]);
    assert_eq!(ask("GET", port, "/debug/pprof/").0, 404);
    let (_other, port) = with_health(&node, &["--enable-pprof"]);
    assert_eq!(ask("GET", port, "/debug/pprof/").0, 200);
}

#[test]
fn row_31_get_info_with_any_authority() {
    let node = Node::with_driver();
    let _registrar = node.start_serving(&[]);
    let raw = node.socket().to_str().unwrap().to_owned();
    let answers: Vec<_> = [kubelets_authority(&node.socket()), raw, "localhost".to_owned()]
        .iter()
        .map(|authority| get_info(&node.socket(), authority).unwrap())
        .collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[test]
fn metrics_tell_whether_kubelet_uses_the_driver() {
    let node = Node::with_driver();
    let port = free_port();
    let registrar = node.start_serving(&[&format!("--metrics-addr=127.0.0.1:{port}")]);
    let registered = || {
        let (_, text) = ask("GET", port, "/metrics");
        text.lines().find(|line| line.starts_with("csi_node_driver_registrar_registered ")).map(str::to_owned)
    };
    assert_eq!(registered().as_deref(), Some("csi_node_driver_registrar_registered 0"));
    notify(&node.socket(), true, "").unwrap();
    registrar.wait_for("Received NotifyRegistrationStatus call");
    assert_eq!(registered().as_deref(), Some("csi_node_driver_registrar_registered 1"));
}
