//! The diagnostics server over real sockets (sheet `common-library`, 3.3 and 11).

use std::net::SocketAddr;

use prometheus::{IntCounter, Opts};
use sidecar_core::context::Context;
use sidecar_core::flags::Binary;
use sidecar_core::http::{Diagnostics, serve_controller};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::flag_matrix::read;

/// One request with `Connection: close`; gives head and body.
async fn request(address: SocketAddr, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
    let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase(), answer[end + 4..].to_vec())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (head, body) = request(address, "GET", path, "").await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

fn counted(context: &Context) {
    let counter = IntCounter::with_opts(Opts::new("things_total", "Things.")).unwrap();
    counter.inc();
    context.metrics.register(counter);
}

#[tokio::test]
async fn pprof_index_cmdline_profile_symbol_trace() {
    let endpoint = Diagnostics::default().listen("127.0.0.1:0").await.unwrap();
    endpoint.serve_profiles();
    for path in [
        "",
        "cmdline",
        "profile?seconds=0.05",
        "symbol",
        "trace?seconds=0.05",
        "heap",
        "goroutine",
        "threadcreate",
    ] {
        let (status, body) = get(endpoint.local_address(), &format!("/debug/pprof/{path}")).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(!body.is_empty(), "{path}");
    }
    let (_, body) = get(endpoint.local_address(), "/debug/pprof/cmdline").await;
    assert_eq!(body.split('\0').next(), std::env::args().next().as_deref());
    let (_, body) = get(endpoint.local_address(), "/debug/pprof/heap").await;
    assert!(body.contains("VmRSS:"), "{body}");
    assert_eq!(get(endpoint.local_address(), "/debug/pprof/nonsense").await.0, 404);
}

#[tokio::test]
async fn metrics_are_answered_as_upstream() {
    let context = Context::builder().build();
    counted(&context);
    let endpoint = context.http.listen("127.0.0.1:0").await.unwrap();
    endpoint.serve_metrics("/metrics", &context.metrics, Some(1_795_238_500.82)).unwrap();
    let address = endpoint.local_address();
    for method in ["GET", "POST", "DELETE"] {
        let (head, body) = request(address, method, "/metrics", "").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(
            head.contains("content-type: text/plain; version=0.0.4; charset=utf-8; escaping=underscores"),
            "{head}"
        );
        assert!(head.contains("process-start-time-unix: 1.79523850082e+09"), "{head}");
        assert_eq!(body, b"# HELP things_total Things.\n# TYPE things_total counter\nthings_total 1\n");
    }
    let (head, body) = request(address, "GET", "/metrics", "Accept-Encoding: gzip\r\n").await;
    assert!(head.contains("content-encoding: gzip") && body.starts_with(&[0x1f, 0x8b]), "{head}");
    let (head, body) = request(address, "GET", "/nonsense", "").await;
    assert!(head.starts_with("http/1.1 404") && body == b"404 page not found\n", "{head}");
}

#[tokio::test]
async fn equal_addresses_share_a_listener_and_others_do_not() {
    let http = Diagnostics::default();
    let first = http.listen("127.0.0.1:0").await.unwrap();
    let again = http.listen(&first.local_address().to_string()).await.unwrap();
    assert_eq!(first.local_address(), again.local_address());
    again.routes().add_fixed("/later", |_| sidecar_core::http::Reply::text(200, "added while serving"));
    assert_eq!(get(first.local_address(), "/later").await, (200, "added while serving".to_owned()));
    let taken = Diagnostics::default().listen(&first.local_address().to_string()).await.unwrap_err();
    assert_eq!(
        taken.to_string(),
        format!("listen tcp {}: bind: address already in use", first.local_address())
    );
}

#[tokio::test]
async fn http_endpoint_has_leader_health_and_metrics_address_has_not() {
    for (flag, status) in [("http-endpoint", 200), ("metrics-address", 404)] {
        let context = Context::builder().build();
        let parsed =
            read(Binary::Attacher, &[&format!("--{flag}=127.0.0.1:0"), "--metrics-path=/m"]).unwrap();
        let served = serve_controller(&parsed, &context).await.unwrap();
        let address = served.main.unwrap().local_address();
        assert_eq!(get(address, "/healthz/leader-election").await.0, status, "{flag}");
        assert_eq!(get(address, "/m").await.0, 200);
        assert_eq!(get(address, "/metrics").await.0, 404);
        assert_eq!(get(address, "/debug/pprof/").await.0, 404, "only with --enable-pprof");
    }
}

/// A port that was free a moment ago.
async fn free_port() -> u16 {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn metrics_addr_and_health_addr_serve_beside_http_endpoint() {
    let context = Context::builder().build();
    counted(&context);
    let (metrics, health) = (free_port().await, free_port().await);
    let arguments = [
        "--http-endpoint=127.0.0.1:0".to_owned(),
        format!("--metrics-addr=127.0.0.1:{metrics}"),
        format!("--health-addr=127.0.0.1:{health}"),
    ];
    let parsed = read(Binary::Provisioner, &arguments.each_ref().map(String::as_str)).unwrap();
    serve_controller(&parsed, &context).await.unwrap();
    let (metrics, health) =
        (SocketAddr::from(([127, 0, 0, 1], metrics)), SocketAddr::from(([127, 0, 0, 1], health)));
    assert!(get(metrics, "/metrics").await.1.contains("things_total 1\n"));
    assert_eq!(get(metrics, "/healthz").await.0, 404);
    assert_eq!(get(health, "/healthz").await, (200, "ok".to_owned()));
    let driver = context.http.health().require("driver");
    assert_eq!(get(health, "/readyz").await, (503, "[-]driver not yet\n".to_owned()));
    driver.set_ready();
    assert_eq!(get(health, "/readyz").await, (200, "ok".to_owned()));
    assert_eq!(get(health, "/healthz/leader-election").await.0, 200);
    let (status, flags) = get(health, "/flagz").await;
    assert!(status == 200 && flags.contains("\nvolume-name-prefix=pvc\n"), "{flags}");
    assert!(get(health, "/statusz").await.1.contains("[+]driver ok"));
}

#[tokio::test]
async fn a_taken_address_ends_the_process_with_the_code_of_the_sheet() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for (binary, code) in [
        (Binary::Provisioner, 255),
        (Binary::Attacher, 1),
        (Binary::Resizer, 1),
        (Binary::Snapshotter, 255),
        (Binary::SnapshotController, 255),
    ] {
        let parsed = read(binary, &[&format!("--http-endpoint={address}")]).unwrap();
        let exit = serve_controller(&parsed, &Context::builder().build()).await.unwrap_err();
        assert_eq!(exit.code, code, "{}", binary.name());
        assert_eq!(exit.error.unwrap(), format!("listen tcp {address}: bind: address already in use"));
    }
}

#[tokio::test]
async fn a_metrics_path_without_slash_ends_like_gos_panic() {
    for (path, text) in [("metrics", "at offset 0: host/path missing /"), ("", "empty pattern")] {
        let path = format!("--metrics-path={path}");
        let parsed = read(Binary::Attacher, &["--http-endpoint=127.0.0.1:0", &path]).unwrap();
        let exit = serve_controller(&parsed, &Context::builder().build()).await.unwrap_err();
        assert!(exit.code == 2 && exit.message.contains(text), "{exit:?}");
    }
}
